// The one moment of an account's page: every figure on it is of this row, and one line says of when.
import { visible } from "../dom.js";
import { age, dollars, time } from "../format.js";

// The row of an answer, aged by the clock of now. Whether it is stale is the published row's to say.
export function momentOf({ account_id: id, row }, store) {
  const published = store.find(id);
  const old = published?.old ?? false;
  const since = store.clock === null ? null : Math.max(0, store.clock - row.timestamp);
  return { ...row, old, age: old ? published.age : since, color: old ? "gray" : row.color };
}

function origin({ basis, calc, explained }) {
  if (basis === null || basis.calc_id) {
    return `as published, calculation ${visible((basis ?? calc)?.calc_id)}`;
  }
  const published = `published ${time(calc?.timestamp)}`;
  if (explained?.agrees) return `the same as ${published}`;
  return `${published}: equity ${dollars(calc?.equity)}, requirement ${dollars(calc?.requirement)}`;
}

export function timesOf(row, answer) {
  const parts = [`All figures as of ${time(row.timestamp)} (age ${age(row.age)})`, origin(answer)];
  parts.push(`oldest price ${time(row.oldest_price)}`);
  if (row.band) parts.push(`band ${visible(row.band)}`);
  return parts.join(" · ");
}

// The day's profit or loss, and what it is counted from.
export function dayOf({ day }) {
  if (!day) return { text: "–", title: "no figure of an earlier day" };
  const moved = day.deposits ? `, ${dollars(day.deposits)} deposited since` : "";
  return {
    text: dollars(day.pnl),
    title: `from ${dollars(day.opening_equity)} of ${time(day.since)}${moved}`,
  };
}
