// A color as a letter with a shape, and a letter for each open action. Both have a text for screen readers.
import { h } from "./dom.js";
import { LETTER, MEANING, marks } from "./status.js";

export function badge(color) {
  const label = `${color}: ${MEANING[color]}`;
  const attributes = { class: `badge ${color}`, title: MEANING[color], role: "img", "aria-label": label };
  return h("span", attributes, LETTER[color]);
}

const letterOf = ({ letter, title }) => h("b", { title, role: "img", "aria-label": title }, letter);

export function markLetters(flags) {
  return h("span", { class: "marks" }, marks(flags ?? 0).map(letterOf));
}
