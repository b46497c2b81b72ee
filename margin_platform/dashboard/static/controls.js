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
  fold("figures", "figures", "aria-pressed");
  fold("more-filters", "filters", "aria-expanded");
  const parentheses = localStorage.getItem("margin-parentheses") === "on";
  $("parentheses").setAttribute("aria-pressed", parentheses);
  $("parentheses").addEventListener("click", () => {
    localStorage.setItem("margin-parentheses", parentheses ? "off" : "on");
    location.reload();
  });
  $("theme").addEventListener("click", () => {
    const theme = root.dataset.theme === "light" ? "dark" : "light";
    localStorage.setItem("margin-theme", theme);
    useTheme(theme, views);
  });
  useTheme(root.dataset.theme, views);
}

// What a small window has no room for opens on demand.
function fold(id, name, attribute) {
  $(id).addEventListener("click", ({ currentTarget: button }) => {
    const open = root.dataset[name] !== "open";
    root.dataset[name] = open ? "open" : "closed";
    button.setAttribute(attribute, open);
  });
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
