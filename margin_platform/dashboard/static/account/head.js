// The head of an account: its color, the reason for it, and its figures.
import { badge, markLetters } from "../badge.js";
import { h, note, visible } from "../dom.js";
import { age, dollars, percent } from "../format.js";
import { reason } from "../reason.js";
import { MARGIN_TYPE } from "../status.js";
import { dayOf, momentOf, timesOf } from "./moment.js";

function figure(label, value, title = null) {
  const tone = /^[−(]/.test(value) ? "negative" : null;
  return h("div", { class: "figure-box", title }, h("span", null, label), h("b", { class: tone }, value));
}

const figures = (row, day) =>
  h(
    "div",
    { class: "figures" },
    figure("Equity", dollars(row.equity)),
    figure("Applied requirement", dollars(row.requirement)),
    figure("Excess", dollars(row.excess)),
    figure("Day P&L", day.text, day.title),
    figure("Excess %", percent(row.excess_pct)),
    figure("Rules-based", dollars(row.reg_t)),
    figure("TIMS", dollars(row.tims)),
    figure("PM relief", dollars(row.saving)),
    figure("Worst stressed excess", dollars(row.worst_stress)),
    figure("β exposure", dollars(row.beta_exposure)),
    figure("Margin type", MARGIN_TYPE[row.margin_type] ?? "–"),
  );

function title(row) {
  const id = h("span", { class: "id" }, visible(row.account_id));
  return h("h2", null, badge(row.color), " ", id, " ", markLetters(row.flags));
}

export class Head {
  // An empty head, for a page that is built again.
  renew() {
    this.box = h("div", { class: "account-head" });
    this.shown = null;
    return this.box;
  }

  show(answer, { store, facts }) {
    const row = momentOf(answer, store);
    const day = dayOf(answer);
    // The age moves with every frame. It changes the last line alone, unless it is part of the reason.
    const key = JSON.stringify([{ ...row, age: row.old ? age(row.age) : null }, day]);
    if (key === this.shown) {
      this.box.lastChild.textContent = timesOf(row, answer);
      return;
    }
    this.shown = key;
    this.box.replaceChildren(
      title(row),
      h("p", { class: "reason" }, reason(row, facts)),
      figures(row, day),
      note(timesOf(row, answer)),
    );
  }
}
