// The arithmetic of an account, as `margin explain` prints it: shown here, and copied for the file.
import { ask } from "../ask.js";
import { h, visible } from "../dom.js";

async function textOf(id) {
  try {
    const reply = await ask("/api/arithmetic", { id });
    const answer = await reply.json();
    return reply.ok ? { text: answer.text } : { refusal: answer.error };
  } catch {
    return { refusal: "the server did not answer" };
  }
}

// Lines stay lines; whatever else is hidden in a text is shown.
const shown = (text) => text.split("\n").map(visible).join("\n");

export class Arithmetic {
  node(id) {
    const button = (name, act, label) =>
      h("button", { type: "button", id: `arithmetic-${name}`, onclick: act }, label);
    this.id = id;
    this.text = h("pre", { id: "arithmetic", tabindex: "0", "aria-label": "Arithmetic", hidden: true });
    this.said = h("output", { class: "note", id: "arithmetic-said" });
    const show = button("show", () => this.#toggle(), "Show the arithmetic");
    const copy = button("copy", () => this.#copy(), "Copy for the file");
    return h("div", { class: "arithmetic" }, show, " ", copy, " ", this.said, this.text);
  }

  async #fetch() {
    const { text, refusal } = await textOf(this.id);
    this.said.textContent = visible(refusal ?? "");
    this.text.textContent = text ? shown(text) : "";
    this.text.hidden = !text;
    return text ?? null;
  }

  #toggle() {
    if (this.text.hidden) this.#fetch();
    else this.text.hidden = true;
  }

  // Where the browser gives no clipboard, the text is selected for the reader to copy.
  async #copy() {
    const text = await this.#fetch();
    if (text === null) return;
    try {
      await navigator.clipboard.writeText(text);
      this.said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(this.text);
      this.said.textContent = "selected: copy it with Ctrl+C";
    }
  }
}
