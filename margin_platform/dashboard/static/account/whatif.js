// "What if": trades at the mark and a cash deposit, evaluated by the kernel on the server.
// Nothing is booked or sent.
import { ask } from "../ask.js";
import { h, note, visible } from "../dom.js";
import { dollars, money, time } from "../format.js";
import { num, table } from "../table.js";

const LINES = [
  ["Equity", "equity"],
  ["Applied requirement", "requirement"],
  ["Excess", "excess"],
  ["Rules-based maintenance", "maintenance_req"],
  ["TIMS requirement", "portfolio_margin_req"],
  ["Worst stressed excess", "worst_stress"],
  ["β exposure", "beta_weighted_exposure"],
];
const spoken = (status) => status.replaceAll("_", " ").toLowerCase();
const HEADINGS = ["", num("Now"), num("After"), num("Change")];

function line([label, field], before, after) {
  const [now, then] = [before[field], after[field]];
  const tone = then < 0 ? "negative strong" : "strong";
  const change = now === null || then === null ? null : then - now;
  return [label, num(money(now)), num(money(then), tone), num(money(change))];
}

function outcome({ before, after, timestamp }) {
  const short = after.excess < 0;
  const result = short ? `Still short by ${dollars(-after.excess)}.` : "Meets its requirement.";
  const basis = `Positions and prices of ${time(timestamp)}; trades at the mark, without costs.`;
  const rows = LINES.map((named) => line(named, before, after));
  return [
    table(HEADINGS, rows, { caption: "Before and after, dollars" }),
    note(`${spoken(before.status)} → ${spoken(after.status)}. ${result} ${basis}`),
  ];
}

const input = (id, more) => h("input", { id: `whatif-${id}`, ...more });

export class WhatIf {
  // The form of an account stays the same through refreshes, with what the reader typed in it.
  node(id) {
    if (this.id !== id) this.#build(id);
    return this.form;
  }

  #build(id) {
    this.id = id;
    this.trades = input("trades", { placeholder: "SELL 100 AAPL, SPY:20", spellcheck: "false", size: 24 });
    this.cash = input("cash", { type: "number", step: "0.01", placeholder: "0.00", size: 10 });
    this.out = h("div", { id: "whatif-result", "aria-live": "polite" });
    const onsubmit = (event) => {
      event.preventDefault();
      this.#evaluate(this.out);
    };
    this.form = h(
      "form",
      { class: "whatif", onsubmit },
      h("label", null, "Trades ", this.trades),
      h("label", null, "Deposit ", this.cash),
      h("button", { type: "submit" }, "Evaluate"),
      this.out,
    );
  }

  // A reply is dropped when the reader asked another question meanwhile.
  async #evaluate(out) {
    const asked = { id: this.id, cash: this.cash.value || "0", trade: this.trades.value };
    const question = new URLSearchParams(asked);
    this.question = question;
    const content = await answerTo(question);
    if (question === this.question) out.replaceChildren(...content);
  }
}

async function answerTo(question) {
  const refusal = (text) => [h("p", { class: "negative", role: "alert" }, text)];
  try {
    const reply = await ask("/api/whatif", question);
    const answer = await reply.json();
    return reply.ok ? outcome(answer) : refusal(visible(answer.error));
  } catch {
    return refusal("the server did not answer");
  }
}
