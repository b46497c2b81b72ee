// Figures and times as people read them. Unknown is a dash, never a zero. Every time names its zone.
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en-US", {
  notation: "compact",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const quantity = new Intl.NumberFormat("en-US", { maximumFractionDigits: 6 });
const ZONE = "America/New_York";
const stamp = new Intl.DateTimeFormat("en-US", {
  timeZone: ZONE,
  hour12: false,
  hourCycle: "h23",
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

const LATEST = 8.64e15; // what a date can be, epoch milliseconds

const unknown = (x) => x === null || x === undefined || Number.isNaN(x);
export const money = (x) => (unknown(x) ? "–" : exact.format(x).replace("-", "−"));
export const dollars = (x) => (unknown(x) ? "–" : `${x < 0 ? "−" : ""}$${exact.format(Math.abs(x))}`);
export const compact = (x) =>
  unknown(x)
    ? "–"
    : `${x < 0 ? "−" : ""}$${Math.abs(x) < 1000 ? exact.format(Math.abs(x)) : short.format(Math.abs(x))}`;
export const count = (x) => (unknown(x) ? "–" : whole.format(x));
export const shares = (x) => (unknown(x) ? "–" : quantity.format(x).replace("-", "−"));
export const percent = (x, digits = 1) =>
  unknown(x) ? "–" : `${(x * 100).toFixed(digits).replace("-", "−")}%`;
export const move = (x) =>
  unknown(x)
    ? "–"
    : `${x > 0 ? "+" : x < 0 ? "−" : ""}${Math.abs(x * 100).toFixed(Math.abs(x * 1000) % 10 ? 1 : 0)}%`;
export const number = (x, digits = 2) => (unknown(x) ? "–" : x.toFixed(digits).replace("-", "−"));

// Epoch milliseconds or ISO text -> "2020-03-12 09:35:00 EDT".
export function time(value, { date = true } = {}) {
  const at = typeof value === "string" ? Date.parse(value) : value;
  if (typeof at !== "number" || !(Math.abs(at) <= LATEST)) return "–";
  const part = Object.fromEntries(stamp.formatToParts(at).map((p) => [p.type, p.value]));
  const clock = `${part.hour}:${part.minute}:${part.second} ${part.timeZoneName}`;
  return date ? `${part.year}-${part.month}-${part.day} ${clock}` : clock;
}

// Milliseconds -> "3.2 s", "4 min", "2 h 10 min", "3 d".
export function age(ms) {
  if (unknown(ms)) return "–";
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.round(s / 86400)} d`;
}
