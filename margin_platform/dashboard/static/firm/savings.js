// What portfolio margin saves over the whole firm, and how much of it is realized today.
import { fill, h } from "../dom.js";
import { compact, count, percent } from "../format.js";

function totals({ byId, numbers, texts }) {
  const sum = { saved: 0, accounts: 0, regT: 0, tims: 0, realized: 0, holders: 0 };
  for (const i of byId.values()) {
    const saving = numbers.saving[i];
    if (!(saving > 0)) continue;
    sum.saved += saving;
    sum.accounts++;
    sum.regT += numbers.reg_t[i];
    sum.tims += numbers.tims[i];
    if (texts.margin_type[i] !== "PORTFOLIO") continue;
    sum.realized += saving;
    sum.holders++;
  }
  return sum;
}

export function savings(box, store) {
  const { saved, accounts, regT, tims, realized, holders } = totals(store);
  const share = regT ? ` (${percent(saved / regT)} less)` : "";
  const sentences = [
    ` less under portfolio margin for ${count(accounts)} of ${count(store.size)} accounts: `,
    `${compact(tims)} instead of ${compact(regT)}${share}. `,
    `${compact(realized)} is realized by ${count(holders)} PM accounts; `,
    "the rest is available if the other accounts converted.",
  ];
  fill(box, [saved, sentences], () => h("p", { class: "lead" }, h("b", null, compact(saved)), sentences));
}
