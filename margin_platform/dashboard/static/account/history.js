// Equity, requirement and excess through the day or the month, with the steps of the ladder marked.
import { askQuietly } from "../ask.js";
import { h, note } from "../dom.js";
import { stepName, tone } from "../feed/line.js";
import { compact, counted, time } from "../format.js";
import { timeChart } from "../timechart.js";

const EVERY_MS = 10_000;
const SERIES = [
  { label: "equity", color: "--series-1" },
  { label: "applied requirement", color: "--series-2" },
  { label: "excess", color: "--series-4" },
];
const COLOR = { alarm: "--red", caution: "--yellow", relief: "--green" };

const markOf = (step) => {
  const name = stepName(step);
  return { at: step.timestamp, letter: name[0].toUpperCase(), color: COLOR[tone(step)] ?? "--dim", name };
};

// For a reader who cannot see the chart, and for tests: its ends, its lowest, and each step.
function inWords(points, marks) {
  const end = ([at, ...values], word) => {
    const figures = SERIES.map(({ label }, k) => `${label} ${compact(values[k])}`);
    return `${word} ${time(at)}: ${figures.join(", ")}`;
  };
  const lowest = points.reduce((a, b) => (b[3] < a[3] ? b : a));
  const ends = [end(points[0], "first"), end(points.at(-1), "last"), end(lowest, "lowest excess")];
  return [...ends, ...marks.map(({ at, name }) => `${name} ${time(at)}`)].join(". ");
}

export class History {
  constructor(box) {
    Object.assign(this, { box, span: "day", asked: 0, key: null, drop: null });
    this.chart = h("div", { class: "chart", id: "chart-history", role: "img" });
    this.said = note("");
    const choice = (span, label) => {
      const onclick = () => this.#choose(span);
      return h(
        "button",
        { type: "button", "data-span": span, "aria-pressed": span === "day", onclick },
        label,
      );
    };
    this.choices = h("div", { class: "filters choices" }, choice("day", "Day"), choice("month", "Month"));
    box.replaceChildren(this.choices, this.chart, this.said);
  }

  #choose(span) {
    this.span = span;
    for (const button of this.choices.children) {
      button.setAttribute("aria-pressed", button.dataset.span === span);
    }
    this.asked = 0;
    this.show(this.id);
  }

  // Called with each answer about the account. The table is read again every few seconds at most.
  async show(id) {
    this.id = id;
    if (performance.now() < this.asked + EVERY_MS && this.asked) return;
    this.asked = performance.now();
    const { span } = this;
    const answer = await askQuietly("/api/history", { id, span });
    if (answer && span === this.span && id === this.id && this.box.isConnected) this.#draw(answer);
  }

  themed() {
    this.key = null;
    if (this.answer) this.#draw(this.answer);
  }

  #draw(answer) {
    const key = JSON.stringify(answer);
    if (key === this.key) return;
    Object.assign(this, { key, answer });
    this.destroy();
    const { points, steps, upto, why } = answer;
    this.chart.hidden = !points.length;
    const marks = steps.map(markOf);
    const nothing = why ?? `no figure published in this ${this.span}`;
    const lines = `${counted(points.length, "published figure")}, ${counted(marks.length, "step")} marked`;
    this.said.textContent = points.length ? `${lines}; from ${time(answer.since)}` : nothing;
    if (!points.length) return;
    this.chart.setAttribute("aria-label", inWords(points, marks));
    this.drop = timeChart(this.chart, { points, series: SERIES, marks, upto });
  }

  destroy() {
    this.drop?.();
    this.drop = null;
    this.chart.replaceChildren();
  }
}
