// "What if": trades at the mark and a cash transfer, put through the kernel by the server. Nothing is sent anywhere.
import { h, num, table, visible } from "./dom.js";
import { dollars, money, time } from "./format.js";

const LINES = [
  ["Equity", "equity"],
  ["Requirement", "requirement"],
  ["Excess", "excess"],
  ["Reg T rules", "maintenance_req"],
  ["Portfolio margin", "portfolio_margin_req"],
  ["Worst stressed excess", "worst_stress"],
  ["β exposure", "beta_weighted_exposure"],
];

const ANSWER_MS = 10_000;

export class WhatIf {
  // The form survives the page's refreshes, with what the reader typed in it.
  node(id) {
    if (this.id === id) return this.form;
    this.id = id;
    this.trades = h("input", {
      id: "whatif-trades",
      placeholder: "AAPL:-100 SPY:+20",
      spellcheck: "false",
      size: 24,
    });
    this.cash = h("input", {
      id: "whatif-cash",
      type: "number",
      step: "0.01",
      placeholder: "0.00",
      size: 10,
    });
    this.out = h("div", { id: "whatif-result", "aria-live": "polite" });
    this.form = h(
      "form",
      {
        class: "whatif",
        onsubmit: (e) => {
          e.preventDefault();
          this.#ask();
        },
      },
      h("label", null, "Trades ", this.trades),
      h("label", null, "Deposit ", this.cash),
      h("button", { type: "submit" }, "Evaluate"),
      this.out,
    );
    return this.form;
  }

  async #ask() {
    const asked = new URLSearchParams({ id: this.id, cash: this.cash.value || "0" }),
      { out } = this;
    for (const trade of this.trades.value.split(/[\s,]+/).filter(Boolean)) asked.append("trade", trade);
    const question = (this.question = String(asked)); // a reply that another question has overtaken is dropped
    const refuse = (text) => out.replaceChildren(h("p", { class: "negative", role: "alert" }, text));
    try {
      const reply = await fetch(`/api/whatif?${question}`, { signal: AbortSignal.timeout(ANSWER_MS) });
      const answer = await reply.json();
      if (question !== this.question) return;
      if (reply.ok) this.#show(out, answer);
      else refuse(visible(answer.error));
    } catch {
      if (question === this.question) refuse("the server did not answer");
    }
  }

  #show(out, { before, after, timestamp }) {
    const rows = LINES.map(([label, field]) => [
      label,
      num(money(before[field])),
      num(money(after[field]), after[field] < 0 ? "negative strong" : "strong"),
      num(before[field] === null || after[field] === null ? "–" : money(after[field] - before[field])),
    ]);
    out.replaceChildren(
      table(["", num("Now"), num("Then"), num("Change")], rows, { caption: "Before and after, dollars" }),
      h(
        "p",
        { class: "note" },
        `${before.status} → ${after.status}. ${after.excess < 0 ? `Still short by ${dollars(-after.excess)}.` : "Within its requirement."} Positions and prices of ${time(timestamp)}; trades at the mark, without costs.`,
      ),
    );
  }
}
