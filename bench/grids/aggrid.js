import { COLUMNS, measure, money } from "./page.js";

const { createGrid } = window.agGrid;
const numeric = (name) => !["account_id", "status", "method"].includes(name);
let api;
const adapter = {
  load: (rowData) =>
    new Promise((done) => {
      api = createGrid(document.getElementById("grid"), {
        theme: "legacy",
        rowData,
        deltaSort: true,
        getRowId: (p) => p.data.account_id,
        suppressAnimationFrame: false,
        animateRows: false,
        asyncTransactionWaitMillis: 0,
        columnDefs: COLUMNS.map((field) => ({
          field,
          width: 110,
          sort: field === "excess" ? "asc" : undefined,
          valueFormatter: numeric(field) ? (p) => money.format(p.value) : undefined,
        })),
        onFirstDataRendered: done,
      });
    }),
  async update(rows) {
    const newest = new Map(rows.map((r) => [r.account_id, r])); // the latest per account only
    api.applyTransaction({ update: [...newest.values()] });
  },
  scroller: () => document.querySelector(".ag-grid-viewport"),
};
window.run = (options) => measure(adapter, options);
