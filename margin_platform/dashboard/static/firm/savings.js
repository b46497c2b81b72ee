// What portfolio margin saves over the whole firm, and how much of it the accounts have today.
import { fill, h } from "../dom.js";
import { compact, count, percent } from "../format.js";

function totals({ byId, numbers, texts }) {
  const sum = { saved: 0, accounts: 0, regT: 0, tims: 0, had: 0, holders: 0 };
  for (const i of byId.values()) {
    const saving = numbers.saving[i];
    if (!(saving > 0)) continue;
    sum.saved += saving;
    sum.accounts++;
    sum.regT += numbers.reg_t[i];
    sum.tims += numbers.tims[i];
    if (texts.margin_type[i] !== "PORTFOLIO") continue;
    sum.had += saving;
    sum.holders++;
  }
  return sum;
}

export function savings(box, store) {
  const { saved, accounts, regT, tims, had, holders } = totals(store);
  const share = regT ? ` (${percent(saved / regT)} less)` : "";
  const sentences = [
    ` less by portfolio margin for ${count(accounts)} of ${count(store.size)} accounts: `,
    `${compact(tims)} instead of ${compact(regT)}${share}. `,
    `${compact(had)} of it is had by the ${count(holders)} held as Portfolio; `,
    "the rest would be, were the others held so.",
  ];
  fill(box, [saved, sentences], () => h("p", { class: "lead" }, h("b", null, compact(saved)), sentences));
}
