// The grid of accounts. AG Grid draws the rows in sight; the store holds and orders all of them.
import { $, accountAddress, setText } from "../dom.js";
import { count } from "../format.js";
import { columns } from "./columns.js";
import { Layout } from "./layout.js";

// Age sorts by the time of the calculation, in the opposite direction.
const SORTED_AS = { age: ["timestamp", -1] };

const OPTIONS = {
  theme: "legacy",
  rowModelType: "infinite",
  cacheBlockSize: 100,
  maxBlocksInCache: 6,
  rowBuffer: 6,
  rowHeight: 28,
  headerHeight: 32,
  getRowId: (p) => String(p.data.i),
  defaultColDef: {
    sortable: true,
    resizable: true,
    suppressHeaderMenuButton: true,
    sortingOrder: ["asc", "desc"],
  },
  initialState: { sort: { sortModel: [{ colId: "excess", sort: "asc" }] } },
  suppressMultiSort: true,
  suppressDragLeaveHidesColumns: true,
  animateRows: false,
  tooltipShowDelay: 400,
  overlayNoRowsTemplate: "no matching accounts",
};

const open = (row) => {
  if (row) location.hash = accountAddress(row.account_id);
};

export class AccountsGrid {
  constructor(store, facts) {
    this.store = store;
    this.sort = { column: "excess", direction: 1 };
    this.filter = null;
    this.pending = false;
    store.setView(this.sort, null);
    this.api = globalThis.agGrid.createGrid($("grid"), {
      ...OPTIONS,
      columnDefs: columns(facts),
      datasource: { getRows: (p) => this.#rows(p) },
      onRowClicked: (p) => open(p.data),
      onCellKeyDown: (p) => p.event.key === "Enter" && open(p.data),
    });
    this.layout = new Layout(this.api);
  }

  #rows({ startRow, endRow, sortModel, successCallback }) {
    const [asked] = sortModel;
    const [column, turn] = SORTED_AS[asked?.colId] ?? [asked?.colId ?? "excess", 1];
    const direction = (asked?.sort === "desc" ? -1 : 1) * turn;
    if (column !== this.sort.column || direction !== this.sort.direction) {
      this.sort = { column, direction };
      this.store.setView(this.sort, this.filter);
    }
    successCallback(this.store.slice(startRow, endRow), this.store.view.length);
  }

  // Returns the reader to the cell that last had the focus, if any.
  focus() {
    const cell = this.api.getFocusedCell();
    if (cell) this.api.setFocusedCell(cell.rowIndex, cell.column);
  }

  // Called with each frame. Shows what changed once, at the next paint.
  refresh() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if ($("view-accounts").hidden) return;
      this.api.refreshInfiniteCache();
      setText("shown", `${count(this.store.view.length)} of ${count(this.store.size)}`);
    });
  }

  // The filter is a predicate over row numbers, or null for every account.
  setFilter(filter) {
    this.filter = filter;
    this.store.setView(this.sort, filter);
    this.api.purgeInfiniteCache();
    this.refresh();
  }

  useStore(store) {
    this.store = store;
    store.setView(this.sort, this.filter);
  }
}
