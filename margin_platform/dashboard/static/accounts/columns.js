// The columns of the grid, ordered so that a screen of 1,600 pixels shows every figure up to the age.
import { badge, markLetters } from "../badge.js";
import { visible } from "../dom.js";
import { age, money, percent } from "../format.js";
import { reason } from "../reason.js";
import { LETTER, MARGIN_TYPE, MEANING, METHOD, marks } from "../status.js";

const MEANINGS = Object.entries(MEANING).map(([color, meaning]) => `${LETTER[color]} ${meaning}`);
const EVERY_MARK = marks(~0).map(({ letter, title }) => `${letter} ${title}`);

const negative = { negative: (p) => p.value < 0 };
const figure = { type: "rightAligned", cellClass: "num", cellClassRules: negative };
const inDollars = {
  ...figure,
  width: 128,
  tooltipValueGetter: (p) => money(p.value),
  valueFormatter: (p) => money(p.value),
};

const dollars = (field, headerName, more = {}) => ({ ...inDollars, field, headerName, ...more });

export function columns(facts) {
  return [
    {
      field: "color",
      headerName: "State",
      headerTooltip: MEANINGS.join(", "),
      width: 58,
      minWidth: 44,
      pinned: "left",
      cellRenderer: (p) => (p.data ? badge(p.value) : ""),
    },
    {
      field: "account_id",
      headerName: "Account",
      width: 204,
      tooltipValueGetter: (p) => visible(p.value),
      pinned: "left",
      cellClass: "id",
      valueFormatter: (p) => visible(p.value),
    },
    { field: "customer", headerName: "Customer", width: 150, valueFormatter: (p) => visible(p.value) },
    dollars("excess", "Excess", { cellClass: "num strong" }),
    {
      ...figure,
      field: "excess_pct",
      headerName: "Excess %",
      headerTooltip: "excess as a share of gross market value",
      width: 104,
      valueFormatter: (p) => percent(p.value),
    },
    {
      field: "flags",
      headerName: "Open actions",
      headerTooltip: EVERY_MARK.join(", "),
      width: 108,
      cellRenderer: (p) => markLetters(p.value),
    },
    {
      colId: "reason",
      headerName: "Reason",
      width: 254,
      sortable: false,
      cellClass: "reason",
      valueGetter: (p) => (p.data ? reason(p.data, facts, { brief: true }) : ""),
      tooltipValueGetter: (p) => (p.data ? reason(p.data, facts) : ""),
    },
    dollars("equity", "Equity"),
    dollars("requirement", "Applied req.", {
      headerTooltip: "the requirement that applies to the account",
    }),
    dollars("reg_t", "Rules-based", {
      headerTooltip: "rules-based maintenance with the house add-ons",
    }),
    dollars("tims", "TIMS"),
    dollars("saving", "PM relief", { headerTooltip: "rules-based requirement less TIMS" }),
    dollars("worst_stress", "Worst stress", {
      headerTooltip: "lowest excess in any SPY scenario",
      width: 116,
    }),
    dollars("beta_exposure", "β exposure"),
    {
      ...figure,
      field: "age",
      headerName: "Age",
      headerTooltip: "from the last calculation to the as-of time",
      width: 74,
      cellClassRules: { aged: (p) => p.data?.old },
      valueFormatter: (p) => age(p.value),
    },
    {
      field: "margin_type",
      headerName: "Margin type",
      width: 104,
      valueFormatter: (p) => MARGIN_TYPE[p.value] ?? visible(p.value),
    },
    {
      field: "method",
      headerName: "Lower method",
      headerTooltip: "the method with the lower requirement",
      width: 116,
      valueFormatter: (p) => METHOD[p.value] ?? "",
    },
    dollars("gross_mv", "Gross value"),
    {
      field: "representative",
      headerName: "Representative",
      width: 140,
      valueFormatter: (p) => visible(p.value),
    },
  ];
}
