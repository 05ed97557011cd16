"use strict";
// Theme, menu and shortcuts. Loaded before the page is drawn, so that a dark page never flashes white.
const workbench = (() => {
  const KEY = "enprompta-workbench-theme";
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const chosen = localStorage.getItem(KEY);
    return chosen === null ? systemIsDark.matches : chosen === "dark";
  };
  const applyTheme = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    if (window.Quasar) Quasar.Dark.set(isDark());
  };
  const toggleTheme = () => {
    localStorage.setItem(KEY, isDark() ? "light" : "dark");
    applyTheme();
  };
  const setMenu = (open) => {
    document.body.classList.toggle("menu-open", open);
    document.querySelector(".menu-button")?.setAttribute("aria-expanded", String(open));
  };
  const toggleMenu = () => {
    const open = !document.body.classList.contains("menu-open");
    setMenu(open);
    if (open) document.querySelector(".nav-link")?.focus();
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable=true]");
    const search = document.querySelector("[data-search]");
    const isShortcut = (event.key === "/" && !isTyping) || (event.key === "k" && (event.ctrlKey || event.metaKey));
    if (isShortcut && search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && document.body.classList.contains("menu-open")) {
      setMenu(false);
      document.querySelector(".menu-button").focus();
    }
  });
  const updateTimes = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const unit = [["d", 86400], ["h", 3600], ["min", 60]].find(([, size]) => seconds >= size);
      const text = unit ? `${Math.floor(seconds / unit[1])} ${unit[0]} ago` : "just now";
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(updateTimes, 10_000);
  systemIsDark.addEventListener("change", applyTheme);
  addEventListener("load", () => setTimeout(applyTheme));
  applyTheme();
  return { toggleTheme, toggleMenu };
})();
