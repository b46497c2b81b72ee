// The firm: scenarios, who contributes, what portfolio margin saves, and where the clients are concentrated.
import { accountLink, badge, fill, h, num, signed, table, visible } from "./dom.js";
import { chart } from "./charts.js";
import { compact, count, money, move, percent, time } from "./format.js";

const EVERY_MS = 2000;
const TOP = 10;
const ANSWER_MS = 10_000;
const PANELS = [
  ["scenarios", "SPY scenarios", true],
  ["contributors", "Top contributors to the firm's loss"],
  ["exposure", "Largest beta exposures"],
  ["weakest", "Weakest in stress"],
  ["concentration", "Concentration by symbol"],
  ["savings", "Savings of hedged portfolios", true],
];

export class FirmView {
  constructor(box, desk) {
    Object.assign(this, { box, desk, shown: false, drawn: 0, plot: null });
    const parts = {};
    const nodes = PANELS.map(([name, title, span]) =>
      h(
        "section",
        { class: `panel${span ? " span2" : ""}` },
        h("h3", null, title),
        name === "savings" && (parts.saved = h("div")),
        (parts[name] = h("div", { id: `firm-${name}` })),
      ),
    );
    this.parts = parts;
    box.replaceChildren(h("div", { class: "panels" }, nodes));
  }

  show() {
    this.shown = true;
    this.drawn = 0;
    this.#draw();
  }

  hide() {
    this.shown = false;
  }

  themed() {
    this.plot?.destroy();
    this.plot = null;
    if (this.shown) {
      this.drawn = 0;
      this.#draw();
    }
  }

  frame() {
    if (this.shown) this.#draw();
  }

