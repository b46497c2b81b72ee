// Calls, restrictions, orders and notifications as they happen, each with its delivery state and its Dagster run.
import { $, accountLink, h, num, visible } from "./dom.js";
import { dollars, shares, time } from "./format.js";

const SHOWN = 300;
const DONE = new Set(["DELIVERED", "SENT", "ACCEPTED"]),
  BAD = new Set(["FAILED", "BOUNCED", "REJECTED", "UNDELIVERED", "HELD"]);
const TONE = {
  MARGIN_CALL: "alarm",
  AMENDED: "alarm",
  EXPIRED: "alarm",
  LIQUIDATE: "alarm",
  CLOSE_ONLY: "alarm",
  WARNING: "caution",
  HELD: "caution",
  MET: "relief",
  RESCINDED: "relief",
  RECOVERED: "relief",
  RELEASED: "relief",
  LIFTED: "relief",
};

const tone = ({ kind, action }) =>
  kind === "notification" ? (BAD.has(action) ? "alarm" : "quiet") : (TONE[action] ?? "");

// A run's address, only where the id is one and the base was configured.
export function runLink(runId, base) {
  if (!runId) return "";
  if (!base || !/^https?:\/\//.test(base) || !/^[\w-]{1,64}$/.test(runId)) return visible(runId);
  return h(
    "a",
    { href: `${base.replace(/\/$/, "")}/runs/${runId}`, rel: "noreferrer", target: "_blank" },
    `run ${String(runId).slice(0, 8)}`,
  );
}

const leg = (p) =>
  `${visible(p.side).toLowerCase()} ${typeof p.qty === "number" ? shares(p.qty) : visible(p.qty)} ${visible(p.symbol)}${typeof p.estimated_proceeds === "number" ? ` for about ${dollars(p.estimated_proceeds)}` : ""}`;

function line(item, dagster, withAccount) {
  const orders = item.kind === "order" ? item.positions.map(leg).join(", ") : "";
  const text = [visible(item.text), orders].filter(Boolean).join(" · ");
  return h(
    "li",
    { class: `item ${item.kind}`, "data-n": item.n },
    h("time", null, time(item.timestamp)),
    h("span", { class: `kind ${tone(item)}` }, visible(item.action).replaceAll("_", " ").toLowerCase()),
    withAccount && h("a", { class: "id", href: accountLink(item.account_id) }, visible(item.account_id)),
    h(
      "span",
      { class: "amount", title: "deficiency" },
      item.deficiency === null ? "" : dollars(item.deficiency),
    ),
    h(
      "span",
      { class: "text" },
      text,
      item.due_at ? h("em", null, ` due ${time(item.due_at)}`) : null,
      item.channel ? ` by ${visible(item.channel)}` : null,
    ),
    h(
      "span",
      { class: "delivery" },
      item.kind === "notification"
        ? null
        : item.delivery.length
          ? item.delivery.map((d) =>
              h(
                "span",
                {
                  class: `state ${DONE.has(d.status) ? "done" : BAD.has(d.status) ? "bad" : ""}`,
                  title: visible(d.error ?? ""),
                },
                `${visible(d.channel ?? "notice")}: ${visible(d.status ?? "?").toLowerCase()}`,
              ),
            )
          : item.told
            ? h("span", { class: "state" }, "no notice yet")
            : null,
    ),
    h("span", { class: "run" }, runLink(item.run_id, dagster)),
  );
}

// As Kafka received them: topics have no order between them, and a replay may start over at an earlier day.
const newestFirst = (a, b) => (b.produced_at ?? 0) - (a.produced_at ?? 0) || b.n - a.n;

export const timeline = (items, dagster) =>
  items.length
    ? h(
        "ol",
        { class: "feed narrow" },
        [...items].sort(newestFirst).map((i) => line(i, dagster, false)),
      )
    : h("p", { class: "note" }, "no step has been taken on this account");

export class FeedView {
  constructor(box, desk) {
    Object.assign(this, {
      box,
      desk,
      shown: false,
      unseen: 0,
      kinds: new Set(["call", "restriction", "order", "notification"]),
      lines: new Map(),
    });
    this.list = h("ol", { class: "feed", id: "feed" });
    const chips = [...this.kinds].map((kind) =>
      h(
        "label",
        { class: "chip" },
        h("input", {
          type: "checkbox",
          checked: true,
          onchange: (e) => {
            this.kinds[e.target.checked ? "add" : "delete"](kind);
            this.#draw();
          },
        }),
        ` ${kind}s`,
      ),
    );
    box.replaceChildren(h("div", { class: "filters" }, chips), this.list);
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
    else if (this.started) {
      this.unseen += feed.length;
      $("feed-count").hidden = false;
      $("feed-count").textContent = this.unseen > 999 ? "999+" : String(this.unseen);
    }
    this.started = true;
  }

  #draw() {
    const items = [...this.desk.feed.values()]
      .filter((i) => this.kinds.has(i.kind))
      .sort(newestFirst)
      .slice(0, SHOWN);
    this.#write(
      items.length
        ? items.map((i) => this.#line(i))
        : [h("li", { class: "note" }, "nothing has happened yet")],
    );
    for (const n of this.lines.keys()) if (!items.some((i) => i.n === n)) this.lines.delete(n);
  }

  // A line is made anew only where its item changed, and moved only where it must: whoever reads it keeps selection and focus.
  #line(item) {
    const key = JSON.stringify(item),
      known = this.lines.get(item.n);
    if (known?.key === key) return known.node;
    const node = line(item, this.desk.facts.dagster_url, true);
    this.lines.set(item.n, { key, node });
    return node;
  }

  #write(nodes) {
    const kept = new Set(nodes);
    for (const node of [...this.list.children]) if (!kept.has(node)) node.remove();
    let at = this.list.firstChild;
    for (const node of nodes) {
      if (node === at) at = at.nextSibling;
      else this.list.insertBefore(node, at);
    }
  }
}
