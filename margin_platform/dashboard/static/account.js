// One account: the figure, what it is made of, what would change it, and what was done about it.
import { badge, fill, h, mark, num, signed, table, visible } from "./dom.js";
import { chart } from "./charts.js";
import { age, dollars, money, move, number, percent, shares, time } from "./format.js";
import { timeline } from "./feed.js";
import { marks, why } from "./why.js";
import { WhatIf } from "./whatif.js";

const REFRESH_MS = 1000;
const ANSWER_MS = 10_000;
const HELD = { REG_T: "Reg T", PORTFOLIO: "Portfolio" };

export class AccountView {
  constructor(box, desk) {
    Object.assign(this, { box, desk, id: null, parts: null, asked: 0 });
    this.whatif = new WhatIf();
  }

  show(id) {
    if (this.id !== id) {
      this.#drop();
      this.id = id;
      this.box.replaceChildren(h("p", { class: "note" }, "loading"));
      this.asked = 0;
    }
    this.#ask();
  }

  hide() {
    this.id = null;
    this.#drop();
  }

  themed() {
    if (this.answer) this.#fill(this.answer);
  }

  frame({ rows, feed }) {
    if (this.id === null) return;
    this.#figures();
    this.touch(rows);
    if (this.stale || (feed ?? []).some((item) => item.account_id === this.id)) this.#ask();
  }

  // A change may come in several parts, and only its last is a frame to show.
  touch(rows) {
    if (rows.some((r) => r[1] === this.id)) this.stale = true;
  }

  async #ask() {
    if (this.asking) {
      this.stale = true;
      return;
    }
    const wait = this.asked + REFRESH_MS - performance.now();
    if (wait > 0) {
      this.stale = true;
      return;
    }
    this.asking = true;
    this.stale = false;
    this.asked = performance.now();
    const id = this.id;
    try {
      const reply = await fetch(`/api/account?id=${encodeURIComponent(id)}`, {
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      const answer = await reply.json();
      if (id !== this.id) return;
      if (reply.status === 404) {
        this.#drop();
        this.box.replaceChildren(
          h("p", { class: "note" }, `Account ${visible(id)} has not been heard of on any topic.`),
        );
      } else this.#fill(answer);
    } catch {
      this.stale = true;
    } finally {
      this.asking = false;
      if (id !== this.id && this.id !== null) {
        this.asked = 0;
        this.#ask();
      }
    }
  }

  #drop() {
    for (const { plot } of Object.values(this.plots ?? {})) plot.destroy();
    Object.assign(this, { plots: {}, parts: null, answer: null, head: null });
  }

