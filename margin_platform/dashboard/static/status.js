// The colors, flags and names that every view uses for an account. No DOM here.
export const COLORS = ["green", "yellow", "red", "gray"]; // in the order of the server's numbers
export const LETTER = { green: "G", yellow: "Y", red: "R", gray: "?" };
export const MEANING = { green: "clear", yellow: "warning", red: "call or restricted", gray: "stale" };

export const FLAG = {
  CALL_OPEN: 1,
  CLOSE_ONLY: 2,
  LIQUIDATING: 4,
  STRESSED: 8,
  PAST_DUE: 16,
  UNSECURED: 32,
  BELOW_MINIMUM: 64,
};
export const MARGIN_TYPE = { REG_T: "Rules-based", PORTFOLIO: "Portfolio" };
export const METHOD = { REG_T: "Rules-based", PORTFOLIO: "TIMS" };

const MARKS = [
  { flag: FLAG.CALL_OPEN, letter: "C", title: "margin call open" },
  { flag: FLAG.PAST_DUE, letter: "D", title: "margin call past due" },
  { flag: FLAG.CLOSE_ONLY, letter: "X", title: "close-only" },
  { flag: FLAG.LIQUIDATING, letter: "L", title: "liquidation ordered" },
  { flag: FLAG.UNSECURED, letter: "U", title: "unsecured debit, nothing left to sell" },
  { flag: FLAG.STRESSED, letter: "S", title: "fails severe SPY stress" },
  { flag: FLAG.BELOW_MINIMUM, letter: "M", title: "below the minimum equity of portfolio margin" },
];

// The letters that stand for an account's open actions.
export const marks = (flags) => MARKS.filter(({ flag }) => flags & flag);
