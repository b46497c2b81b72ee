import "/npm/@perspective-dev/viewer/dist/cdn/perspective-viewer.js";
import "/npm/@perspective-dev/viewer-datagrid/dist/cdn/perspective-viewer-datagrid.js";
import perspective from "/npm/@perspective-dev/client/dist/cdn/perspective.js";
import { COLUMNS, measure } from "./page.js";

let table;
let viewer;
const within = (root) => {
  // the datagrid keeps its table in a shadow root of its own
  for (const element of root.querySelectorAll("*")) {
    const found =
      element.localName === "regular-table" ? element : element.shadowRoot && within(element.shadowRoot);
    if (found) return found;
  }
  return null;
};
const adapter = {
  async load(data) {
    viewer = document.createElement("perspective-viewer");
    document.getElementById("grid").append(viewer);
    const worker = await perspective.worker();
    table = await worker.table(data, { index: "account_id" });
    await viewer.load(table);
    await viewer.restore({ plugin: "Datagrid", columns: COLUMNS, sort: [["excess", "asc"]] });
  },
  async update(rows) {
    await table.update(rows);
    await viewer.flush();
  },
  scroller: () => within(document),
};
window.run = (options) => measure(adapter, options);
