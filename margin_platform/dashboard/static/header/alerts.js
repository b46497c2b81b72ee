// Alerts: what has just become so and needs a person. Each stays until it is dismissed, and each kind can be
// switched off. The levels and lags are the server's.
import { $, accountLink, h } from "../dom.js";
import { compact, count, dollars, time } from "../format.js";

const KINDS = {
  severe: "New severe call",
  limit: "Limit near or breached",
  feed: "Data delay",
  enforcement: "Enforcement delay",
};
const KEPT = "margin-alerts-off";
const SHOWN = 6;
const OPENING = new Set(["MARGIN_CALL", "AMENDED"]);
const LEVEL = { WARNING: "near limit", BREACH: "limit breached" };

const switchedOff = () => new Set((localStorage.getItem(KEPT) ?? "").split(","));

// What holds now, by key: a key that appears is an alert. wasLive: a page that was not live yet has no delay.
function conditions({ firm_now: firm, health, enforcement }, wasLive) {
  const found = [];
  for (const [name, limit] of [
    ["Beta-weighted exposure", firm?.exposure],
    ["Firm loss", firm?.loss],
  ]) {
    const level = LEVEL[limit?.level];
    const text = level && `${name} ${compact(limit.amount)}: ${level} (${compact(limit.limit)})`;
    if (level) found.push({ kind: "limit", key: `${name} ${limit.level}`, content: [text] });
  }
  for (const { code, text, since } of wasLive ? health.reasons : []) {
    found.push({ kind: "feed", key: code, content: [`${text} since ${time(since)}`] });
  }
  if (enforcement?.late) {
    const { undecided, since } = enforcement;
    const text = `Enforcement is ${count(undecided)} status events behind, as of ${time(since)}`;
    found.push({ kind: "enforcement", key: "late", content: [text] });
  }
  return found;
}

function severeCall({ n, account_id: account, deficiency }) {
  const content = ["Severe call ", accountLink(account), `, short by ${dollars(deficiency)}`];
  return { kind: "severe", key: `call ${n}`, content };
}

export class Alerts {
  constructor() {
    this.holding = new Set();
    this.wasLive = false;
    this.calls = null; // numbers of the calls seen; null before the first frame is whole
    this.off = switchedOff();
    $("alerts-switches").append(...Object.entries(KINDS).map(([kind, label]) => this.#switch(kind, label)));
    $("alerts-open").addEventListener("click", ({ currentTarget: button }) => {
      const open = $("alerts-switches").hidden;
      $("alerts-switches").hidden = !open;
      button.setAttribute("aria-expanded", open);
    });
  }

  #switch(kind, label) {
    const onchange = ({ target }) => {
      if (target.checked) this.off.delete(kind);
      else this.off.add(kind);
      localStorage.setItem(KEPT, [...this.off].filter(Boolean).join());
      for (const shown of $("alerts").querySelectorAll(`[data-kind="${kind}"]`)) shown.remove();
    };
    const box = h("input", { type: "checkbox", value: kind, checked: !this.off.has(kind), onchange });
    return h("label", { class: "chip" }, box, ` ${label}`);
  }

  frame(detail) {
    this.wasLive ||= detail.health.live;
    const now = conditions(detail, this.wasLive);
    for (const alert of now) if (!this.holding.has(alert.key)) this.#show(alert);
    this.holding = new Set(now.map(({ key }) => key));
    if (detail.seq !== null) this.#newCalls(detail.feed ?? []);
  }

  // What was there before the page opened is in the worklist, and no news.
  #newCalls(items) {
    const severe = items.filter(({ severe: is, action }) => is && OPENING.has(action));
    const news = this.calls ? severe.filter(({ n }) => !this.calls.has(n)) : [];
    this.calls ??= new Set();
    for (const { n } of severe) this.calls.add(n);
    for (const item of news) this.#show(severeCall(item));
  }

  // The server restarted: its numbers are new.
  restart() {
    this.calls = null;
  }

  #show({ kind, content }) {
    if (this.off.has(kind)) return;
    const dismiss = h("button", { type: "button", onclick: () => line.remove() }, "Dismiss");
    const line = h("li", { "data-kind": kind }, h("span", null, content), " ", dismiss);
    const list = $("alerts");
    list.prepend(line);
    while (list.children.length > SHOWN) list.lastChild.remove();
  }
}
