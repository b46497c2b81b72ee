// Builds the page from data. Text stays text: there is no path from an event to markup.
export const $ = (id) => document.getElementById(id);

const absent = (x) => x === null || x === undefined || x === false;
const asNode = (x) => (x instanceof Node ? x : document.createTextNode(String(x)));

// h("td", { class: "num" }, "text", node): attributes by name, on* as listeners, children as text or nodes.
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (absent(value)) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  const shown = children.flat().filter((child) => !absent(child));
  node.append(...shown.map(asNode));
  return node;
}

export const note = (text) => h("p", { class: "note" }, text);

export function panel(title, ...content) {
  return h("section", { class: "panel" }, h("h3", null, title), content);
}

export function widePanel(title, ...content) {
  return h("section", { class: "panel span2" }, h("h3", null, title), content);
}

export function setText(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

// Hostile text may hide or reorder what stands beside it with control characters. Show them as escapes.
const HIDDEN = /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;
const escaped = (character) => `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`;
export const visible = (text) => String(text ?? "").replace(HIDDEN, escaped);

export const accountAddress = (id) => `#/account/${encodeURIComponent(id)}`;
export const accountLink = (id) => h("a", { class: "id", href: accountAddress(id) }, visible(id));

// Replaces the content of a box only when it differs, so that selection, hover and focus survive.
// A link in focus is focused again by its address.
const contents = new WeakMap();
export function fill(box, content, nodes) {
  const key = JSON.stringify(content);
  if (contents.get(box) === key) return;
  contents.set(box, key);
  const focused = box.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  box.replaceChildren(...[nodes()].flat().filter(Boolean));
  if (!focused) return;
  const links = [...box.querySelectorAll("a")];
  links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
}
