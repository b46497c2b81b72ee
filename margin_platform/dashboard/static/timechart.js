// Lines over time, in New York's, with marks of what happened at a time.
import { dollarAxis, FONT, legend, lineSeries, padded, sized, themed } from "./chart.js";
import { time } from "./format.js";
import uPlot from "./vendor/uPlot.esm.js";

const ZONE = "America/New_York";
const MS = 1000;
const LETTER_Y = 10; // pixels below the top of the plot

const timeAxis = () => ({
  stroke: themed("--dim"),
  grid: { show: false },
  ticks: { show: false },
  font: FONT,
  size: 34,
});

// Where marks come close together, the letters of the later ones are left out.
function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  let written = -Infinity;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui`;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  for (const { at, letter, color } of marks) {
    const x = Math.round(plot.valToPos(at / MS, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = themed(color);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (x - written < 12 * ratio) continue;
    const atEnd = x > bbox.left + bbox.width - 14 * ratio;
    ctx.textAlign = atEnd ? "right" : "left";
    ctx.fillText(letter, x + (atEnd ? -3 : 3) * ratio, bbox.top + LETTER_Y * ratio);
    written = x;
  }
  ctx.restore();
}

// points: [timestamp, value of each series]. series: [{ label, color }]. marks: [{ at, letter, color }].
export function timeChart(box, { points, series, marks, upto, height = 210 }) {
  const options = {
    width: sized(box),
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * MS), ZONE),
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    scales: {
      x: { time: true, range: (_, low) => [low, Math.max(upto / MS, low + 1)] },
      y: { range: (_, a, b) => padded(a, b) },
    },
    axes: [timeAxis(), dollarAxis()],
    series: [
      { label: "at", value: (_, value) => (value === null ? "" : time(value * MS)) },
      ...series.map((one) => ({ ...lineSeries(one), points: { show: false }, value: legend })),
    ],
    hooks: { draw: [(plot) => drawMarks(plot, marks)] },
  };
  const columns = [0, ...series.keys()].map((_, k) => points.map((point) => (k ? point[k] : point[0] / MS)));
  const plot = new uPlot(options, columns, box);
  const watch = new ResizeObserver(() => {
    if (box.clientWidth > 0) plot.setSize({ width: sized(box), height });
  });
  watch.observe(box);
  return () => {
    watch.disconnect();
    plot.destroy();
  };
}
