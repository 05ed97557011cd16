// A list of rows of which only the visible ones are in the page: the server sends a window of them.
const ROW = 40;

export default {
  template: `
    <div class="requests-list" ref="view" role="listbox" aria-label="Requests" tabindex="0"
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
  data: () => ({ active: null, asked: -1 }),
  mounted() {
    this.look();
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
      const covered = top >= this.first && top + shown <= this.first + this.rows.length;
      if ((!covered || this.asked === -1) && top !== this.asked) {
        this.asked = top;
        this.$emit("window", { top, shown });
      }
    },
    open(id) {
      this.active = id;
      this.$emit("open", id);
    },
    key(event) {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
      const place = this.rows.findIndex((row) => row.id === this.active);
      if (step !== undefined && this.rows.length) {
        const next = place < 0 ? 0 : Math.min(Math.max(place + step, 0), this.rows.length - 1);
        this.active = this.rows[next].id;
        const view = this.$refs.view;
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
