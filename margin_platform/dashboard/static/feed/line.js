// One step on an account as a line: what happened, how its notice was delivered, and its Dagster run.
import { accountLink, h, note, visible } from "../dom.js";
import { dollars, shares, time } from "../format.js";

const DELIVERED = new Set(["DELIVERED", "SENT", "ACCEPTED"]);
const FAILED = new Set(["FAILED", "BOUNCED", "REJECTED", "UNDELIVERED", "HELD"]);
const NAME = new Map([
  ["NEW", "liquidation order"],
  ["ORDER", "liquidation order"],
  ["AMENDED", "call increased"],
  ["CLOSE_ONLY", "close-only"],
]);
const CHANNEL = new Map([
  ["sms", "text"],
  ["sns", "text"],
  ["smtp", "email"],
  ["sendgrid", "email"],
]);
const TONE = {
  MARGIN_CALL: "alarm",
  AMENDED: "alarm",
  EXPIRED: "alarm",
  LIQUIDATE: "alarm",
  CLOSE_ONLY: "alarm",
  WARNING: "caution",
  HELD: "caution",
  MET: "relief",
  RESCINDED: "relief",
  RECOVERED: "relief",
  RELEASED: "relief",
  LIFTED: "relief",
};

export function tone({ kind, action }) {
  if (kind !== "notification") return TONE[action] ?? "";
  return FAILED.has(action) ? "alarm" : "quiet";
}

// A link only where the id looks like one and the address of Dagster is configured.
function runLink(runId, base) {
  if (!runId) return "";
  if (!base || !/^https?:\/\//.test(base) || !/^[\w-]{1,64}$/.test(runId)) return visible(runId);
  const href = `${base.replace(/\/$/, "")}/runs/${runId}`;
  return h("a", { href, rel: "noreferrer", target: "_blank" }, `run ${String(runId).slice(0, 8)}`);
}

function leg({ side, qty, symbol, estimated_proceeds: proceeds }) {
  const quantity = typeof qty === "number" ? shares(qty) : visible(qty);
  const amount = typeof proceeds === "number" ? ` for about ${dollars(proceeds)}` : "";
  return `${visible(side).toLowerCase()} ${quantity} ${visible(symbol)}${amount}`;
}

export const wayName = (channel) => CHANNEL.get(String(channel).toLowerCase()) ?? visible(channel);

function text(item) {
  const legs = item.kind === "order" ? item.positions.map(leg).join(", ") : "";
  const sentence = [visible(item.text), legs].filter(Boolean).join(" · ");
  const due = item.due_at && h("em", null, ` due ${time(item.due_at)}`);
  const channel = item.channel && ` by ${wayName(item.channel)}`;
  return h("span", { class: "text" }, sentence, due || null, channel || null);
}

function state({ channel, status, error }) {
  const outcome = DELIVERED.has(status) ? "done" : "";
  const attributes = { class: `state ${FAILED.has(status) ? "bad" : outcome}`, title: visible(error ?? "") };
  return h("span", attributes, `${wayName(channel ?? "notice")}: ${visible(status ?? "?").toLowerCase()}`);
}

function delivery(item) {
  if (item.kind === "notification") return null;
  if (item.delivery.length) return item.delivery.map(state);
  return item.notifies ? h("span", { class: "state" }, "notice pending") : null;
}

export function stepName({ action, reduced }) {
  if (reduced) return "call reduced";
  return NAME.get(action) ?? visible(action).replaceAll("_", " ").toLowerCase();
}

export function line(item, { dagster, withAccount }) {
  const deficiency = item.deficiency === null ? "" : dollars(item.deficiency);
  return h(
    "li",
    { class: `item ${item.kind}`, "data-n": item.n },
    h("time", null, time(item.timestamp)),
    h("span", { class: `kind ${tone(item)}` }, stepName(item)),
    withAccount && accountLink(item.account_id),
    h("span", { class: "amount", title: "deficiency" }, deficiency),
    text(item),
    h("span", { class: "delivery" }, delivery(item)),
    h("span", { class: "run" }, runLink(item.run_id, dagster)),
  );
}

// By the time Kafka received them: topics have no order between them, and a replay may go back to an
// earlier day.
export const newestFirst = (a, b) => (b.produced_at ?? 0) - (a.produced_at ?? 0) || b.n - a.n;

// The steps of one account, in the order of their event times.
export function timeline(items, dagster) {
  if (!items.length) return note("no calls or restrictions on this account");
  const inTime = (a, b) => (a.timestamp ?? 0) - (b.timestamp ?? 0) || newestFirst(b, a);
  const lines = [...items].sort(inTime).map((item) => line(item, { dagster, withAccount: false }));
  return h("ol", { class: "feed narrow", tabindex: "0", "aria-label": "Call history, oldest first" }, lines);
}
