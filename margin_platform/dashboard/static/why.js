// The reason behind a color, in one sentence made of the published figures.
import { age, dollars, percent } from "./format.js";
import { FLAG } from "./status.js";

export function why(row, warnFrac, { brief = false } = {}) {
  if (!row.status) return "no calculation published yet";
  return brief ? short(row, warnFrac) : full(row, warnFrac);
}

const flagged = (row, texts) => texts.filter(([flag]) => row.flags & flag).map(([, text]) => text);

function full(row, warnFrac) {
  const actions = flagged(row, [
    [FLAG.LIQUIDATING, "liquidation ordered"],
    [FLAG.CLOSE_ONLY, "close-only"],
    [FLAG.CALL_OPEN, "call open"],
    [FLAG.STRESSED, "short of margin in a severe SPY scenario"],
  ]);
  return [standing(row, warnFrac), ...actions].join("; ");
}

function standing(row, warnFrac) {
  const { status, equity, excess } = row;
  if (status === "STALE") {
    return equity === null ? "a price is missing: it cannot be valued" : "a price is too old to act upon";
  }
  if (row.old) return `last calculated ${age(row.age)} ago on the event clock`;
  if (status === "MARGIN_CALL") {
    return `short by ${dollars(-excess)}: equity ${dollars(equity)} against ${dollars(row.requirement)}`;
  }
  if (status === "WARNING")
    return `excess ${dollars(excess)} is under ${percent(warnFrac, 0)} of gross value`;
  if (status === "ACTIVE") return `excess ${dollars(excess)} (${percent(row.excess_pct)} of gross value)`;
  return `status ${status}`;
}

// For a narrow column with the excess beside it: the gravest comes first, so that the least is cut off.
function short(row, warnFrac) {
  const { status, equity } = row;
  const parts = [];
  if (status === "STALE") parts.push(equity === null ? "a price is missing" : "a price is too old");
  else if (row.old) parts.push(`calculated ${age(row.age)} ago`);
  parts.push(
    ...flagged(row, [
      [FLAG.LIQUIDATING, "liquidating"],
      [FLAG.CLOSE_ONLY, "close-only"],
      [FLAG.CALL_OPEN, "call open"],
    ]),
  );
  if (status === "MARGIN_CALL" && !(row.flags & FLAG.CALL_OPEN)) parts.push("short, no call yet");
  if (status === "WARNING") parts.push(`below ${percent(warnFrac, 0)} of gross value`);
  if (row.flags & FLAG.STRESSED) parts.push("short in a severe scenario");
  if (parts.length) return parts.join("; ");
  return status === "ACTIVE" ? "clear" : `status ${status}`;
}
