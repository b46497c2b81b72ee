// Market value by symbol, issuer and sector over all accounts, as the server counts it from the book.

import { accountsWhere } from "../accounts/selection.js";
import { askQuietly } from "../ask.js";
import { fill, h, note, visible } from "../dom.js";
import { compact, count, money, percent } from "../format.js";
import { num, signed, table } from "../table.js";

const SHOWN = 15;
const FIGURES = ["Long", "Short", "Net", "Share", "Holders"].map((text) => num(text));
const holders = (symbol) => h("a", { href: accountsWhere({ holds: symbol }) }, visible(symbol));

const line = (name, { long, short, net, share, holders: held }) => [
  name,
  num(money(long)),
  num(money(short)),
  signed(net, money(net)),
  num(percent(share)),
  num(count(held)),
];

function ranked(heading, rows, nameOf) {
  const lines = rows.slice(0, SHOWN).map((row) => line(nameOf(row), row));
  const caption = `Market value by ${heading.toLowerCase()}, dollars`;
  return table([heading, ...FIGURES], lines, { caption });
}

function basis({ accounts, gross, unpriced_positions: unpriced }) {
  const missing = unpriced ? `; without ${count(unpriced)} positions that have no price` : "";
  return `over all positions of ${count(accounts)} accounts, gross ${compact(gross)}${missing}`;
}

function bySymbol(answer) {
  if (!answer.ready) return note("positions are still loading");
  return [ranked("Symbol", answer.symbols, ({ symbol }) => holders(symbol)), note(basis(answer))];
}

const byGroup = ({ ready, issuers, sectors }) =>
  ready && [
    ranked("Issuer", issuers, ({ issuer }) => visible(issuer)),
    ranked("Sector", sectors, ({ sector }) => visible(sector)),
  ];

export async function concentration(symbols, groups) {
  const answer = await askQuietly("/api/concentration");
  if (!answer) return;
  fill(symbols, answer, () => bySymbol(answer));
  fill(groups, answer, () => byGroup(answer));
}
