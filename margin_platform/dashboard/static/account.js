// One account: the figure, what it is made of, what would change it, and what was done about it.
import { badge, h, num, signed, table, visible } from "./dom.js";
import { chart } from "./charts.js";
import { age, dollars, money, move, number, percent, shares, time } from "./format.js";
import { timeline } from "./feed.js";
import { marks, why } from "./why.js";
import { WhatIf } from "./whatif.js";

const REFRESH_MS = 1000;

export class AccountView {
  constructor(box, desk) {
    Object.assign(this, { box, desk, id: null, charts: [], shownSeq: -1, asked: 0 });
    this.whatif = new WhatIf();
  }

  show(id) {
    if (this.id !== id) { this.id = id; this.box.replaceChildren(h("p", { class: "note" }, "loading")); this.built = null; this.asked = 0; }
    this.#ask();
  }

  hide() { this.id = null; this.#drop(); }

  themed() { if (this.answer) this.#build(this.answer); }

  frame({ rows, feed }) {
    if (this.id === null) return;
    this.#figures();
    const touched = rows.some((r) => r[1] === this.id) || (feed ?? []).some((item) => item.account_id === this.id);
    if (touched || this.stale) this.#ask();
  }

  async #ask() {
    if (this.asking) { this.stale = true; return; }
    const wait = this.asked + REFRESH_MS - performance.now();
    if (wait > 0) { this.stale = true; return; }
    this.asking = true;
    this.stale = false;
    this.asked = performance.now();
    const id = this.id;
    try {
      const reply = await fetch(`/api/account?id=${encodeURIComponent(id)}`);
      const answer = await reply.json();
      if (id !== this.id) return;
      if (reply.status === 404) this.box.replaceChildren(h("p", { class: "note" }, `Account ${visible(id)} has not been heard of on any topic.`));
      else this.#build(answer);
    } catch { this.stale = true; } finally { this.asking = false; if (id !== this.id && this.id !== null) { this.asked = 0; this.#ask(); } }
  }

  #drop() { for (const c of this.charts) c.destroy(); this.charts = []; this.answer = null; this.built = null; }

  #build(answer) {
    // Nothing published anew: leave the page, and whatever the reader has selected in it, alone.
    const key = JSON.stringify([answer.status?.calc_id, answer.timeline, answer.flags, document.documentElement.dataset.theme]);
    if (this.built === key) return;
    for (const c of this.charts) c.destroy();
    this.charts = [];
    this.built = key;
    this.answer = answer;
    this.head = h("div", { class: "account-head" });
    const explained = answer.explained;
    this.box.replaceChildren(this.head, h("div", { class: "panels" },
      h("section", { class: "panel span2" }, h("h3", null, "Positions and add-ons"), explained ? positions(explained, answer.status) : unexplained(answer)),
      h("section", { class: "panel" }, h("h3", null, "SPY scenarios"), this.stress = h("div", { class: "chart", id: "chart-stress" })),
      h("section", { class: "panel" }, h("h3", null, "TIMS valuation points"), this.tims = h("div", { class: "chart", id: "chart-tims" })),
      h("section", { class: "panel" }, h("h3", null, "Distance to the next rung"), explained ? rungs(explained) : null),
      h("section", { class: "panel" }, h("h3", null, "Cheapest cures"), cures(answer)),
      h("section", { class: "panel" }, h("h3", null, "What if"), this.whatif.node(this.id)),
      h("section", { class: "panel" }, h("h3", null, "Ladder"), timeline([...answer.timeline].reverse(), this.desk.facts.dagster_url))));
    this.#charts(answer);
    this.#figures();
  }

  #charts({ explained, stress, status }) {
    const rows = explained?.figures.stress.length ? explained.figures.stress : (status?.stress ?? stress ?? []);
    if (rows.length) {
      const sorted = [...rows].sort((a, b) => a.scenario - b.scenario);
      this.charts.push(chart(this.stress, { labels: sorted.map((r) => move(r.scenario)), series: [
        { label: "equity", values: sorted.map((r) => r.equity_stressed), colour: "--series-1", kind: "line" },
        { label: "excess, requirement recomputed", values: sorted.map((r) => r.excess_recomputed ?? null), colour: "--series-2", kind: "bars" },
        { label: "excess, requirement held", values: sorted.map((r) => r.excess_stressed), colour: "--series-3", kind: "bars" }] }));
    } else this.stress.append(h("p", { class: "note" }, "no scenario published"));
    if (explained) {
      const { points, total, groups } = explained.tims;
      this.charts.push(chart(this.tims, { labels: points.map((p) => move(p)), series: [{ label: "all groups, before offsets", values: total, colour: "--series-1", kind: "bars" },
        ...groups.slice(0, 3).map((g, k) => ({ label: visible(g.group), values: g.pnl, colour: `--series-${k + 2}`, kind: "line" }))] }));
      this.tims.append(h("p", { class: "note" }, "points as shares of each class group's scan range"));
    } else this.tims.append(h("p", { class: "note" }, "no positions published"));
  }

  // The head follows every frame; it is small.
  #figures() {
    const row = this.desk.store.find(this.id);
    if (!row || !this.head) return;
    const figure = (label, value, title) => h("div", { class: "figure-box", title }, h("span", null, label), h("b", { class: String(value).startsWith("−") ? "negative" : null }, value));
    this.head.replaceChildren(
      h("h2", null, badge(row.colour), " ", h("span", { class: "id" }, visible(row.account_id)), " ", h("span", { class: "marks" }, marks(row.flags ?? 0).map(([, letter, title]) => h("b", { title }, letter)))),
      h("p", { class: "why" }, why(row, this.desk.facts.warn_frac, row.old)),
      h("div", { class: "figures" }, figure("Equity", dollars(row.equity)), figure("Requirement", dollars(row.requirement)), figure("Excess", dollars(row.excess)),
        figure("Excess %", percent(row.excess_pct)), figure("Reg T", dollars(row.reg_t)), figure("TIMS", dollars(row.tims)), figure("Saving", dollars(row.saving)),
        figure("Worst stressed excess", dollars(row.worst_stress)), figure("β exposure", dollars(row.beta_exposure)), figure("Held as", { REG_T: "Reg T", PORTFOLIO: "Portfolio" }[row.margin_type] ?? "–")),
      h("p", { class: "note" }, `calculated ${time(row.timestamp)} (${age(row.age)} ago on the event clock) · oldest price ${time(row.oldest_price)} · band ${visible(row.band ?? "–")}`));
  }
}

