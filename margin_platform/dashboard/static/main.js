// The page: one stream, one store, and the view that the address names.
import { AccountView } from "./account/view.js";
import { Filters } from "./accounts/filters.js";
import { AccountsGrid } from "./accounts/grid.js";
import { CallsView } from "./calls/view.js";
import { wireControls } from "./controls.js";
import { $ } from "./dom.js";
import { FeedView } from "./feed/view.js";
import { FirmView } from "./firm/view.js";
import { Header } from "./header/header.js";
import { LetterView } from "./letter/view.js";
import { route } from "./routing.js";
import { Store } from "./store/store.js";
import { Stream } from "./stream.js";

const FEED_KEPT = 1000;
const FEED_SLACK = 200; // dropped in one go, not one by one
const TICK_MS = 500;

const scheme = location.protocol === "https:" ? "wss" : "ws";
const stream = new Stream(`${scheme}://${location.host}/live`);
const header = new Header();
const page = { store: null, facts: null, firm: [], firmNow: null, summary: null, feed: new Map(), stream };
globalThis.marginPage = page; // what the page holds, for support and tests
let grid = null;
let filters = null;
let views = null;

stream.addEventListener("hello", ({ detail }) => {
  if (detail.resumed) return;
  page.facts = detail.facts;
  page.store = new Store(detail.columns);
  page.firm = [];
  page.feed = new Map();
  header.alerts.restart();
  if (!grid) return start();
  grid.useStore(page.store);
  filters.restart();
});

stream.addEventListener("frame", ({ detail }) => {
  page.store.setClock(detail.summary.event_clock, detail.summary.cutoff);
  if (detail.rows.length) page.store.apply(detail.rows);
  keep(detail.feed ?? []);
  if (detail.firm) page.firm = detail.firm;
  page.firmNow = detail.firm_now;
  page.summary = detail.summary;
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

function keep(items) {
  const { feed } = page;
  for (const item of items) feed.set(item.n, item);
  if (feed.size <= FEED_KEPT + FEED_SLACK) return;
  for (const n of [...feed.keys()].slice(0, feed.size - FEED_KEPT)) feed.delete(n);
}

function start() {
  grid = new AccountsGrid(page.store, page.facts);
  filters = new Filters(page, grid);
  views = {
    account: new AccountView($("view-account"), page),
    calls: new CallsView($("view-calls")),
    firm: new FirmView($("view-firm"), page),
    feed: new FeedView($("view-feed"), page),
    letter: new LetterView($("view-letter")),
  };
  wireControls(page, views);
  addEventListener("hashchange", () => route(views, grid, filters));
  route(views, grid, filters);
}

setInterval(() => header.tick(), TICK_MS);
stream.connect();
