// The two kinds of chart, on uPlot: bars over named points, and lines. Colors come from the page's theme.
import { compact } from "./format.js";
import uPlot from "./vendor/uPlot.esm.js";

const LABEL_WIDTH = 54; // pixels a label needs: on a narrower chart every other one is left out
const NARROWEST = 260;
export const FONT = "11px system-ui";

export const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const withoutZeros = (text) => text.replace(/\.0+(?=[KMBT]?$)/, "");

export function padded(low, high) {
  const pad = (high - low || 1) * 0.08;
  return [low < 0 ? low - pad : 0, high > 0 ? high + pad : 0];
}

function labelAxis(labels) {
  const crowded = (plot) => plot.width < labels.length * LABEL_WIDTH;
  return {
    stroke: themed("--dim"),
    grid: { show: false },
    ticks: { show: false },
    font: FONT,
    size: 28,
    splits: () => labels.map((_, i) => i),
    values: (plot) => labels.map((text, i) => (crowded(plot) && i % 2 ? "" : text)),
  };
}

export const dollarAxis = () => ({
  stroke: themed("--dim"),
  grid: { stroke: themed("--rule"), width: 1 },
  ticks: { show: false },
  font: FONT,
  size: 66,
  values: (_, ticks) => ticks.map((value) => withoutZeros(compact(value))),
});

export const legend = (_, value, __, at) => (at === null ? "" : compact(value));

export const lineSeries = ({ label, color }) => ({
  label,
  stroke: themed(color),
  width: 2,
  points: { show: true, size: 5 },
  value: legend,
});

// Two series of bars stand side by side; one stands over its label.
function barSeries({ label, color }, nth, bars) {
  const paired = bars > 1;
  const side = nth === 0 ? -1 : 1;
  return {
    label,
    stroke: themed(color),
    width: 1,
    fill: `${themed(color)}66`,
    points: { show: false },
    paths: uPlot.paths.bars({ size: [paired ? 0.36 : 0.6, 48], align: paired ? side : 0 }),
    value: legend,
  };
}

function plotSeries(x, labels, series) {
  const bars = series.filter(({ kind }) => kind === "bars");
  const plotted = series.map((one) =>
    one.kind === "bars" ? barSeries(one, bars.indexOf(one), bars.length) : lineSeries(one),
  );
  return [{ label: x, value: (_, value) => (value === null ? "" : labels[value]) }, ...plotted];
}

// Every value of every series: for a reader who cannot see the chart, and for tests.
function inWords(x, labels, series, values) {
  const sentences = series.map(({ label }, k) => {
    const points = labels.map((name, i) => `${name} ${compact(values[k][i])}`);
    return `${label} by ${x}: ${points.join(", ")}`;
  });
  return sentences.join(". ");
}

// The width of a chart in its box, in pixels.
export const sized = (box) => Math.max(NARROWEST, box.clientWidth || 480);

// A dashed frame around one of the points, with its text.
function drawMark(plot, { at, text }) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const left = plot.valToPos(at - 0.45, "x", true);
  const width = plot.valToPos(at + 0.45, "x", true) - left;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = themed("--red");
  ctx.lineWidth = ratio;
  ctx.setLineDash([4 * ratio, 3 * ratio]);
  ctx.textAlign = "left";
  ctx.strokeRect(left, bbox.top + ratio, width, bbox.height - 2 * ratio);
  ctx.font = `${11 * ratio}px system-ui`;
  ctx.fillText(text, left + 3 * ratio, bbox.top + 12 * ratio);
  ctx.restore();
}

// x: what the points are. labels: one a point. Values are in dollars.
// series: [{ label, values, color: CSS variable, kind: "bars" | "line" }]
// mark: { at, text } of the point that decides, or null.
export function chart(box, { x, labels, series, mark = null, height = 210 }) {
  let marked = mark;
  const data = (values) => [labels.map((_, i) => i), ...values];
  const said = () => (marked ? `. ${marked.text}: ${labels[marked.at]}` : "");
  const describe = (values) => {
    box.setAttribute("aria-label", `${inWords(x, labels, series, values)}${said()}`);
  };
  const first = series.map(({ values }) => values);
  const options = {
    width: sized(box),
    height,
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    scales: {
      x: { time: false, range: () => [-0.6, labels.length - 0.4] },
      y: { range: (_, low, high) => padded(Math.min(0, low), Math.max(0, high)) },
    },
    axes: [labelAxis(labels), dollarAxis()],
    series: plotSeries(x, labels, series),
    hooks: { draw: [(plot) => marked && drawMark(plot, marked)] },
  };
  const plot = new uPlot(options, data(first), box);
  const watch = new ResizeObserver(() => {
    if (box.clientWidth > 0) plot.setSize({ width: sized(box), height });
  });
  watch.observe(box);
  box.setAttribute("role", "img");
  describe(first);
  return {
    set(values, newMark = null) {
      marked = newMark;
      plot.setData(data(values));
      describe(values);
    },
    destroy() {
      watch.disconnect();
      plot.destroy();
    },
  };
}
