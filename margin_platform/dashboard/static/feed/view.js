// Calls, restrictions, orders and notifications of all accounts, newest first.
import { $, h } from "../dom.js";
import { line, newestFirst } from "./line.js";

const SHOWN = 300;
const MOST_COUNTED = 999;
const KINDS = ["call", "restriction", "order", "notification"];

export class FeedView {
  constructor(box, page) {
    Object.assign(this, { page, shown: false, started: false, unseen: 0 });
    this.kinds = new Set(KINDS);
    this.lines = new Map();
    this.list = h("ol", { class: "feed", id: "feed" });
    const chips = KINDS.map((kind) => this.#chip(kind));
    box.replaceChildren(h("div", { class: "filters" }, chips), this.list);
  }

  #chip(kind) {
    const onchange = ({ target }) => {
      if (target.checked) this.kinds.add(kind);
      else this.kinds.delete(kind);
      this.#draw();
    };
    const box = h("input", { type: "checkbox", checked: true, onchange });
    return h("label", { class: "chip" }, box, ` ${kind}s`);
  }

  show() {
    this.shown = true;
    this.unseen = 0;
    $("feed-count").hidden = true;
    this.#draw();
  }

  hide() {
    this.shown = false;
  }

  frame({ feed }) {
    if (!feed?.length) return;
    if (this.shown) this.#draw();
    else if (this.started) this.#count(feed.length);
    this.started = true;
  }

  #count(more) {
    this.unseen += more;
    $("feed-count").hidden = false;
    $("feed-count").textContent = this.unseen > MOST_COUNTED ? `${MOST_COUNTED}+` : String(this.unseen);
  }

  #draw() {
    const wanted = [...this.page.feed.values()].filter(({ kind }) => this.kinds.has(kind));
    const items = wanted.sort(newestFirst).slice(0, SHOWN);
    const nothing = h("li", { class: "note" }, "no activity yet");
    this.#place(items.length ? items.map((item) => this.#line(item)) : [nothing]);
    const shown = new Set(items.map(({ n }) => n));
    for (const n of this.lines.keys()) if (!shown.has(n)) this.lines.delete(n);
  }

  // A line is built again only when its item changed, so that the reader keeps selection and focus.
  #line(item) {
    const key = JSON.stringify(item);
    const known = this.lines.get(item.n);
    if (known?.key === key) return known.node;
    const node = line(item, { dagster: this.page.facts.dagster_url, withAccount: true });
    this.lines.set(item.n, { key, node });
    return node;
  }

  // Moves a line only where it must, for the same reason.
  #place(nodes) {
    const kept = new Set(nodes);
    for (const node of [...this.list.children]) if (!kept.has(node)) node.remove();
    let at = this.list.firstChild;
    for (const node of nodes) {
      if (node === at) at = at.nextSibling;
      else this.list.insertBefore(node, at);
    }
  }
}
