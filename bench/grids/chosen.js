// The dashboard as it is: rows as columns in the page, and a grid that draws only the rows in sight.
import { NUMBERS, Store, TEXTS } from "/static/store/store.js";
import { COLUMNS, measure, money } from "./page.js";

const WIRE = ["i", ...TEXTS, ...NUMBERS];
const SHOWN = COLUMNS.map((name) => ({ gross: "gross_mv", age: "timestamp" })[name] ?? name);
const numeric = (name) => !["account_id", "status", "method"].includes(name);
const wire = (r) => [
  Number(r.account_id.slice(4)),
  r.account_id,
  r.status,
  null,
  r.method,
  r.method,
  r.equity,
  r.requirement,
  r.excess,
  r.excess_pct,
  r.reg_t,
  r.tims,
  r.saving,
  r.worst_stress,
  r.beta_exposure,
  r.gross,
  1,
  1,
  0,
];
const store = new Store(WIRE);
let api;
const adapter = {
  load: (data) =>
    new Promise((done) => {
      store.apply(data.map(wire));
      store.setView({ column: "excess", direction: 1 }, null);
      api = window.agGrid.createGrid(document.getElementById("grid"), {
        theme: "legacy",
        rowModelType: "infinite",
        cacheBlockSize: 100,
        maxBlocksInCache: 4,
        rowHeight: 28,
        headerHeight: 32,
        getRowId: (p) => String(p.data.i),
        datasource: {
          getRows: (p) => p.successCallback(store.slice(p.startRow, p.endRow), store.view.length),
        },
        columnDefs: SHOWN.map((field) => ({
          field,
          width: 110,
          valueFormatter: numeric(field) ? (p) => money.format(p.value) : undefined,
        })),
        onFirstDataRendered: done,
      });
    }),
  async update(rows) {
    const newest = new Map(rows.map((r) => [r.account_id, r]));
    store.apply([...newest.values()].map(wire));
    api.refreshInfiniteCache();
  },
  scroller: () => document.querySelector(".ag-grid-viewport"),
};
window.run = (options) => measure(adapter, options);
