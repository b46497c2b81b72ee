// Tables of figures. A cell is a text, a node, or { text, class, title }.
import { h } from "./dom.js";

export const num = (text, extra = "") => ({ class: `num ${extra}`, text });
export const signed = (value, text) => num(text, value < 0 ? "negative" : "");

function cell(content, tag) {
  const described = content !== null && typeof content === "object" && !(content instanceof Node);
  if (!described) return h(tag, null, content);
  return h(tag, { class: content.class, title: content.title }, content.text);
}

function line(cells, tag) {
  const nodes = cells.map((content) => cell(content, tag));
  return h("tr", null, nodes);
}

export function table(headings, rows, { caption, empty = "nothing yet" } = {}) {
  const none = h("tr", null, h("td", { class: "none", colspan: headings.length }, empty));
  const body = rows.length ? rows.map((cells) => line(cells, "td")) : none;
  return h(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      null,
      caption && h("caption", null, caption),
      h("thead", null, line(headings, "th")),
      h("tbody", null, body),
    ),
  );
}
