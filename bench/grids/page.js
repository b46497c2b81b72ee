// The same load for every grid: 100,000 accounts, then `perTick` changed rows every 250 ms, sorted by excess.
export const COLUMNS = [
  "account_id",
  "status",
  "method",
  "equity",
  "requirement",
  "excess",
  "excess_pct",
  "reg_t",
  "tims",
  "saving",
  "worst_stress",
  "beta_exposure",
  "gross",
  "age",
];
const STATUS = ["ACTIVE", "ACTIVE", "ACTIVE", "WARNING", "MARGIN_CALL"];

let seed = 7;
export function random() {
  // a fixed sequence, so that each grid sees the same rows
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
}

export function row(i) {
  const equity = Math.round(random() * 1e8) / 100;
  const requirement = Math.round(random() * 8e7) / 100;
  const reg_t = requirement;
  const tims = Math.round(requirement * 60) / 100;
  return {
    account_id: `ACC-${String(i).padStart(6, "0")}`,
    status: STATUS[Math.floor(random() * 5)],
    method: random() < 0.5 ? "REG_T" : "PORTFOLIO",
    equity,
    requirement,
    excess: equity - requirement,
    excess_pct: (equity - requirement) / (equity + 1),
    reg_t,
    tims,
    saving: reg_t - tims,
    worst_stress: -equity * random(),
    beta_exposure: equity * (random() * 2 - 0.5),
    gross: equity * 2,
    age: Math.floor(random() * 60),
  };
}

export const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

const median = (xs) => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)] ?? null;
const at = (xs, q) => [...xs].sort((a, b) => a - b)[Math.floor((xs.length - 1) * q)] ?? null;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// adapter: { load(rows), update(rows), scroller() -> the element that scrolls }
export async function measure(adapter, { rows = 100000, perTick = 1250, ticks = 40 } = {}) {
  const data = Array.from({ length: rows }, (_, i) => row(i));
  const started = performance.now();
  await adapter.load(data);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const load = performance.now() - started;
  await pause(1000);
  const updates = [];
  const frames = [];
  let last = performance.now();
  let counting = true;
  requestAnimationFrame(function frame(now) {
    frames.push(now - last);
    last = now;
    if (counting) requestAnimationFrame(frame);
  });
  const scroller = adapter.scroller();
  if (!scroller) throw new Error("nothing to scroll: a grid that stands still is no comparison");
  let top = 0;
  for (let tick = 0; tick < ticks; tick++) {
    const changed = Array.from({ length: perTick }, () => row(Math.floor(random() * rows)));
    const before = performance.now();
    await adapter.update(changed);
    updates.push(performance.now() - before);
    if (tick >= ticks / 2) {
      top += 700;
      scroller.scrollTop = top;
    } // the second half is also scrolled
    await pause(Math.max(0, 250 - (performance.now() - before)));
  }
  counting = false;
  if (!scroller.scrollTop) throw new Error("it did not scroll: a grid that stands still is no comparison");
  return {
    load_ms: Math.round(load),
    update_p50_ms: +median(updates).toFixed(1),
    update_p99_ms: +at(updates, 0.99).toFixed(1),
    frame_p50_ms: +median(frames).toFixed(1),
    frame_p99_ms: +at(frames, 0.99).toFixed(1),
    frames: frames.length,
  };
}
