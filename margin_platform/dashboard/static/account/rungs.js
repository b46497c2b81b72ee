// The cushion to each action: how far the excess is from each rung of the ladder.
import { h, note } from "../dom.js";
import { dollars, move } from "../format.js";
import { UNKNOWN_POSITIONS, unpriced } from "./unpriced.js";

function reachedAt(rung, excess) {
  if (!("spy_move" in rung) || !(excess >= 0)) return "";
  if (rung.spy_move === null) return "; not reached by any SPY move up to 40%";
  return `; reached at SPY ${move(rung.spy_move)}`;
}

function meter(distance, scale) {
  const bar = h("i", { class: distance < 0 ? "past" : "" });
  bar.style.width = `${Math.min(100, (100 * Math.abs(distance)) / scale)}%`;
  return h("div", { class: "track" }, bar);
}

function line(rung, { isNext, scale, excess }) {
  const { distance } = rung;
  const past = distance < 0;
  return h(
    "div",
    { class: `rung${isNext ? " next" : ""}` },
    h("span", null, isNext ? "next: " : "", rung.rung.replace("_", " ").toLowerCase()),
    meter(distance, scale),
    h("b", { class: past ? "negative" : "" }, past ? `past by ${dollars(-distance)}` : dollars(distance)),
    h("small", null, rung.rule, reachedAt(rung, excess)),
  );
}

export function rungs(explained) {
  if (!explained) return note(UNKNOWN_POSITIONS);
  const { rungs: rows, figures } = explained;
  if (!rows.length) return note(unpriced(explained));
  const ahead = rows.filter(({ distance }) => distance >= 0).sort((a, b) => a.distance - b.distance);
  const scale = Math.max(...rows.map(({ distance }) => Math.abs(distance)), 1);
  const lines = rows.map((rung) => line(rung, { isNext: rung === ahead[0], scale, excess: figures.excess }));
  return h("div", { class: "rungs" }, lines);
}
