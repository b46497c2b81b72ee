// The reason behind a color, in one sentence made of the published figures.
import { age, dollars, percent, plainPercent } from "./format.js";
import { FLAG } from "./status.js";

// facts: what the server says once of its policy.
export function reason(row, facts, { brief = false } = {}) {
  if (!row.status) return "no calculation published yet";
  return brief ? short(row, facts) : full(row, facts);
}

const flagged = (row, texts) => texts.filter(([flag]) => row.flags & flag).map(([, text]) => text);

// A call past due is an open call too: it is named once.
const openCall = ({ flags }, prefix = "") =>
  flags & FLAG.PAST_DUE ? [FLAG.PAST_DUE, `${prefix}past due`] : [FLAG.CALL_OPEN, "call open"];

const failsStress = ({ severe_move: size }) => [FLAG.STRESSED, `fails SPY ±${plainPercent(size)} stress`];

const belowMinimum = ({ equity }, { pm_minimum_equity: minimum }) =>
  `below the portfolio margin minimum: equity ${dollars(equity)} against ${dollars(minimum)}, ` +
  "so the rules-based requirement applies";

function full(row, facts) {
  const actions = flagged(row, [
    [FLAG.LIQUIDATING, "liquidation ordered"],
    [FLAG.CLOSE_ONLY, "close-only"],
    openCall(row, "call "),
    failsStress(facts),
    [FLAG.BELOW_MINIMUM, belowMinimum(row, facts)],
  ]);
  return [standing(row, facts), ...actions].join("; ");
}

function standing(row, { warn_frac: warnFrac }) {
  const { status, equity, excess, flags } = row;
  if (flags & FLAG.UNSECURED) return `unsecured debit of ${dollars(-equity)}: no position is left to sell`;
  if (status === "STALE") {
    return equity === null ? "cannot be valued: a price is missing" : "stale: a price is too old to act on";
  }
  if (row.old) return `stale: last calculated ${age(row.age)} before the as-of time`;
  if (status === "MARGIN_CALL") {
    return `short by ${dollars(-excess)}: equity ${dollars(equity)} against ${dollars(row.requirement)}`;
  }
  if (status === "WARNING") return `excess ${dollars(excess)} is below ${percent(warnFrac)} of gross value`;
  if (status === "ACTIVE") return `excess ${dollars(excess)} (${percent(row.excess_pct)} of gross value)`;
  return `status ${status}`;
}

function doubt({ status, equity, old, age: since }) {
  if (status === "STALE") return equity === null ? "price missing" : "stale price";
  return old ? `stale: calculated ${age(since)} ago` : null;
}

// For a narrow column with the excess beside it: the gravest comes first, so that the least is cut off.
function short(row, facts) {
  const { status, flags } = row;
  const parts = [
    doubt(row),
    ...flagged(row, [
      flags & FLAG.UNSECURED ? [FLAG.UNSECURED, "unsecured debit"] : [FLAG.LIQUIDATING, "liquidating"],
      openCall(row),
      [FLAG.CLOSE_ONLY, "close-only"],
    ]),
    status === "MARGIN_CALL" && !(flags & FLAG.CALL_OPEN) && "deficient, no call issued",
    status === "WARNING" && `below ${percent(facts.warn_frac)} of gross value`,
    ...flagged(row, [[FLAG.BELOW_MINIMUM, "below PM minimum"], failsStress(facts)]),
  ].filter(Boolean);
  if (parts.length) return parts.join("; ");
  return status === "ACTIVE" ? "clear" : `status ${status}`;
}
