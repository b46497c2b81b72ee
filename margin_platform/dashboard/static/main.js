// The page: one stream, one store, and the view the address bar names.
import { $, h } from "./dom.js";
import { AccountView } from "./account.js";
import { FeedView } from "./feed.js";
import { FirmView } from "./firm.js";
import { AccountsGrid } from "./grid.js";
import { Header } from "./header.js";
import { COLOURS, Store } from "./store.js";
import { Stream } from "./stream.js";
import { MEANING, LETTER } from "./dom.js";

const HOLDERS_MS = 3000;
const VIEWS = ["accounts", "account", "firm", "feed"];
const stream = new Stream(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
const header = new Header();
const desk = { store: null, facts: null, firm: [], firmNow: null, feed: new Map(), stream };
globalThis.marginDesk = desk; // for support and tests: what the page holds
let grid = null,
  views = null;
const filter = { q: "", colours: new Set(), method: "", holders: null, flagged: false };

stream.addEventListener("hello", ({ detail }) => {
  if (detail.resumed) return;
  desk.facts = detail.facts;
  desk.store = new Store(detail.columns);
  desk.firm = [];
  desk.feed = new Map();
  if (!grid) start();
  else grid.useStore(desk.store);
  if (filter.symbol) {
    filter.holders = new Set();
    filter.known = null;
    grid.setFilter(filter);
    holders();
  }
});

stream.addEventListener("frame", ({ detail }) => {
  const { store } = desk;
  store.setClock(detail.summary.event_clock, detail.summary.cutoff);
  if (detail.rows.length) store.apply(detail.rows);
  for (const item of detail.feed ?? []) desk.feed.set(item.n, item);
  if (desk.feed.size > 1200)
    for (const n of [...desk.feed.keys()].slice(0, desk.feed.size - 1000)) desk.feed.delete(n);
  if (detail.firm) desk.firm = detail.firm;
  desk.firmNow = detail.firm_now;
  header.frame(detail);
  if (detail.seq === null) {
    views.account.touch(detail.rows);
    return;
  }
  grid.refresh();
  for (const view of Object.values(views)) view.frame(detail);
  document.documentElement.dataset.seq = detail.seq;
});

stream.addEventListener("lost", () => header.lost(stream.lost));
stream.addEventListener("found", () => header.lost(null));

function start() {
  grid = new AccountsGrid(desk.store, desk.facts);
  views = {
    account: new AccountView($("view-account"), desk),
    firm: new FirmView($("view-firm"), desk),
    feed: new FeedView($("view-feed"), desk),
  };
  wire();
  route();
}

function wire() {
  const apply = () => grid.setFilter(filter);
  $("q").addEventListener("input", (e) => {
    filter.q = e.target.value;
    apply();
  });
  $("by-method").addEventListener("change", (e) => {
    filter.method = e.target.value;
    apply();
  });
  $("by-flag").addEventListener("change", (e) => {
    filter.flagged = e.target.checked;
    apply();
  });
  $("by-symbol").addEventListener("change", (e) => {
    filter.symbol = e.target.value.trim();
    holders();
  });
  $("by-symbol").addEventListener("focus", symbols);
  $("filters").addEventListener("submit", (e) => e.preventDefault());
  $("csv").addEventListener("click", () =>
    grid.exportShown(document.documentElement.dataset.live === "true"),
  );
  for (const colour of COLOURS) {
    const box = h("input", {
      type: "checkbox",
      value: colour,
      onchange: (e) => {
        filter.colours[e.target.checked ? "add" : "delete"](colour);
        apply();
      },
    });
    $("by-colour").append(
      h(
        "label",
        { class: `chip ${colour}` },
        box,
        h("span", { class: `badge ${colour}`, "aria-hidden": "true" }, LETTER[colour]),
        ` ${MEANING[colour]}`,
      ),
    );
  }
  addEventListener("hashchange", route);
  addEventListener("keydown", keys);
  setKeys(localStorage.getItem("margin-keys") !== "off");
  $("keys").addEventListener("click", () => setKeys($("keys").getAttribute("aria-pressed") !== "true"));
  $("theme").addEventListener("click", () =>
    setTheme(document.documentElement.dataset.theme === "light" ? "dark" : "light"),
  );
  setTheme(document.documentElement.dataset.theme, false);
}

async function symbols() {
  const reply = await fetch("/api/symbols").catch(() => null); // without the list a symbol can still be typed
  if (!reply?.ok) return;
  $("symbols").replaceChildren(...(await reply.json()).symbols.map((value) => h("option", { value })));
}

// Who holds the symbol is asked again every few seconds: fills go on while the filter stands.
async function holders() {
  const symbol = filter.symbol;
  const reply = symbol
    ? await fetch(`/api/holders?symbol=${encodeURIComponent(symbol)}`).catch(() => null)
    : null;
  if (symbol !== filter.symbol || (symbol && !reply?.ok)) return;
  const { epoch, ready, numbers } = reply ? await reply.json() : { numbers: null };
  $("by-symbol-note").hidden = !symbol || ready;
  const known = symbol ? numbers.join() : null;
  if ((symbol && epoch !== stream.epoch) || known === filter.known) return;
  filter.known = known;
  filter.holders = symbol ? new Set(numbers) : null;
  grid.setFilter(filter);
}

function route() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/");
  const view = VIEWS.includes(name) ? name : "accounts";
  const left = document.activeElement.closest(".view"); // what had the focus and is about to be hidden
  for (const other of VIEWS) $(`view-${other}`).hidden = other !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === (view === "account" ? "accounts" : view))
      link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  let id = rest.join("/");
  try {
    id = decodeURIComponent(id);
  } catch {
    /* a stray percent sign: the text as it stands */
  }
  document.documentElement.dataset.view = view;
  for (const [other, shown] of Object.entries(views))
    if (other === view) shown.show(id);
    else shown.hide();
  grid.refresh();
  if (left && left.hidden)
    view === "accounts" ? grid.focus() : $(`view-${view}`).focus({ preventScroll: true });
}

function keys(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (document.documentElement.dataset.view === "account") location.hash = "#/accounts";
    return;
  }
  if (
    typing ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    $("keys").getAttribute("aria-pressed") !== "true"
  )
    return;
  if (event.key === "/") {
    event.preventDefault();
    location.hash = "#/accounts";
    $("q").focus();
    $("q").select();
  }
  const jump = { 1: "#/accounts", 2: "#/firm", 3: "#/feed" }[event.key];
  if (jump) location.hash = jump;
}

// Who dictates to a computer, or rests a hand on the keys, can switch them off (WCAG 2.1.4).
function setKeys(on) {
  $("keys").setAttribute("aria-pressed", on);
  localStorage.setItem("margin-keys", on ? "on" : "off");
}

function setTheme(theme, chosen = true) {
  document.documentElement.dataset.theme = theme;
  if (chosen) localStorage.setItem("margin-theme", theme);
  $("grid").className = `grid ag-theme-quartz${theme === "dark" ? "-dark" : ""}`;
  if (views) for (const view of Object.values(views)) view.themed?.();
}

setInterval(() => header.tick(), 500);
setInterval(() => {
  if (filter.symbol) holders();
}, HOLDERS_MS);
stream.connect();
