// The reason behind a color, in one sentence made of the published figures.
import { age, dollars, percent } from "./format.js";
import { FLAG } from "./status.js";

export function reason(row, warnFrac, { brief = false } = {}) {
  if (!row.status) return "no calculation published yet";
  return brief ? short(row, warnFrac) : full(row, warnFrac);
}

const flagged = (row, texts) => texts.filter(([flag]) => row.flags & flag).map(([, text]) => text);

// A call past due is an open call too: it is named once.
const openCall = ({ flags }, prefix = "") =>
  flags & FLAG.PAST_DUE ? [FLAG.PAST_DUE, `${prefix}past due`] : [FLAG.CALL_OPEN, "call open"];

function full(row, warnFrac) {
  const actions = flagged(row, [
    [FLAG.LIQUIDATING, "liquidation ordered"],
    [FLAG.CLOSE_ONLY, "close-only"],
    openCall(row, "call "),
    [FLAG.STRESSED, "fails severe SPY stress"],
  ]);
  return [standing(row, warnFrac), ...actions].join("; ");
}

function standing(row, warnFrac) {
  const { status, equity, excess } = row;
  if (status === "STALE") {
    return equity === null ? "cannot be valued: a price is missing" : "stale: a price is too old to act on";
  }
  if (row.old) return `stale: last calculated ${age(row.age)} before the as-of time`;
  if (status === "MARGIN_CALL") {
    return `short by ${dollars(-excess)}: equity ${dollars(equity)} against ${dollars(row.requirement)}`;
  }
  if (status === "WARNING")
    return `excess ${dollars(excess)} is below ${percent(warnFrac, 0)} of gross value`;
  if (status === "ACTIVE") return `excess ${dollars(excess)} (${percent(row.excess_pct)} of gross value)`;
  return `status ${status}`;
}

// For a narrow column with the excess beside it: the gravest comes first, so that the least is cut off.
function short(row, warnFrac) {
  const { status, equity } = row;
  const parts = [];
  if (status === "STALE") parts.push(equity === null ? "price missing" : "stale price");
  else if (row.old) parts.push(`stale: calculated ${age(row.age)} ago`);
  parts.push(
    ...flagged(row, [[FLAG.LIQUIDATING, "liquidating"], [FLAG.CLOSE_ONLY, "close-only"], openCall(row)]),
  );
  if (status === "MARGIN_CALL" && !(row.flags & FLAG.CALL_OPEN)) parts.push("deficient, no call issued");
  if (status === "WARNING") parts.push(`below ${percent(warnFrac, 0)} of gross value`);
  if (row.flags & FLAG.STRESSED) parts.push("fails severe SPY stress");
  if (parts.length) return parts.join("; ");
  return status === "ACTIVE" ? "clear" : `status ${status}`;
}
