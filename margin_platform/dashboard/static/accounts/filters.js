// The filters above the grid: text, color, method, symbol held, open action, scenario failed.
import { askQuietly } from "../ask.js";
import { $, h } from "../dom.js";
import { move } from "../format.js";
import { COLORS, LETTER, MEANING } from "../status.js";
import { Holders } from "./holders.js";
import { bits, fromAddress, toAddress } from "./selection.js";

const HOLDERS_MS = 3000;
const SYMBOL = /^[A-Za-z][A-Za-z0-9./-]{0,11}$/;

export class Filters {
  constructor(page, grid) {
    Object.assign(this, { page, grid, selected: fromAddress("") });
    const changed = () => this.#apply();
    const held = { path: "/api/holders", name: "symbol", changed };
    this.holds = new Holders(page, held);
    this.named = new Holders(page, held); // the text read as a symbol
    this.fails = new Holders(page, { path: "/api/failing", name: "scenario", changed });
    this.#wire();
    setInterval(() => this.#each((asked) => asked.refresh()), HOLDERS_MS);
  }

  #each(act) {
    for (const asked of [this.holds, this.named, this.fails]) act(asked);
  }

  restart() {
    this.#each((asked) => asked.restart());
  }

  // Shows what an address selects.
  take(query) {
    const selected = fromAddress(query);
    $("q").value = selected.q;
    $("by-method").value = selected.method;
    $("by-flag").value = selected.flag;
    $("by-symbol").value = selected.holds;
    for (const box of $("by-color").querySelectorAll("input")) {
      box.checked = selected.colors.includes(box.value);
    }
    this.#select(selected);
  }

  #wire() {
    this.#on("q", "input", (value) => ({ q: value.trim() }));
    this.#on("by-method", "change", (value) => ({ method: value }));
    this.#on("by-flag", "change", (value) => ({ flag: value }));
    this.#on("by-symbol", "change", (value) => ({ holds: value.trim() }));
    this.#on("by-scenario", "click", () => ({ fails: "" }));
    $("by-symbol").addEventListener("focus", suggestSymbols);
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("by-color").append(...COLORS.map((color) => this.#chip(color)));
  }

  #on(id, event, part) {
    $(id).addEventListener(event, ({ target }) => this.#change(part(target.value)));
  }

  #chip(color) {
    const onchange = () => {
      const boxes = [...$("by-color").querySelectorAll("input:checked")];
      this.#change({ colors: boxes.map(({ value }) => value) });
    };
    return h(
      "label",
      { class: `chip ${color}` },
      h("input", { type: "checkbox", value: color, onchange }),
      h("span", { class: `badge ${color}`, "aria-hidden": "true" }, LETTER[color]),
      ` ${MEANING[color]}`,
    );
  }

  #change(part) {
    this.#select({ ...this.selected, ...part });
    history.replaceState(null, "", toAddress(this.selected));
  }

  #select(selected) {
    this.selected = selected;
    this.holds.set(selected.holds);
    this.named.set(SYMBOL.test(selected.q) ? selected.q : "");
    this.fails.set(selected.fails);
    this.#apply();
  }

  #apply() {
    $("by-symbol-note").hidden = !this.selected.holds || this.holds.ready;
    $("by-scenario").hidden = !this.selected.fails;
    $("by-scenario").textContent = `short at SPY ${move(Number(this.selected.fails))} ×`;
    this.grid.setFilter(this.#predicate());
  }

  // Each test reads the store when it runs: its arrays are replaced when it grows, and the store
  // itself when the server restarts.
  #predicate() {
    const { page, selected, holds, fails } = this;
    const { colors, method, flag } = selected;
    const some = colors.length > 0 && colors.length < COLORS.length;
    const tests = [
      some && ((i) => colors.includes(COLORS[page.store.color[i]])),
      method && ((i) => page.store.texts.method[i] === method),
      holds.numbers && ((i) => holds.numbers.has(i)),
      fails.numbers && ((i) => fails.numbers.has(i)),
      flag && ((i) => (page.store.numbers.flags[i] & bits(flag)) !== 0),
      selected.q && this.#finds(selected.q.toLowerCase()),
    ].filter(Boolean);
    return tests.length ? (i) => tests.every((test) => test(i)) : null;
  }

  // A text finds ids, their last digits, customers, representatives, and who holds a symbol of that name.
  #finds(text) {
    const { page, named } = this;
    const fields = ["account_id", "customer", "representative"];
    const says = (i, field) =>
      String(page.store.texts[field][i] ?? "")
        .toLowerCase()
        .includes(text);
    return (i) => fields.some((field) => says(i, field)) || Boolean(named.numbers?.has(i));
  }
}

// Without the list of suggestions a symbol can still be typed.
async function suggestSymbols() {
  const answer = await askQuietly("/api/symbols");
  if (answer) $("symbols").replaceChildren(...answer.symbols.map((value) => h("option", { value })));
}
