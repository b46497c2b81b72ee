// The scenario builder: a move of some names, or of their volatility, over the whole book.
// The server puts it through the kernel. Nothing is booked or sent.
import { ask, askQuietly } from "../ask.js";
import { accountLink, h, note, visible } from "../dom.js";
import { count, dollars, money, time } from "../format.js";
import { num, signed, table } from "../table.js";

const SUMS = [
  ["Requirement", "requirement"],
  ["Deficiency of all calls", "deficiency"],
  ["Unsecured debit", "unsecured"],
];
const HEADINGS = ["", num("Now"), num("After"), num("Change")];

function sums(answer) {
  const { calls } = answer;
  const shortNow = [num(count(calls.before)), num(count(calls.after)), num(count(calls.new))];
  const lines = SUMS.map(([label, field]) => {
    const { before, after, change } = answer[field];
    return [label, num(money(before)), num(money(after)), num(money(change))];
  });
  return table(HEADINGS, [["Accounts short of margin", ...shortNow], ...lines], {
    caption: "The whole book before and after, dollars; of accounts, the change is those newly short",
  });
}

function worst({ worst: accounts }) {
  const rows = accounts.map((row) => [
    accountLink(row.account_id),
    signed(row.excess_before, money(row.excess_before)),
    signed(row.excess_after, money(row.excess_after)),
    signed(row.equity_after, money(row.equity_after)),
  ]);
  return table(["Account", num("Excess now"), num("Excess after"), num("Equity after")], rows, {
    caption: "Accounts whose deficiency grows most, dollars",
    empty: "no deficiency grows",
  });
}

function outcome(answer) {
  if (!answer.ready) return [note("positions are still loading: ask again in a moment")];
  const stale = answer.accounts_stale ? `; ${count(answer.accounts_stale)} cannot be valued` : "";
  const basis = `${count(answer.accounts)} accounts, prices as of ${time(answer.timestamp)}${stale}`;
  const head = h("p", { class: "lead" }, "Clients' P&L ", h("b", null, dollars(answer.clients_pnl)));
  return [head, sums(answer), worst(answer), note(`${basis}; a sector has no funds in it`)];
}

const field = (label, input) => h("label", null, `${label} `, input);

export class Builder {
  constructor(box) {
    const option = (value, label) => h("option", { value }, label);
    this.sectors = h("select", { name: "sector" });
    const which = h(
      "select",
      { name: "which", onchange: () => this.#choose() },
      option("symbol", "one name"),
      option("sector", "a sector"),
      option("all", "every name"),
    );
    const symbol = { name: "symbol", list: "symbols", size: 8, required: true, spellcheck: "false" };
    const move = {
      name: "move",
      type: "number",
      step: "0.1",
      min: "-99",
      max: "1000",
      value: "-30",
      size: 6,
    };
    this.form = h(
      "form",
      { class: "whatif", id: "builder", "aria-label": "Scenario builder" },
      field("Moves", which),
      field("Symbol", h("input", symbol)),
      field("Sector", this.sectors),
      field("By percent", h("input", move)),
      field("Volatility a tier up", h("input", { name: "tier", type: "checkbox", value: "up" })),
      h("button", { type: "submit" }, "Evaluate"),
    );
    this.out = h("div", { id: "builder-result", "aria-live": "polite" });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#evaluate();
    });
    box.replaceChildren(this.form, this.out);
    this.#choose();
  }

  // The sectors of the reference data.
  async show() {
    if (this.sectors.options.length) return;
    const answer = await askQuietly("/api/symbols");
    for (const name of answer?.sectors ?? [])
      this.sectors.append(h("option", { value: name }, visible(name)));
  }

  #choose() {
    const { which, symbol, sector } = this.form.elements;
    for (const input of [symbol, sector]) {
      input.disabled = which.value !== input.name;
      input.closest("label").hidden = input.disabled;
    }
  }

  async #evaluate() {
    const said = new FormData(this.form);
    const asked = { move: Number(said.get("move")) / 100 };
    for (const name of ["symbol", "sector", "tier"]) if (said.get(name)) asked[name] = said.get(name);
    this.question = asked;
    const content = await answerTo(asked);
    if (this.question === asked) this.out.replaceChildren(...content);
  }
}

async function answerTo(asked) {
  const refusal = (text) => [h("p", { class: "negative", role: "alert" }, text)];
  try {
    const reply = await ask("/api/shock", asked);
    const answer = await reply.json();
    return reply.ok ? outcome(answer) : refusal(visible(answer.error));
  } catch {
    return refusal("the server did not answer");
  }
}
