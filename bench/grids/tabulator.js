import { TabulatorFull as Tabulator } from "/npm/tabulator-tables/dist/js/tabulator_esm.min.mjs";
import { COLUMNS, measure, money } from "./page.js";

const numeric = (name) => !["account_id", "status", "method"].includes(name);
let table;
const adapter = {
  load: (data) =>
    new Promise((done) => {
      table = new Tabulator("#grid", {
        height: "100%",
        index: "account_id",
        data,
        layout: "fitData",
        initialSort: [{ column: "excess", dir: "asc" }],
        columns: COLUMNS.map((field) => ({
          field,
          title: field,
          width: 110,
          formatter: numeric(field) ? (cell) => money.format(cell.getValue()) : "plaintext",
        })),
      });
      table.on("tableBuilt", done);
    }),
  async update(rows) {
    await table.updateData(rows);
    table.setSort("excess", "asc");
  }, // it does not keep a sort by itself
  scroller: () => document.querySelector(".tabulator-tableholder"),
};
window.run = (options) => measure(adapter, options);
