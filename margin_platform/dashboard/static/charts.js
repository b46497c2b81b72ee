// The two kinds of chart, on uPlot: bars over named points and lines. Colours come from the page's theme.
import uPlot from "./vendor/uPlot.esm.js";
import { compact } from "./format.js";

const NARROWEST = 54; // pixels a label needs with the axis beside it: with less, every other one is left out

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// x: what the points are; labels: one a point; series: [{ label, values, colour: css variable, kind: "bars" | "line" }]; values in dollars.
export function chart(box, { x, labels, series, height = 210 }) {
  const bars = series.filter((s) => s.kind === "bars").length;
  let nth = 0;
  const plot = new uPlot(
    {
      width: Math.max(260, box.clientWidth || 480),
      height,
      cursor: { y: false, drag: { x: false, y: false } },
      legend: { live: true },
      scales: {
        x: { time: false, range: () => [-0.6, labels.length - 0.4] },
        y: { range: (_, low, high) => padded(Math.min(0, low), Math.max(0, high)) },
      },
      axes: [
        {
          stroke: colour("--dim"),
          grid: { show: false },
          ticks: { show: false },
          font: "11px system-ui",
          size: 28,
          splits: () => labels.map((_, i) => i),
          values: (plot) =>
            labels.map((text, i) => (plot.width < labels.length * NARROWEST && i % 2 ? "" : text)),
        },
        {
          stroke: colour("--dim"),
          grid: { stroke: colour("--rule"), width: 1 },
          ticks: { show: false },
          size: 66,
          font: "11px system-ui",
          values: (_, ticks) => ticks.map((v) => compact(v).replace(/\.0+(?=[KMBT]?$)/, "")),
        },
      ],
      series: [
        { label: x, value: (_, v) => (v === null ? "" : labels[v]) },
        ...series.map((s) => {
          const shift = s.kind === "bars" ? (bars > 1 ? (nth++ ? 1 : -1) : 0) : 0;
          return {
            label: s.label,
            stroke: colour(s.colour),
            width: s.kind === "bars" ? 1 : 2,
            fill: s.kind === "bars" ? `${colour(s.colour)}66` : undefined,
            points: { show: s.kind === "line", size: 5 },
            paths:
              s.kind === "bars"
                ? uPlot.paths.bars({ size: [bars > 1 ? 0.36 : 0.6, 48], align: shift })
                : undefined,
            value: (_, v, __, at) => (at === null ? "" : compact(v)),
          };
        }),
      ],
    },
    [labels.map((_, i) => i), ...series.map((s) => s.values)],
    box,
  );
  const watch = new ResizeObserver(() => {
    if (box.clientWidth > 0) plot.setSize({ width: Math.max(260, box.clientWidth), height });
  });
  watch.observe(box);
  const tell = (values) => {
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", inWords(x, labels, series, values));
  };
  tell(series.map((s) => s.values));
  return {
    set: (next) => {
      plot.setData([labels.map((_, i) => i), ...next]);
      tell(next);
    },
    destroy: () => {
      watch.disconnect();
      plot.destroy();
    },
  };
}

// A chart for whoever cannot see it, and for tests: every value of every series.
const inWords = (x, labels, series, values) =>
  series
    .map(
      (s, k) =>
        `${s.label} by ${x}: ${labels.map((label, i) => `${label} ${compact(values[k][i])}`).join(", ")}`,
    )
    .join(". ");

function padded(low, high) {
  const pad = (high - low || 1) * 0.08;
  return [low < 0 ? low - pad : 0, high > 0 ? high + pad : 0];
}