  // The page of an account is built once; then only the panels whose content is another one are replaced, so that a reader's
  // selection, hover and half-typed trade survive.
  #build() {
    const parts = (this.parts = {});
    const panel = (name, title, wide) =>
      h(
        "section",
        { class: `panel${wide ? " span2" : ""}` },
        h("h3", null, title),
        (parts[name] = h("div", { id: `account-${name}` })),
      );
    this.head = h("div", { class: "account-head" });
    this.box.replaceChildren(
      this.head,
      h(
        "div",
        { class: "panels" },
        panel("positions", "Positions and add-ons", true),
        panel("stress", "SPY scenarios"),
        panel("tims", "TIMS valuation points"),
        panel("rungs", "Distance to the next rung"),
        panel("cures", "Cheapest cures"),
        h("section", { class: "panel" }, h("h3", null, "What if"), this.whatif.node(this.id)),
        panel("ladder", "Ladder"),
      ),
    );
  }

  #fill(answer) {
    if (!this.parts) this.#build();
    this.answer = answer;
    const { explained } = answer;
    this.#write("positions", [answer.explained, answer.unexplained, answer.basis?.timestamp], () =>
      explained ? positions(answer) : unexplained(answer),
    );
    this.#write("rungs", [explained?.rungs, explained?.figures.excess], () =>
      explained?.rungs.length
        ? rungs(explained)
        : h("p", { class: "note" }, explained ? unpriced(explained) : "positions not known"),
    );
    this.#write("cures", [answer.cures, explained === null, explained?.figures.excess], () => cures(answer));
    this.#write("ladder", [answer.timeline], () => timeline(answer.timeline, this.desk.facts.dagster_url));
    this.#scenarios(answer);
    this.#points(answer);
    this.#figures();
  }

  #write(name, content, nodes) {
    fill(this.parts[name], content, nodes);
  }

  #plot(name, x, labels, series) {
    const key = JSON.stringify([labels, series.map((s) => s.label), document.documentElement.dataset.theme]);
    if (this.plots[name]?.key === key) {
      this.plots[name].plot.set(series.map((s) => s.values));
      return;
    }
    this.plots[name]?.plot.destroy();
    const box = h("div", { class: "chart", id: `chart-${name}` });
    this.#write(name, ["chart", key], () => box);
    this.plots[name] = { key, plot: chart(box, { x, labels, series }) };
  }

  #scenarios({ explained, basis, stress }) {
    const rows = explained?.figures.stress.length
      ? explained.figures.stress
      : (basis?.stress ?? stress ?? []);
    if (!rows.length) {
      this.#write("stress", [], () =>
        h("p", { class: "note" }, explained ? unpriced(explained) : "no scenario published"),
      );
      return;
    }
    const sorted = [...rows].sort((a, b) => a.scenario - b.scenario);
    this.#plot(
      "stress",
      "SPY",
      sorted.map((r) => move(r.scenario)),
      [
        { label: "equity", values: sorted.map((r) => r.equity_stressed), colour: "--series-1", kind: "line" },
        {
          label: "excess, requirement recomputed",
          values: sorted.map((r) => r.excess_recomputed ?? null),
          colour: "--series-2",
          kind: "bars",
        },
        {
          label: "excess, requirement held",
          values: sorted.map((r) => r.excess_stressed),
          colour: "--series-3",
          kind: "bars",
        },
      ],
    );
  }

  #points({ explained }) {
    if (!explained) {
      this.#write("tims", [], () => h("p", { class: "note" }, "positions not known"));
      return;
    }
    const { points, total, groups } = explained.tims;
    this.#plot(
      "tims",
      "point",
      points.map((p) => `${p > 0 ? "+" : "−"}${number(Math.abs(p), 1)}×`),
      [
        { label: "all groups, before offsets", values: total, colour: "--series-1", kind: "bars" },
        ...groups
          .slice(0, 3)
          .map((g, k) => ({
            label: visible(g.group),
            values: g.pnl,
            colour: `--series-${k + 2}`,
            kind: "line",
          })),
      ],
    );
    if (this.parts.tims.childElementCount === 1)
      this.parts.tims.append(
        h(
          "p",
          { class: "note" },
          "each point is that multiple of a class group's scan range, its largest price move under TIMS",
        ),
      );
  }

  // The head follows every frame; it is small.
  #figures() {
    const row = this.desk.store.find(this.id);
    if (!row || !this.head) return;
    const note = `calculated ${time(row.timestamp)} (${age(row.age)} ago on the event clock) · oldest price ${time(row.oldest_price)}${row.band ? ` · band ${visible(row.band)}` : ""}`;
    const key = JSON.stringify({ ...row, age: row.old ? age(row.age) : null });
    if (this.head.dataset.key === key) {
      this.head.lastChild.textContent = note;
      return;
    }
    this.head.dataset.key = key;
    const figure = (label, value, title) =>
      h(
        "div",
        { class: "figure-box", title },
        h("span", null, label),
        h("b", { class: String(value).startsWith("−") ? "negative" : null }, value),
      );
    this.head.replaceChildren(
      h(
        "h2",
        null,
        badge(row.colour),
        " ",
        h("span", { class: "id" }, visible(row.account_id)),
        " ",
        h("span", { class: "marks" }, marks(row.flags ?? 0).map(mark)),
      ),
      h("p", { class: "why" }, why(row, this.desk.facts.warn_frac)),
      h(
        "div",
        { class: "figures" },
        figure("Equity", dollars(row.equity)),
        figure("Requirement", dollars(row.requirement)),
        figure("Excess", dollars(row.excess)),
        figure("Excess %", percent(row.excess_pct)),
        figure("Reg T", dollars(row.reg_t)),
        figure("TIMS", dollars(row.tims)),
        figure("Saving", dollars(row.saving)),
        figure("Worst stressed excess", dollars(row.worst_stress)),
        figure("β exposure", dollars(row.beta_exposure)),
        figure("Held as", HELD[row.margin_type] ?? "–"),
      ),
      h("p", { class: "note" }, note),
    );
  }
}

const unpriced = ({ positions: rows }) =>
  `cannot be valued: no price of ${rows
    .filter((p) => p.price === null)
    .map((p) => visible(p.symbol))
    .join(", ")}`;

function unexplained(answer) {
  return h(
    "p",
    { class: "note" },
    answer.unexplained
      ? `The positions cannot be used: ${visible(answer.unexplained)}`
      : "The positions of this account are not known here: its fills are still being read, or are not on these brokers.",
  );
}

