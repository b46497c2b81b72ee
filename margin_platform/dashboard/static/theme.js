// Before the first paint: the theme the reader chose last, else the system's.
(() => {
  const chosen = localStorage.getItem("margin-theme");
  const system = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  document.documentElement.dataset.theme = chosen === "light" || chosen === "dark" ? chosen : system;
})();
