// The grid of accounts: AG Grid shows the rows in sight, the store holds and orders all of them.
import { $, LETTER, MEANING, badge, h, mark, setText, visible, accountLink } from "./dom.js";
import { csv, download } from "./csv.js";
import { age, count, money, percent, time } from "./format.js";
import { COLOURS, FLAG } from "./store.js";
import { marks, why } from "./why.js";

const dollarsColumn = (field, headerName, extra = {}) => ({
  field,
  headerName,
  type: "rightAligned",
  width: 110,
  valueFormatter: (p) => money(p.value),
  cellClass: "num",
  cellClassRules: { negative: (p) => p.value < 0 },
  ...extra,
});
const HELD = { REG_T: "Reg T", PORTFOLIO: "Portfolio" },
  CHEAPER = { REG_T: "Reg T", PORTFOLIO: "TIMS" };

// Ordered so that a screen of 1,600 pixels holds every figure up to the age.
function definitions(warnFrac) {
  return [
    {
      field: "colour",
      headerName: "State",
      headerTooltip: Object.entries(MEANING)
        .map(([c, meaning]) => `${LETTER[c]} ${meaning}`)
        .join(", "),
      width: 58,
      minWidth: 44,
      pinned: "left",
      cellRenderer: (p) => (p.data ? badge(p.value) : ""),
    },
    {
      field: "account_id",
      headerName: "Account",
      width: 124,
      pinned: "left",
      valueFormatter: (p) => visible(p.value),
      cellClass: "id",
    },
    dollarsColumn("excess", "Excess", { cellClass: "num strong" }),
    {
      field: "excess_pct",
      headerName: "Excess %",
      headerTooltip: "excess as a share of gross market value",
      type: "rightAligned",
      width: 86,
      valueFormatter: (p) => percent(p.value),
      cellClass: "num",
      cellClassRules: { negative: (p) => p.value < 0 },
    },
    {
      field: "flags",
      headerName: "Under way",
      headerTooltip: marks(~0)
        .map(([, letter, title]) => `${letter} ${title}`)
        .join(", "),
      width: 100,
      cellRenderer: (p) => h("span", { class: "marks" }, marks(p.value ?? 0).map(mark)),
    },
    {
      colId: "why",
      headerName: "Why",
      width: 262,
      sortable: false,
      valueGetter: (p) => (p.data ? why(p.data, warnFrac, { brief: true }) : ""),
      tooltipValueGetter: (p) => (p.data ? why(p.data, warnFrac) : ""),
      cellClass: "why",
    },
    dollarsColumn("equity", "Equity"),
    dollarsColumn("requirement", "Requirement"),
    dollarsColumn("reg_t", "Reg T"),
    dollarsColumn("tims", "TIMS"),
    dollarsColumn("saving", "Saving", { headerTooltip: "Reg T less TIMS" }),
    dollarsColumn("worst_stress", "Worst stress", {
      headerTooltip: "lowest excess in any SPY scenario",
      width: 116,
    }),
    dollarsColumn("beta_exposure", "β exposure"),
    {
      field: "age",
      headerName: "Age",
      headerTooltip: "since the account was last calculated, on the event clock",
      type: "rightAligned",
      width: 74,
      valueFormatter: (p) => age(p.value),
      cellClass: "num",
      cellClassRules: { aged: (p) => p.data?.old },
    },
    {
      field: "margin_type",
      headerName: "Held as",
      width: 92,
      valueFormatter: (p) => HELD[p.value] ?? visible(p.value),
    },
    {
      field: "method",
      headerName: "Cheaper",
      headerTooltip: "the method with the lower requirement",
      width: 92,
      valueFormatter: (p) => CHEAPER[p.value] ?? "",
    },
    dollarsColumn("gross_mv", "Gross value"),
  ];
}

const EXPORTED = [
  "account_id",
  "colour",
  "status",
  "band",
  "margin_type",
  "method",
  "excess",
  "excess_pct",
  "equity",
  "requirement",
  "reg_t",
  "tims",
  "saving",
  "worst_stress",
  "beta_exposure",
  "gross_mv",
  "timestamp",
  "age_seconds",
  "oldest_price",
  "flags",
  "why",
  "as_of",
  "live",
];

