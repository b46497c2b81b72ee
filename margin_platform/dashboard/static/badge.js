// A color as a letter with a shape, and a letter for each open action. Both have a text for screen readers.
import { h } from "./dom.js";
import { LETTER, MEANING, marks } from "./status.js";

export function badge(colour) {
  const label = `${colour}: ${MEANING[colour]}`;
  const attributes = { class: `badge ${colour}`, title: MEANING[colour], role: "img", "aria-label": label };
  return h("span", attributes, LETTER[colour]);
}

const letterOf = ({ letter, title }) => h("b", { title, role: "img", "aria-label": title }, letter);

export function markLetters(flags) {
  return h("span", { class: "marks" }, marks(flags ?? 0).map(letterOf));
}
