// A list of rows of which only the visible ones are in the page: the server sends a window of them.
const ROW = 40;

export default {
  template: `
    <div class="requests-list" ref="view" v-show="total" role="listbox" aria-label="Requests" tabindex="0"
         :aria-activedescendant="active === null ? null : 'request-' + active"
         @scroll.passive="look" @keydown="key">
      <div class="requests-space" :style="{ height: total * ${ROW} + 'px' }">
        <div v-for="(row, index) in rows" :key="row.id" :id="'request-' + row.id" role="option"
             class="requests-row" :class="{ 'requests-active': row.id === active }"
             :aria-selected="row.id === active ? 'true' : 'false'"
             :style="{ transform: 'translateY(' + (first + index) * ${ROW} + 'px)' }"
             @click="open(row.id)">
          <span class="requests-method">{{ row.method }}</span>
          <span class="requests-path mono" :title="row.path">{{ row.path }}</span>
          <span><span class="badge" :class="row.tone && 'badge-' + row.tone">{{ row.status }}</span></span>
          <span class="requests-ms">{{ row.ms }}</span>
          <span class="requests-attempt">{{ row.attempt }}</span>
          <span class="requests-program" :title="row.program">{{ row.program }}</span>
          <span class="requests-time">{{ row.time }}</span>
        </div>
      </div>
    </div>`,
  props: { total: Number, first: Number, rows: Array },
  data: () => ({ active: null, asked: null }),
  watch: {
    rows() {
      this.stay();
    },
  },
  created() {
    this.shown = { first: this.first, rows: this.rows };
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.look());
    this.observer.observe(this.$refs.view);
  },
  unmounted() {
    this.observer.disconnect();
  },
  methods: {
    look() {
      const view = this.$refs.view;
      const top = Math.floor(view.scrollTop / ROW);
      const shown = Math.ceil(view.clientHeight / ROW);
      const end = Math.min(top + shown, this.total);
      if (top >= this.first && end <= this.first + this.rows.length) {
        this.asked = null;
      } else if (top !== this.asked) {
        this.asked = top;
        this.$emit("window", { top });
      }
    },
    // New requests are added at the top: unless the newest are in view, the rows in view stay where they are.
    stay() {
      const view = this.$refs.view;
      const top = Math.floor(view.scrollTop / ROW);
      const row = this.shown.rows[top - this.shown.first];
      const place = row ? this.rows.findIndex((one) => one.id === row.id) : -1;
      this.shown = { first: this.first, rows: this.rows };
      const moved = this.first + place - top;
      if (top > 0 && place >= 0 && moved) this.$nextTick(() => (view.scrollTop += moved * ROW));
    },
    scrollToTop() {
      this.$refs.view.scrollTop = 0;
    },
    open(id) {
      this.active = id;
      this.$emit("open", id);
    },
    key(event) {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
      const place = this.rows.findIndex((row) => row.id === this.active);
      if (step !== undefined && this.rows.length) {
        const view = this.$refs.view;
        const visible = Math.ceil(view.scrollTop / ROW) - this.first;
        const next = Math.min(Math.max(place < 0 ? visible : place + step, 0), this.rows.length - 1);
        this.active = this.rows[next].id;
        const top = (this.first + next) * ROW;
        if (top < view.scrollTop) view.scrollTop = top;
        if (top + ROW > view.scrollTop + view.clientHeight) view.scrollTop = top + ROW - view.clientHeight;
      } else if ((event.key === "Enter" || event.key === " ") && place >= 0) {
        this.open(this.active);
      } else {
        return;
      }
      event.preventDefault();
    },
  },
};
