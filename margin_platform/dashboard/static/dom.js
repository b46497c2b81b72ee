// Building the page from data: text only ever becomes text. There is no path from an event to markup.
export const $ = (id) => document.getElementById(id);

// h("td", { class: "num" }, "text", node): attributes by name, on* as listeners, children as text or nodes.
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(
    ...children
      .flat()
      .filter((c) => c !== null && c !== undefined && c !== false)
      .map((c) => (c instanceof Node ? c : document.createTextNode(String(c)))),
  );
  return node;
}

export function setText(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

export const accountLink = (id) => `#/account/${encodeURIComponent(id)}`;

// Hostile text may hide or reorder its neighbours with control characters: show them instead.
export const visible = (text) =>
  String(text ?? "").replace(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`,
  );

export const LETTER = { green: "G", yellow: "Y", red: "R", grey: "?" };
export const MEANING = { green: "clear", yellow: "warning", red: "call or restricted", grey: "not current" };
export const badge = (colour) =>
  h(
    "span",
    {
      class: `badge ${colour}`,
      title: MEANING[colour],
      role: "img",
      "aria-label": `${colour}: ${MEANING[colour]}`,
    },
    LETTER[colour],
  );

// A letter that stands for a sentence.
export const mark = ([, letter, title]) => h("b", { title, role: "img", "aria-label": title }, letter);

// Replaces what a box holds, only where its content is another: selection, hover and focus survive. A link in focus is found again.
const contents = new WeakMap();
export function fill(box, content, nodes) {
  const key = JSON.stringify(content);
  if (contents.get(box) === key) return;
  contents.set(box, key);
  const link = box.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  box.replaceChildren(...[nodes()].flat().filter(Boolean));
  if (link)
    [...box.querySelectorAll("a")]
      .find((a) => a.getAttribute("href") === link)
      ?.focus({ preventScroll: true });
}

export function table(headings, rows, { caption, empty = "nothing yet" } = {}) {
  const cell = (c, tag) =>
    c !== null && typeof c === "object" && !(c instanceof Node)
      ? h(tag, { class: c.class, title: c.title }, c.text)
      : h(tag, null, c);
  return h(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      null,
      caption && h("caption", null, caption),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          headings.map((x) => cell(x, "th")),
        ),
      ),
      h(
        "tbody",
        null,
        rows.length
          ? rows.map((r) =>
              h(
                "tr",
                null,
                r.map((x) => cell(x, "td")),
              ),
            )
          : h("tr", null, h("td", { class: "none", colspan: headings.length }, empty)),
      ),
    ),
  );
}

export const num = (text, extra = "") => ({ class: `num ${extra}`, text });
export const signed = (value, text) => num(text, value < 0 ? "negative" : "");
