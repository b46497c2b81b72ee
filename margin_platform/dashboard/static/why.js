// The reason behind a colour, in one sentence made of the published figures; brief where the figures stand beside it.
import { age, dollars, percent } from "./format.js";
import { FLAG } from "./store.js";

export function why(row, warnFrac, { brief = false } = {}) {
  if (!row.status) return "no calculation published yet";
  if (brief) return inShort(row, warnFrac);
  const parts = [];
  if (row.status === "STALE")
    parts.push(
      row.equity === null ? "a price is missing: it cannot be valued" : "a price is too old to act upon",
    );
  else if (row.old) parts.push(`last calculated ${age(row.age)} ago on the event clock`);
  else if (row.status === "MARGIN_CALL")
    parts.push(
      `short by ${dollars(-row.excess)}: equity ${dollars(row.equity)} against ${dollars(row.requirement)}`,
    );
  else if (row.status === "WARNING")
    parts.push(`excess ${dollars(row.excess)} is under ${percent(warnFrac, 0)} of gross value`);
  else if (row.status === "ACTIVE")
    parts.push(`excess ${dollars(row.excess)} (${percent(row.excess_pct)} of gross value)`);
  else parts.push(`status ${row.status}`);
  if (row.flags & FLAG.LIQUIDATING) parts.push("liquidation ordered");
  if (row.flags & FLAG.CLOSE_ONLY) parts.push("close-only");
  if (row.flags & FLAG.CALL_OPEN) parts.push("call open");
  if (row.flags & FLAG.STRESSED) parts.push("short of margin in a severe SPY scenario");
  return parts.join("; ");
}

// Where excess and its share stand beside it: the gravest first, so that a narrow column cuts off the least.
function inShort(row, warnFrac) {
  const parts = [];
  if (row.status === "STALE") parts.push(row.equity === null ? "a price is missing" : "a price is too old");
  else if (row.old) parts.push(`calculated ${age(row.age)} ago`);
  if (row.flags & FLAG.LIQUIDATING) parts.push("liquidating");
  if (row.flags & FLAG.CLOSE_ONLY) parts.push("close-only");
  if (row.flags & FLAG.CALL_OPEN) parts.push("call open");
  else if (row.status === "MARGIN_CALL") parts.push("short, no call yet");
  if (row.status === "WARNING") parts.push(`below ${percent(warnFrac, 0)} of gross value`);
  if (row.flags & FLAG.STRESSED) parts.push("short in a severe scenario");
  return parts.join("; ") || { ACTIVE: "clear" }[row.status] || `status ${row.status}`;
}

// Letters beside the colour for what is under way.
export function marks(flags) {
  return [
    [FLAG.CALL_OPEN, "C", "margin call open"],
    [FLAG.CLOSE_ONLY, "X", "close-only"],
    [FLAG.LIQUIDATING, "L", "liquidation ordered"],
    [FLAG.STRESSED, "S", "short of margin in a severe SPY scenario"],
  ].filter(([bit]) => flags & bit);
}
