// The positions with every add-on, their sum, and whether the kernel arrives at the published figure.
import { h, note, visible } from "../dom.js";
import { dollars, money, number, percent, price, shares, time } from "../format.js";
import { MARGIN_TYPE, METHOD } from "../status.js";
import { num, signed, table } from "../table.js";
import { unpriced } from "./unpriced.js";

const figure =
  (field, tone = () => "") =>
  (p) =>
    num(money(p[field]), tone(p[field]));
const hot = (value) => (value ? "hot" : "");
const strong = () => "strong";
const priceTime = (p) => num(p.price_timestamp ? time(p.price_timestamp, { date: false }) : "–");

// Heading, cell, and the field that the last line sums.
const COLUMNS = [
  ["Qty", (p) => num(shares(p.qty))],
  ["Price", (p) => num(price(p.price))],
  ["Value", (p) => signed(p.market_value, money(p.market_value)), "market_value"],
  ["Weight", (p) => num(percent(p.weight))],
  ["β", (p) => num(number(p.beta))],
  ["σ", (p) => num(percent(p.sigma))],
  ["Base", figure("base"), "base"],
  ["Concentration", figure("concentration", hot), "concentration"],
  ["Volatility", figure("volatility", hot), "volatility"],
  ["Hard to borrow", figure("hard_to_borrow"), "hard_to_borrow"],
  ["Cap", figure("cap"), "cap"],
  ["Requirement", figure("requirement", strong), "requirement"],
  ["Price time", priceTime],
];
const HEADINGS = ["Symbol", ...COLUMNS.map(([heading]) => num(heading))];

function sum(positions, field) {
  if (positions.some((p) => p[field] === null)) return null;
  return positions.reduce((total, p) => total + p[field], 0);
}

function positionTable(positions) {
  const rows = positions.map((p) => [visible(p.symbol), ...COLUMNS.map(([, cell]) => cell(p))]);
  const total = (field) => (field ? num(money(sum(positions, field)), "strong") : "");
  if (rows.length > 1) rows.push(["Sum", ...COLUMNS.map(([, , field]) => total(field))]);
  const caption = "Rules-based maintenance requirement by position, dollars";
  return table(HEADINGS, rows, { caption, empty: "no positions" });
}

function binding(figures, marginType) {
  const rules = `Rules-based maintenance requirement ${dollars(figures.maintenance_req)}`;
  const tims = `TIMS ${dollars(figures.portfolio_margin_req)}`;
  const type = `margin type ${MARGIN_TYPE[marginType] ?? "Rules-based"}`;
  const applied = `applied requirement ${dollars(figures.applied_requirement)}`;
  const method = METHOD[figures.applied_method] ?? "neither";
  const text = `${rules}, ${tims}; ${type}: ${applied} (${method}).`;
  return h("p", { class: "note", id: "binding" }, text);
}

function verdict({ figures, agrees, positions }, published) {
  if (figures.equity === null) return unpriced({ positions });
  if (agrees) return "equals the published figure";
  const given = `requirement ${dollars(figures.requirement)} and equity ${dollars(figures.equity)}`;
  const before = `${dollars(published?.requirement)} and ${dollars(published?.equity)}`;
  return `gives ${given}; published ${time(published?.timestamp)}: ${before}`;
}

function source(basis) {
  const at = time(basis.timestamp);
  return basis.calc_id ? `as published ${at}, calculation ${visible(basis.calc_id)}` : `positions of ${at}`;
}

export function positions({ explained, basis, calc }) {
  const { positions: rows, figures, agrees, policy_version: version } = explained;
  const origin = `${source(basis)}, policy ${visible(version)}. Computed by the kernel: `;
  return [
    positionTable(rows),
    figures.equity !== null && binding(figures, basis.margin_type),
    h(
      "p",
      { class: "note" },
      origin,
      h("b", { class: agrees ? "agrees" : "differs" }, verdict(explained, calc)),
      ".",
    ),
  ];
}

// The server gives a reason when it has the positions and cannot use them.
export function unexplained(reason) {
  if (reason) return note(`The positions cannot be used: ${visible(reason)}`);
  return note(
    "The positions of this account are not available: " +
      "its fills are still loading, or are not on these brokers.",
  );
}
