// Market value by symbol over all accounts, as the server counts it from the book.

import { accountsWhere } from "../accounts/selection.js";
import { askQuietly } from "../ask.js";
import { fill, h, note, visible } from "../dom.js";
import { compact, count, money, percent } from "../format.js";
import { num, signed, table } from "../table.js";

const SHOWN = 15;
const HEADINGS = ["Symbol", ...["Long", "Short", "Net", "Share", "Holders"].map((text) => num(text))];

const line = ({ symbol, long, short, net, share, holders }) => [
  h("a", { href: accountsWhere({ holds: symbol }) }, visible(symbol)),
  num(money(long)),
  num(money(short)),
  signed(net, money(net)),
  num(percent(share)),
  num(count(holders)),
];

function basis({ accounts, gross, unpriced_positions: unpriced }) {
  const missing = unpriced ? `; without ${count(unpriced)} positions that have no price` : "";
  return `over all positions of ${count(accounts)} accounts, gross ${compact(gross)}${missing}`;
}

function content(answer) {
  if (!answer.ready) return note("positions are still loading");
  const rows = answer.symbols.slice(0, SHOWN).map(line);
  return [table(HEADINGS, rows, { caption: "Market value by symbol, dollars" }), note(basis(answer))];
}

export async function concentration(box) {
  const answer = await askQuietly("/api/concentration");
  if (answer) fill(box, answer, () => content(answer));
}
