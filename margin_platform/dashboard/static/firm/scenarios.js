// The firm by SPY scenario: a chart, a table, and where it stands against its limits.
import { accountsWhere } from "../accounts/selection.js";
import { chart } from "../chart.js";
import { fill, h, note } from "../dom.js";
import { compact, count, money, move, time } from "../format.js";
import { num, signed, table } from "../table.js";

const HEADINGS = ["SPY", num("Clients' P&L"), num("Firm loss"), num("Calls expected")];
const LEVEL = {
  CLEAR: { text: "within limit", tone: "" },
  WARNING: { text: "near limit", tone: "hot" },
  BREACH: { text: "limit breached", tone: "negative" },
};
const UNKNOWN_LEVEL = { text: "level not known", tone: null };

export function scenarioRows(events) {
  const known = [...events].filter(({ scenario }) => Number.isFinite(Number(scenario)));
  return known.sort((a, b) => a.scenario - b.scenario);
}

const spy = ({ scenario }) => move(Number(scenario));

const series = (rows) => [
  {
    label: "clients' P&L",
    values: rows.map((row) => row.firm_delta_pnl),
    color: "--series-1",
    kind: "bars",
  },
  {
    label: "firm loss (unsecured), below zero",
    values: rows.map(({ firm_loss: loss }) => (loss === null ? null : -loss)),
    color: "--series-2",
    kind: "bars",
  },
];

function figures(rows) {
  const lines = rows.map((row) => [
    h("a", { href: accountsWhere({ fails: String(row.scenario) }) }, spy(row)),
    signed(row.firm_delta_pnl, money(row.firm_delta_pnl)),
    num(money(row.firm_loss)),
    num(count(row.calls_expected)),
  ]);
  const caption = `Firm risk by scenario, dollars, as of ${time(rows[0].timestamp)}`;
  return table(HEADINGS, lines, { caption });
}

// The level of a limit is the server's.
function limit(name, { amount, limit: ceiling, level }) {
  const { text, tone } = LEVEL[level] ?? UNKNOWN_LEVEL;
  const standing = h("b", { class: tone }, `${text} (${compact(ceiling)})`);
  return h("p", null, `${name} ${compact(amount)}: `, standing);
}

function limits(now) {
  if (!now) return [];
  return [
    now.old && note(`The firm's figures have not been updated since ${time(now.written_at)}.`),
    limit("Beta-weighted exposure", now.exposure),
    limit(`Loss at SPY ${spy(now.loss)}`, now.loss),
  ];
}

export class ScenariosPanel {
  constructor(box) {
    Object.assign(this, { box, plot: null, key: null });
  }

  themed() {
    this.plot?.destroy();
    this.plot = null;
  }

  draw(rows, now) {
    if (!rows.length) {
      this.themed();
      this.box.replaceChildren(note("no firm risk published yet"));
      return;
    }
    this.#plot(rows.map(spy), series(rows));
    fill(this.tableBox, [rows, now], () => [...limits(now), figures(rows)]);
  }

  #plot(labels, lines) {
    const key = labels.join();
    if (this.plot && this.key === key) {
      this.plot.set(lines.map(({ values }) => values));
      return;
    }
    this.plot?.destroy();
    const chartBox = h("div", { class: "chart", id: "chart-firm" });
    this.tableBox = h("div");
    this.box.replaceChildren(chartBox, this.tableBox);
    this.plot = chart(chartBox, { x: "SPY", labels, height: 220, series: lines });
    this.key = key;
  }
}