  #draw() {
    if (performance.now() - this.drawn < EVERY_MS && this.drawn) return;
    this.drawn = performance.now();
    this.#scenarios();
    this.#accounts();
    this.#concentration();
  }

  #scenarios() {
    const rows = [...this.desk.firm]
      .filter((r) => Number.isFinite(Number(r.scenario)))
      .sort((a, b) => a.scenario - b.scenario);
    if (!rows.length) {
      fill(this.parts.scenarios, null, () => h("p", { class: "note" }, "no firm.risk.v1 event yet"));
      return;
    }
    const labels = rows.map((r) => move(Number(r.scenario))),
      key = labels.join();
    const values = [
      rows.map((r) => r.firm_delta_pnl),
      rows.map((r) => (r.firm_loss === null ? null : -r.firm_loss)),
    ];
    if (!this.plot || this.key !== key || !this.chartBox.isConnected) {
      this.plot?.destroy();
      this.chartBox = h("div", { class: "chart", id: "chart-firm" });
      this.tableBox = h("div");
      this.parts.scenarios.replaceChildren(this.chartBox, this.tableBox);
      this.plot = chart(this.chartBox, {
        x: "SPY",
        labels,
        height: 220,
        series: [
          { label: "clients' P&L", values: values[0], colour: "--series-1", kind: "bars" },
          {
            label: "firm loss (unsecured), below zero",
            values: values[1],
            colour: "--series-2",
            kind: "bars",
          },
        ],
      });
      this.key = key;
    } else this.plot.set(values);
    fill(this.tableBox, [rows, this.desk.firmNow], () => [
      ...limits(this.desk.firmNow),
      table(
        ["SPY", num("Clients' P&L"), num("Firm loss"), num("Calls expected")],
        rows.map((r) => [
          move(Number(r.scenario)),
          signed(r.firm_delta_pnl, money(r.firm_delta_pnl)),
          num(money(r.firm_loss)),
          num(count(r.calls_expected)),
        ]),
        { caption: `Firm risk by scenario, dollars, as of ${time(rows[0].timestamp)}` },
      ),
    ]);
    const worst = rows.reduce((a, b) => (b.firm_loss > a.firm_loss ? b : a));
    fill(this.parts.contributors, worst, () =>
      table(
        ["Account", num("Unsecured")],
        (worst.top_contributors ?? []).map((c) => [
          h("a", { class: "id", href: accountLink(c.account_id) }, visible(c.account_id)),
          num(money(c.amount)),
        ]),
        {
          caption: `What accounts would owe beyond what they hold at SPY ${move(Number(worst.scenario))}, dollars`,
          empty: "no account would owe more than it holds",
        },
      ),
    );
  }

  #accounts() {
    const { store } = this.desk,
      { numbers, texts } = store;
    const show = (name, found, columns, headings, caption) => {
      const rows = found.map((i) => store.row(i));
      fill(
        this.parts[name],
        rows.map((r) => [r.account_id, r.colour, ...columns.map((c) => r[c])]),
        () =>
          table(
            ["Account", ...headings.map((x) => num(x))],
            rows.map((r) => [
              h(
                "span",
                null,
                badge(r.colour),
                " ",
                h("a", { class: "id", href: accountLink(r.account_id) }, visible(r.account_id)),
              ),
              ...columns.map((c) => signed(r[c], money(r[c]))),
            ]),
            { caption },
          ),
      );
    };
    show(
      "weakest",
      store.top("worst_stress", (x) => x, TOP),
      ["worst_stress", "equity", "excess"],
      ["Worst stressed excess", "Equity", "Excess"],
      "Accounts by their lowest excess in any SPY scenario, dollars",
    );
    show(
      "exposure",
      store.top("beta_exposure", (x) => -Math.abs(x), TOP),
      ["beta_exposure", "gross_mv", "excess"],
      ["β exposure", "Gross", "Excess"],
      "Accounts by beta-weighted exposure, dollars",
    );
    show(
      "savings",
      store.top("saving", (x) => -x, TOP),
      ["reg_t", "tims", "saving", "beta_exposure", "gross_mv"],
      ["Reg T", "TIMS", "Saving", "β exposure", "Gross"],
      "Largest savings, dollars; a hedged account has little β exposure for its gross value",
    );
    let saved = 0,
      better = 0,
      regT = 0,
      tims = 0,
      had = 0,
      holders = 0;
    for (const i of store.byId.values()) {
      if (!(numbers.saving[i] > 0)) continue;
      saved += numbers.saving[i];
      better++;
      regT += numbers.reg_t[i];
      tims += numbers.tims[i];
      if (texts.margin_type[i] === "PORTFOLIO") {
        had += numbers.saving[i];
        holders++;
      }
    }
    fill(this.parts.saved, [saved, better, regT, tims, had, holders, store.size], () =>
      h(
        "p",
        { class: "lead" },
        h("b", null, compact(saved)),
        ` less by portfolio margin for ${count(better)} of ${count(store.size)} accounts: ${compact(tims)} instead of ${compact(regT)}${regT ? ` (${percent(saved / regT)} less)` : ""}. `,
        `${compact(had)} of it is had by the ${count(holders)} held as Portfolio; the rest would be, were the others held so.`,
      ),
    );
  }

  async #concentration() {
    const reply = await fetch("/api/concentration", { signal: AbortSignal.timeout(ANSWER_MS) }).catch(
      () => null,
    );
    if (!reply?.ok || !this.shown) return;
    const answer = await reply.json(),
      { ready, accounts, gross, symbols, unpriced_positions: unpriced } = answer;
    fill(this.parts.concentration, answer, () =>
      !ready
        ? h("p", { class: "note" }, "the book is still being read")
        : [
            table(
              ["Symbol", num("Long"), num("Short"), num("Net"), num("Share"), num("Holders")],
              symbols
                .slice(0, 15)
                .map((s) => [
                  visible(s.symbol),
                  num(money(s.long)),
                  num(money(s.short)),
                  signed(s.net, money(s.net)),
                  num(percent(s.share)),
                  num(count(s.holders)),
                ]),
              { caption: "Market value by symbol, dollars" },
            ),
            h(
              "p",
              { class: "note" },
              `over all positions of ${count(accounts)} accounts, gross ${compact(gross)}${unpriced ? `; ${count(unpriced)} positions without a price left out` : ""}`,
            ),
          ],
    );
  }
}

// Where the firm stands against its limits; the levels are the server's.
function limits(now) {
  const level = { CLEAR: ["within", ""], WARNING: ["near", "hot"], BREACH: ["beyond", "negative"] };
  const line = (what, { amount, limit, level: name }) =>
    h(
      "p",
      null,
      `${what} ${compact(amount)}: `,
      h(
        "b",
        { class: level[name]?.[1] },
        `${level[name]?.[0] ?? "unknown against"} the limit of ${compact(limit)}`,
      ),
    );
  const silent =
    now?.old &&
    h("p", { class: "note" }, `The firm's figures were not renewed since ${time(now.written_at)}.`);
  return now
    ? [
        silent,
        line("Beta-weighted exposure", now.exposure),
        line(`Loss at SPY ${move(Number(now.loss.scenario))}`, now.loss),
      ].filter(Boolean)
    : [];
}
