// Lists of accounts: those behind the firm's loss, the weakest, the most exposed, and the largest savings.
import { badge } from "../badge.js";
import { accountLink, fill, h } from "../dom.js";
import { money, move } from "../format.js";
import { FLAG } from "../status.js";
import { top } from "../store/top.js";
import { num, signed, table } from "../table.js";

const TOP = 10;

// Each is the accounts with the lowest key of a column's value, and the columns shown for them.
export const WEAKEST = {
  name: "weakest",
  key: (worst) => worst,
  columns: { worst_stress: "Worst stressed excess", equity: "Equity", excess: "Excess" },
  caption: "Accounts by their lowest excess in any SPY scenario, dollars",
};
export const EXPOSURE = {
  name: "exposure",
  key: (exposure) => -Math.abs(exposure),
  columns: { beta_exposure: "β exposure", gross_mv: "Gross", excess: "Excess" },
  caption: "Accounts by beta-weighted exposure, dollars",
};
// What customers owe with no position left to sell: lost already, and no matter of any scenario.
export const DEBITS = {
  name: "debits",
  by: "equity",
  key: (equity) => equity,
  only: FLAG.UNSECURED,
  columns: { equity: "Equity" },
  caption: "Accounts without positions that owe, dollars",
  empty: "no account owes without positions",
};
export const SAVINGS = {
  name: "savings",
  by: "saving",
  key: (saving) => -saving,
  columns: {
    reg_t: "Rules-based",
    tims: "TIMS",
    saving: "PM relief",
    beta_exposure: "β exposure",
    gross_mv: "Gross",
  },
  caption: "Largest PM relief, dollars; a hedged account has little β exposure for its gross value",
};

export function ranking(box, store, { by, key, only, columns, caption, empty }) {
  const fields = Object.keys(columns);
  const rows = top(store, { column: by ?? fields[0], key, count: TOP, flag: only }).map((i) => store.row(i));
  const line = (row) => [
    h("span", null, badge(row.color), " ", accountLink(row.account_id)),
    ...fields.map((field) => signed(row[field], money(row[field]))),
  ];
  const shown = rows.map((row) => [row.account_id, row.color, ...fields.map((field) => row[field])]);
  const headings = ["Account", ...Object.values(columns).map((heading) => num(heading))];
  fill(box, shown, () => table(headings, rows.map(line), { caption, empty }));
}

// The accounts that owe most at the worst scenario of the firm.
export function contributors(box, scenarios) {
  const worst = scenarios.reduce((a, b) => (b.firm_loss > a.firm_loss ? b : a));
  const rows = (worst.top_contributors ?? []).map((c) => [accountLink(c.account_id), num(money(c.amount))]);
  const spy = move(Number(worst.scenario));
  const caption = `Unsecured debit at SPY ${spy}, dollars`;
  const empty = "no account would have an unsecured debit";
  fill(box, worst, () => table(["Account", num("Unsecured")], rows, { caption, empty }));
}