// Age sorts by the calculation's time, the other way round.
const SORTED_AS = { age: ["timestamp", -1] };

export class AccountsGrid {
  constructor(store, facts) {
    this.store = store;
    this.sort = { column: "excess", direction: 1 };
    this.filter = null;
    this.warnFrac = facts.warn_frac;
    store.setView(this.sort, null);
    this.api = globalThis.agGrid.createGrid($("grid"), {
      theme: "legacy",
      rowModelType: "infinite",
      cacheBlockSize: 100,
      maxBlocksInCache: 6,
      rowHeight: 28,
      headerHeight: 32,
      getRowId: (p) => String(p.data.i),
      columnDefs: definitions(facts.warn_frac),
      defaultColDef: {
        sortable: true,
        resizable: true,
        suppressHeaderMenuButton: true,
        sortingOrder: ["asc", "desc"],
      },
      initialState: { sort: { sortModel: [{ colId: "excess", sort: "asc" }] } },
      suppressMultiSort: true,
      animateRows: false,
      tooltipShowDelay: 400,
      datasource: { getRows: (p) => this.#rows(p) },
      onRowClicked: (p) => this.#open(p.data),
      onCellKeyDown: (p) => {
        if (p.event.key === "Enter") this.#open(p.data);
      },
      overlayNoRowsTemplate: "no account matches",
      suppressDragLeaveHidesColumns: true,
      rowBuffer: 6,
    });
    this.pending = false;
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

  #open(row) {
    if (row) location.hash = accountLink(row.account_id);
  }

  // Back where the reader was: the cell last in focus, if any.
  focus() {
    const cell = this.api.getFocusedCell();
    if (cell) this.api.setFocusedCell(cell.rowIndex, cell.column);
  }

  // Called with each frame: shows what changed at the next paint, once.
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

  // filter: { q, colours: Set, method, holders: Set | null, flagged }
  setFilter({ q, colours, method, holders, flagged }) {
    const wanted = q.trim().toLowerCase(),
      anyColour = colours.size === 0 || colours.size === COLOURS.length;
    const passes = (i) => {
      const { texts, numbers, colour } = this.store; // asked anew: its arrays are others once it has grown or the server restarted
      return (
        (anyColour || colours.has(COLOURS[colour[i]])) &&
        (!method || texts.method[i] === method) &&
        (!holders || holders.has(i)) &&
        (!flagged || (numbers.flags[i] & (FLAG.CALL_OPEN | FLAG.CLOSE_ONLY | FLAG.LIQUIDATING)) !== 0) &&
        (!wanted || String(texts.account_id[i]).toLowerCase().includes(wanted))
      );
    };
    this.filter = wanted || !anyColour || method || holders || flagged ? passes : null;
    this.store.setView(this.sort, this.filter);
    this.api.purgeInfiniteCache();
    this.refresh();
  }

  useStore(store) {
    this.store = store;
    store.setView(this.sort, this.filter);
  }

  // A file outlives the page: it says which event time it shows, and is grey where the page is.
  exportShown(live) {
    const clock = time(this.store.clock),
      rows = this.store.slice(0, this.store.view.length);
    const value = {
      colour: (r) => (live ? r.colour : "grey"),
      flags: (r) =>
        marks(r.flags ?? 0)
          .map((m) => m[1])
          .join(""),
      why: (r) => why(r, this.warnFrac),
      timestamp: (r) => time(r.timestamp),
      oldest_price: (r) => time(r.oldest_price),
      age_seconds: (r) => (r.age === null ? null : r.age / 1000),
      as_of: () => clock,
      live: () => live,
    };
    download(
      `margin-accounts-${new Date().toISOString().replaceAll(":", "")}.csv`,
      csv(
        EXPORTED,
        rows.map((r) => EXPORTED.map((name) => (value[name] ?? ((row) => row[name]))(r))),
      ),
    );
  }
}
