// The theme, the single-key shortcuts, and the export.
import { exportRows } from "./accounts/export.js";
import { $ } from "./dom.js";

const root = document.documentElement;
const VIEW_KEYS = { 1: "#/accounts", 2: "#/firm", 3: "#/feed", 4: "#/calls" };

export function wireControls(page, views) {
  $("csv").addEventListener("click", () => {
    exportRows(page.store, page.facts, root.dataset.live === "true");
  });
  addEventListener("keydown", onKey);
  useKeys(localStorage.getItem("margin-keys") !== "off");
  $("keys").addEventListener("click", () => useKeys(!keysInUse()));
  $("figures").addEventListener("click", ({ target }) => {
    const open = root.dataset.figures !== "open";
    root.dataset.figures = open ? "open" : "closed";
    target.setAttribute("aria-pressed", open);
  });
  $("theme").addEventListener("click", () => {
    const theme = root.dataset.theme === "light" ? "dark" : "light";
    localStorage.setItem("margin-theme", theme);
    useTheme(theme, views);
  });
  useTheme(root.dataset.theme, views);
}

function useTheme(theme, views) {
  root.dataset.theme = theme;
  $("grid").className = `grid ag-theme-quartz${theme === "dark" ? "-dark" : ""}`;
  for (const view of Object.values(views)) view.themed?.();
}

// A reader who dictates, or rests a hand on the keyboard, can switch the shortcuts off (WCAG 2.1.4).
const keysInUse = () => $("keys").getAttribute("aria-pressed") === "true";

function useKeys(on) {
  $("keys").setAttribute("aria-pressed", on);
  localStorage.setItem("margin-keys", on ? "on" : "off");
}

function onKey(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") leave(event.target, typing);
  else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && keysInUse()) jump(event);
}

function leave(target, typing) {
  if (typing) target.blur();
  else if (root.dataset.view === "account") location.hash = "#/accounts";
}

function jump(event) {
  if (event.key in VIEW_KEYS) location.hash = VIEW_KEYS[event.key];
  if (event.key !== "/") return;
  event.preventDefault();
  location.hash = "#/accounts";
  $("q").focus();
  $("q").select();
}
