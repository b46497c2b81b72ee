// The two charts of an account: equity and excess over SPY moves, and the TIMS valuation points.
import { chart } from "../chart.js";
import { h, note, visible } from "../dom.js";
import { compact, count, move, number } from "../format.js";
import { UNKNOWN_POSITIONS, unpriced } from "./unpriced.js";

const GROUPS_SHOWN = 3;
const POINTS_NOTE =
  "each point is that multiple of a class group's scan range, its largest price move under TIMS";

const multiple = (point) => `${point > 0 ? "+" : "−"}${number(Math.abs(point), 1)}×`;

function stressSeries(rows) {
  const values = (field) => rows.map((row) => row[field] ?? null);
  return [
    { label: "equity", values: values("equity_stressed"), color: "--series-1", kind: "line" },
    {
      label: "excess, requirement recomputed",
      values: values("excess_recomputed"),
      color: "--series-2",
      kind: "bars",
    },
    {
      label: "excess, requirement unchanged",
      values: values("excess_stressed"),
      color: "--series-3",
      kind: "bars",
    },
  ];
}

function timsSeries({ total, groups }) {
  const largest = groups.slice(0, GROUPS_SHOWN).map(({ group, pnl }, k) => ({
    label: visible(group),
    values: pnl,
    color: `--series-${k + 2}`,
    kind: "line",
  }));
  return [
    { label: "all groups, before offsets", values: total, color: "--series-1", kind: "bars" },
    ...largest,
  ];
}

// The point that asks for most, and what the chart leaves out.
function timsNote({ points, total, groups, binding }) {
  const drawn = Math.min(GROUPS_SHOWN, groups.length);
  const worst = binding === null ? "no point loses" : `binding point ${multiple(points[binding])}`;
  const lost = binding === null ? "" : `, ${compact(total[binding])} before offsets`;
  return `${worst}${lost}; ${count(drawn)} of ${count(groups.length)} groups drawn; ${POINTS_NOTE}`;
}

// One chart in its box. It is built again only when its labels, its series or the theme change.
class Plot {
  constructor(box, name, x) {
    Object.assign(this, { box, name, x, plot: null, key: null });
  }

  show(labels, series, { mark = null, more = [] } = {}) {
    const theme = document.documentElement.dataset.theme;
    const key = JSON.stringify([labels, series.map(({ label }) => label), theme]);
    if (this.key === key) {
      this.plot.set(
        series.map(({ values }) => values),
        mark,
      );
      return;
    }
    this.destroy();
    const box = h("div", { class: "chart", id: `chart-${this.name}` });
    this.box.replaceChildren(box, ...more);
    this.plot = chart(box, { x: this.x, labels, series, mark });
    this.key = key;
  }

  say(text) {
    if (this.key === text) return;
    this.destroy();
    this.box.replaceChildren(note(text));
    this.key = text;
  }

  destroy() {
    this.plot?.destroy();
    this.plot = null;
  }
}

export class AccountCharts {
  constructor(stressBox, timsBox) {
    this.stress = new Plot(stressBox, "stress", "SPY");
    this.tims = new Plot(timsBox, "tims", "point");
  }

  show({ explained, basis, stress }) {
    this.#showStress(
      explained,
      explained?.figures.stress.length ? explained.figures.stress : (basis?.stress ?? stress),
    );
    this.#showTims(explained);
  }

  #showStress(explained, scenarios) {
    if (!scenarios?.length) {
      this.stress.say(explained ? unpriced(explained) : "no scenario published");
      return;
    }
    const rows = [...scenarios].sort((a, b) => a.scenario - b.scenario);
    this.stress.show(
      rows.map(({ scenario }) => move(scenario)),
      stressSeries(rows),
    );
  }

  #showTims(explained) {
    if (explained) {
      const { tims } = explained;
      const text = timsNote(tims);
      if (this.timsNote?.isConnected) this.timsNote.textContent = text;
      else this.timsNote = note(text);
      const mark = tims.binding === null ? null : { at: tims.binding, text: "binding point" };
      this.tims.show(tims.points.map(multiple), timsSeries(tims), { mark, more: [this.timsNote] });
    } else this.tims.say(UNKNOWN_POSITIONS);
  }

  destroy() {
    this.stress.destroy();
    this.tims.destroy();
  }
}
