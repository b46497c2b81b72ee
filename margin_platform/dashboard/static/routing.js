// Which view is shown: the part of the address after "#/".
import { $ } from "./dom.js";

const NAMES = ["accounts", "account", "letter", "calls", "firm", "feed"];
const TAB = { account: "accounts", letter: "accounts" }; // these have no tab of their own

function address() {
  const [path, query = ""] = location.hash.replace(/^#\//, "").split("?");
  const [first, ...rest] = path.split("/");
  const name = NAMES.includes(first) ? first : "accounts";
  return { name, id: decoded(rest.join("/")), query };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray percent sign
  }
}

function markTab(name) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === (TAB[name] ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// views: all but the grid, which only needs a refresh.
export function route(views, grid, filters) {
  const { name, id, query } = address();
  const focused = document.activeElement.closest(".view"); // may be hidden now, and lose the focus
  for (const other of NAMES) $(`view-${other}`).hidden = other !== name;
  markTab(name);
  document.documentElement.dataset.view = name;
  for (const [other, view] of Object.entries(views)) {
    if (other === name) view.show(id);
    else view.hide();
  }
  if (name === "accounts") filters.take(query);
  grid.refresh();
  if (!focused?.hidden) return;
  if (name === "accounts") grid.focus();
  else $(`view-${name}`).focus({ preventScroll: true });
}
