import "/npm/@perspective-dev/viewer/dist/cdn/perspective-viewer.js";
import "/npm/@perspective-dev/viewer-datagrid/dist/cdn/perspective-viewer-datagrid.js";
import perspective from "/npm/@perspective-dev/client/dist/cdn/perspective.js";
import { COLUMNS, measure } from "./page.js";

let table, viewer;
const adapter = {
  async load(data) {
    viewer = document.createElement("perspective-viewer");
    document.getElementById("grid").append(viewer);
    const worker = await perspective.worker();
    table = await worker.table(data, { index: "account_id" });
    await viewer.load(table);
    await viewer.restore({ plugin: "Datagrid", columns: COLUMNS, sort: [["excess", "asc"]] });
  },
  async update(rows) { await table.update(rows); await viewer.flush(); },
  scroller: () => viewer.querySelector("regular-table") ?? viewer.shadowRoot?.querySelector("regular-table"),
};
window.run = (options) => measure(adapter, options);