function unexplained(answer) {
  return h("p", { class: "note" }, answer.unexplained ? `The published positions cannot be used: ${visible(answer.unexplained)}`
    : "No positions have been published for this account yet: margin.status.v1 carries them when its band changes.");
}

function positions({ positions: rows, figures, agrees, policy_version: version }, status) {
  const head = ["Symbol", ...["Qty", "Price", "Value", "Weight", "β", "σ", "Base", "Concentration", "Volatility", "Hard to borrow", "Cap", "Requirement", "Price of"].map((x) => num(x))];
  const body = rows.map((p) => [visible(p.symbol), num(shares(p.qty)), num(money(p.price)), signed(p.market_value, money(p.market_value)), num(percent(p.weight)), num(number(p.beta)), num(percent(p.sigma, 0)),
    num(money(p.base)), num(money(p.concentration), p.concentration ? "hot" : ""), num(money(p.volatility), p.volatility ? "hot" : ""), num(money(p.hard_to_borrow)), num(money(p.cap)), num(money(p.requirement), "strong"), num(p.price_timestamp ? time(p.price_timestamp, { date: false }) : "–")]);
  return [table(head, body, { caption: "Fixed-percentage requirement by position, dollars", empty: "no positions" }),
    h("p", { class: "note" }, `as published ${time(status.timestamp)}, calculation ${visible(status.calc_id)}, policy ${visible(version)}. Recomputed by the kernel: `,
      h("b", { class: agrees ? "agrees" : "negative" }, agrees ? "equals the published figure" : `gives requirement ${dollars(figures.requirement)} and equity ${dollars(figures.equity)}, not the published ones`), ".")];
}

function rungs({ rungs: rows, figures }) {
  const scale = Math.max(...rows.map((r) => Math.abs(r.distance)), 1);
  return h("div", { class: "rungs" }, rows.map((r) => {
    const fill = h("i", { class: r.distance < 0 ? "past" : "" });
    fill.style.width = `${Math.min(100, (100 * Math.abs(r.distance)) / scale)}%`;
    return h("div", { class: "rung" }, h("span", null, r.rung.replace("_", " ").toLowerCase()), h("div", { class: "track" }, fill),
      h("b", { class: r.distance < 0 ? "negative" : "" }, r.distance < 0 ? `past by ${dollars(-r.distance)}` : dollars(r.distance)),
      h("small", null, r.rule, "spy_move" in r && figures.excess >= 0 ? (r.spy_move === null ? "; no SPY move within 40% reaches it" : `; reached at SPY ${move(r.spy_move)}`) : ""));
  }));
}

function cures({ cures: rows, explained }) {
  if (!explained) return h("p", { class: "note" }, "no positions published");
  if (!rows.length) return h("p", { class: "note" }, explained.figures.excess === null ? "the account cannot be valued: a price is missing" : "nothing to cure: the excess is not negative");
  const name = { DEPOSIT_CASH: "deposit cash", DEPOSIT_STOCK: "deposit fully paid stock", SELL: "sell", BUY_TO_COVER: "buy to cover" };
  return table(["Cure", num("Quantity"), num("Dollars"), num("Excess after")], rows.map((c) => [`${name[c.action]} ${visible(c.symbol ?? "")}`, num(shares(c.qty)), num(money(c.amount)), num(money(c.excess_after))]), { caption: "Each alone cures the call; by the kernel, at the mark" });
}
