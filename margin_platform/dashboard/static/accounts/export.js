// The rows of the grid as a file. A file outlives the page, so it names the event time it shows and
// whether the page was live. From a page that was not live, every account is gray.
import { time } from "../format.js";
import { reason } from "../reason.js";
import { marks } from "../status.js";
import { csv, download } from "./csv.js";

const letters = (flags) => marks(flags ?? 0).map(({ letter }) => letter);

function fields({ clock, live, facts }) {
  const same = (name) => [name, (row) => row[name]];
  return [
    same("account_id"),
    ["color", (row) => (live ? row.color : "gray")],
    same("status"),
    same("band"),
    same("margin_type"),
    same("method"),
    same("excess"),
    same("excess_pct"),
    same("equity"),
    same("requirement"),
    same("reg_t"),
    same("tims"),
    same("saving"),
    same("worst_stress"),
    same("beta_exposure"),
    same("gross_mv"),
    ["timestamp", (row) => time(row.timestamp)],
    ["age_seconds", (row) => (row.age === null ? null : row.age / 1000)],
    ["oldest_price", (row) => time(row.oldest_price)],
    ["flags", (row) => letters(row.flags).join("")],
    ["reason", (row) => reason(row, facts)],
    ["as_of", () => clock],
    ["live", () => live],
  ];
}

export function exportRows(store, facts, live) {
  const columns = fields({ clock: time(store.clock), live, facts });
  const headings = columns.map(([name]) => name);
  const rows = store.slice(0, store.view.length);
  const cells = rows.map((row) => columns.map(([, value]) => value(row)));
  download(`margin-accounts-${new Date().toISOString().replaceAll(":", "")}.csv`, csv(headings, cells));
}
