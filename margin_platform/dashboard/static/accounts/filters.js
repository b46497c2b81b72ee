// The filters above the grid: by text, color, method, symbol held and open action.
import { askQuietly } from "../ask.js";
import { $, h } from "../dom.js";
import { COLORS, FLAG, LETTER, MEANING } from "../status.js";

const HOLDERS_MS = 3000;
const ACTIONS = FLAG.CALL_OPEN | FLAG.CLOSE_ONLY | FLAG.LIQUIDATING;

export class Filters {
  constructor(page, grid) {
    Object.assign(this, { page, grid, text: "", colors: new Set(), method: "", flagged: false });
    this.symbol = "";
    this.holders = null; // row numbers of the accounts that hold the symbol, null without a symbol
    this.known = null; // those of the last answer, as a text
    this.#wire();
    setInterval(() => this.symbol && this.#findHolders(), HOLDERS_MS);
  }

  // The server restarted: its row numbers are new.
  restart() {
    if (!this.symbol) return;
    this.holders = new Set();
    this.known = null;
    this.#apply();
    this.#findHolders();
  }

  #wire() {
    this.#on("q", "input", ({ value }) => {
      this.text = value.trim().toLowerCase();
    });
    this.#on("by-method", "change", ({ value }) => {
      this.method = value;
    });
    this.#on("by-flag", "change", ({ checked }) => {
      this.flagged = checked;
    });
    $("by-symbol").addEventListener("change", ({ target }) => {
      this.symbol = target.value.trim();
      this.#findHolders();
    });
    $("by-symbol").addEventListener("focus", suggestSymbols);
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("by-color").append(...COLORS.map((color) => this.#chip(color)));
  }

  #on(id, event, take) {
    $(id).addEventListener(event, ({ target }) => {
      take(target);
      this.#apply();
    });
  }

  #chip(color) {
    const onchange = ({ target }) => {
      if (target.checked) this.colors.add(color);
      else this.colors.delete(color);
      this.#apply();
    };
    return h(
      "label",
      { class: `chip ${color}` },
      h("input", { type: "checkbox", value: color, onchange }),
      h("span", { class: `badge ${color}`, "aria-hidden": "true" }, LETTER[color]),
      ` ${MEANING[color]}`,
    );
  }

  #apply() {
    this.grid.setFilter(this.#predicate());
  }

  // Each test reads the store when it runs: its arrays are replaced when it grows, and the store
  // itself when the server restarts.
  #predicate() {
    const { page, text, colors, method, holders, flagged } = this;
    const tests = [];
    if (colors.size > 0 && colors.size < COLORS.length) {
      tests.push((i) => colors.has(COLORS[page.store.color[i]]));
    }
    if (method) tests.push((i) => page.store.texts.method[i] === method);
    if (holders) tests.push((i) => holders.has(i));
    if (flagged) tests.push((i) => (page.store.numbers.flags[i] & ACTIONS) !== 0);
    if (text) tests.push((i) => String(page.store.texts.account_id[i]).toLowerCase().includes(text));
    return tests.length ? (i) => tests.every((test) => test(i)) : null;
  }

  // Asked again every few seconds: fills continue while the filter stands.
  async #findHolders() {
    const { symbol } = this;
    if (!symbol) {
      $("by-symbol-note").hidden = true;
      this.#hold(null);
      return;
    }
    const answer = await askQuietly("/api/holders", { symbol });
    if (!answer || symbol !== this.symbol) return;
    $("by-symbol-note").hidden = answer.ready;
    if (answer.epoch === this.page.stream.epoch) this.#hold(answer.numbers);
  }

  #hold(numbers) {
    const known = numbers?.join() ?? null;
    if (known === this.known) return;
    this.known = known;
    this.holders = numbers && new Set(numbers);
    this.#apply();
  }
}

// Without the list of suggestions a symbol can still be typed.
async function suggestSymbols() {
  const answer = await askQuietly("/api/symbols");
  if (answer) $("symbols").replaceChildren(...answer.symbols.map((value) => h("option", { value })));
}
