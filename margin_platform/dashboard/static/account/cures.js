// The ways to meet a call, cheapest first. Each alone is enough.
import { note, visible } from "../dom.js";
import { money, shares } from "../format.js";
import { num, table } from "../table.js";
import { UNKNOWN_POSITIONS, unpriced } from "./unpriced.js";

const ACTION = {
  DEPOSIT_CASH: "deposit cash",
  DEPOSIT_STOCK: "deposit fully paid stock",
  SELL: "sell",
  BUY_TO_COVER: "buy to cover",
};
const HEADINGS = ["Action", num("Quantity"), num("Dollars"), num("Excess after")];
const CAPTION = "Each alone meets the call, at current marks";

function nothing(explained) {
  if (!explained) return UNKNOWN_POSITIONS;
  return explained.figures.excess === null
    ? unpriced(explained)
    : "no call to meet: the excess is not negative";
}

export function cures(ways, explained) {
  if (!explained || !ways.length) return note(nothing(explained));
  const rows = ways.map((way) => [
    `${ACTION[way.action]} ${visible(way.symbol ?? "")}`,
    num(shares(way.qty)),
    num(money(way.amount)),
    num(money(way.excess_after)),
  ]);
  return table(HEADINGS, rows, { caption: CAPTION });
}
