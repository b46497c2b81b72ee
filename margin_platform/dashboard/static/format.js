// Figures and times as people read them. Unknown is a dash, never a zero. Every time names its zone.
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const printed = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
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

const LATEST = 8.64e15; // the largest date of JavaScript, in epoch milliseconds
const UNKNOWN = "–";

// As statements write it: ($1,234.00) for a negative amount. A change shows after a reload.
const IN_PARENTHESES = localStorage.getItem("margin-parentheses") === "on";

const unknown = (x) => x === null || x === undefined || Number.isNaN(x);
const known = (x, text) => (unknown(x) ? UNKNOWN : text());
const minus = (text) => text.replace("-", "−");
const sign = (x) => (x < 0 ? "−" : "");
const signed = (x, text) => (x < 0 && IN_PARENTHESES ? `(${text})` : `${sign(x)}${text}`);
const signOrPlus = (x) => (x > 0 ? "+" : sign(x));
const rounded = (size) => (size < 1000 ? exact.format(size) : short.format(size));
const tenths = (x) => (Math.abs(x * 1000) % 10 ? 1 : 0);

export const money = (x) => known(x, () => signed(x, exact.format(Math.abs(x))));
// A price of a share has the decimals it was printed with, at most four.
export const price = (x) => known(x, () => minus(printed.format(x)));
export const dollars = (x) => known(x, () => signed(x, `$${exact.format(Math.abs(x))}`));
export const compact = (x) => known(x, () => signed(x, `$${rounded(Math.abs(x))}`));
export const count = (x) => known(x, () => whole.format(x));
// "1 letter", "2 letters".
export const counted = (x, noun) => `${count(x)} ${noun}${x === 1 ? "" : "s"}`;
export const shares = (x) => known(x, () => minus(quantity.format(x)));
export const number = (x, digits = 2) => known(x, () => minus(x.toFixed(digits)));
export const percent = (x, digits = 1) => known(x, () => minus(`${(x * 100).toFixed(digits)}%`));
// A rate of the policy, without zeros at its end: "6%", "7.5%".
export const plainPercent = (x) => known(x, () => `${minus(String(Number((x * 100).toFixed(4))))}%`);
// A price move: "+2%", "−4.4%".
export const move = (x) => known(x, () => `${signOrPlus(x)}${Math.abs(x * 100).toFixed(tenths(x))}%`);

// Epoch milliseconds or ISO text -> "2020-03-12 09:35:00 EDT".
export function time(value, { date = true } = {}) {
  const at = typeof value === "string" ? Date.parse(value) : value;
  if (typeof at !== "number" || !(Math.abs(at) <= LATEST)) return UNKNOWN;
  const part = Object.fromEntries(stamp.formatToParts(at).map((p) => [p.type, p.value]));
  const clock = `${part.hour}:${part.minute}:${part.second} ${part.timeZoneName}`;
  return date ? `${part.year}-${part.month}-${part.day} ${clock}` : clock;
}

// Milliseconds -> "3.2 s", "4 min", "2 h 10 min", "3 d".
export function age(ms) {
  if (unknown(ms)) return UNKNOWN;
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) {
    const minutes = Math.round(s / 60);
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }
  return `${Math.round(s / 86400)} d`;
}