function positions({ explained, basis, calc }) {
  const { positions: rows, figures, agrees, policy_version: version } = explained;
  const head = [
    "Symbol",
    ...[
      "Qty",
      "Price",
      "Value",
      "Weight",
      "β",
      "σ",
      "Base",
      "Concentration",
      "Volatility",
      "Hard to borrow",
      "Cap",
      "Requirement",
      "Price of",
    ].map((x) => num(x)),
  ];
  const body = rows.map((p) => [
    visible(p.symbol),
    num(shares(p.qty)),
    num(money(p.price)),
    signed(p.market_value, money(p.market_value)),
    num(percent(p.weight)),
    num(number(p.beta)),
    num(percent(p.sigma, 0)),
    num(money(p.base)),
    num(money(p.concentration), p.concentration ? "hot" : ""),
    num(money(p.volatility), p.volatility ? "hot" : ""),
    num(money(p.hard_to_borrow)),
    num(money(p.cap)),
    num(money(p.requirement), "strong"),
    num(p.price_timestamp ? time(p.price_timestamp, { date: false }) : "–"),
  ]);
  const source = basis.calc_id
    ? `as published ${time(basis.timestamp)}, calculation ${visible(basis.calc_id)}`
    : `as the book stood at ${time(basis.timestamp)}`;
  const differs = `gives requirement ${dollars(figures.requirement)} and equity ${dollars(figures.equity)}; published ${time(calc?.timestamp)}: ${dollars(calc?.requirement)} and ${dollars(calc?.equity)}`;
  const sum = (field) =>
    rows.some((p) => p[field] === null) ? null : rows.reduce((all, p) => all + p[field], 0);
  const parts = ["base", "concentration", "volatility", "hard_to_borrow", "cap", "requirement"];
  const total = [
    "Sum",
    "",
    "",
    num(money(sum("market_value"))),
    "",
    "",
    "",
    ...parts.map((field) => num(money(sum(field)), "strong")),
    "",
  ];
  const binding = `Rule-based maintenance requirement ${dollars(figures.maintenance_req)}, TIMS ${dollars(figures.portfolio_margin_req)}; the account is held as ${HELD[basis.margin_type] ?? "Reg T"}: requirement ${dollars(figures.requirement)}.`;
  return [
    table(head, rows.length > 1 ? [...body, total] : body, {
      caption: "Rule-based maintenance requirement by position, dollars",
      empty: "no positions",
    }),
    figures.equity !== null && h("p", { class: "note", id: "binding" }, binding),
    h(
      "p",
      { class: "note" },
      `${source}, policy ${visible(version)}. Computed by the kernel: `,
      h(
        "b",
        { class: agrees ? "agrees" : "differs" },
        figures.equity === null ? unpriced(explained) : agrees ? "equals the published figure" : differs,
      ),
      ".",
    ),
  ];
}

function rungs({ rungs: rows, figures }) {
  const scale = Math.max(...rows.map((r) => Math.abs(r.distance)), 1);
  const next = rows.filter((r) => r.distance >= 0).sort((a, b) => a.distance - b.distance)[0];
  return h(
    "div",
    { class: "rungs" },
    rows.map((r) => {
      const fill = h("i", { class: r.distance < 0 ? "past" : "" });
      fill.style.width = `${Math.min(100, (100 * Math.abs(r.distance)) / scale)}%`;
      return h(
        "div",
        { class: `rung${r === next ? " next" : ""}` },
        h("span", null, r === next ? "next: " : "", r.rung.replace("_", " ").toLowerCase()),
        h("div", { class: "track" }, fill),
        h(
          "b",
          { class: r.distance < 0 ? "negative" : "" },
          r.distance < 0 ? `past by ${dollars(-r.distance)}` : dollars(r.distance),
        ),
        h(
          "small",
          null,
          r.rule,
          "spy_move" in r && figures.excess >= 0
            ? r.spy_move === null
              ? "; no SPY move within 40% reaches it"
              : `; reached at SPY ${move(r.spy_move)}`
            : "",
        ),
      );
    }),
  );
}

function cures({ cures: rows, explained }) {
  if (!explained) return h("p", { class: "note" }, "positions not known");
  if (!rows.length)
    return h(
      "p",
      { class: "note" },
      explained.figures.excess === null ? unpriced(explained) : "nothing to cure: the excess is not negative",
    );
  const name = {
    DEPOSIT_CASH: "deposit cash",
    DEPOSIT_STOCK: "deposit fully paid stock",
    SELL: "sell",
    BUY_TO_COVER: "buy to cover",
  };
  return table(
    ["Cure", num("Quantity"), num("Dollars"), num("Excess after")],
    rows.map((c) => [
      `${name[c.action]} ${visible(c.symbol ?? "")}`,
      num(shares(c.qty)),
      num(money(c.amount)),
      num(money(c.excess_after)),
    ]),
    { caption: "Each alone cures the call; by the kernel, at the mark" },
  );
}
