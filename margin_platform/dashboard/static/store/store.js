// Every account as columns: numbers in typed arrays, texts in plain ones. A row number is the server's.
import { COLORS } from "../status.js";
import { Order } from "./order.js";

export const NUMBERS = [
  "equity",
  "requirement",
  "excess",
  "excess_pct",
  "reg_t",
  "tims",
  "saving",
  "worst_stress",
  "beta_exposure",
  "gross_mv",
  "timestamp",
  "oldest_price",
  "flags",
];
export const TEXTS = ["account_id", "status", "band", "margin_type", "method", "customer", "representative"];
const GRAY = COLORS.indexOf("gray");
const FIRST_CAPACITY = 1024;

export class Store {
  constructor(columns) {
    this.columns = columns;
    this.cutoff = null; // calculations before this event time are old
    this.clock = null; // event clock, epoch milliseconds
    this.size = 0;
    this.capacity = 0;
    this.numbers = {};
    this.texts = Object.fromEntries(TEXTS.map((name) => [name, []]));
    this.byId = new Map();
    this.view = new Order();
    this.#reserve(FIRST_CAPACITY);
  }

  #reserve(size) {
    if (size <= this.capacity) return;
    const capacity = Math.max(size, this.capacity * 2);
    const grown = (old, Type, fill) => {
      const array = new Type(capacity).fill(fill);
      if (old) array.set(old);
      return array;
    };
    for (const name of NUMBERS) this.numbers[name] = grown(this.numbers[name], Float64Array, NaN);
    this.received = grown(this.received, Uint8Array, GRAY); // the color that the server sent
    this.color = grown(this.color, Uint8Array, GRAY); // the color as shown: gray when the figures are old
    this.mark = grown(null, Uint8Array, 0);
    this.present = grown(this.present, Uint8Array, 0);
    this.capacity = capacity;
  }

  // Takes in rows as they come over the wire, and keeps the view.
  apply(rows) {
    const changed = new Uint32Array(rows.length);
    for (let k = 0; k < rows.length; k++) {
      const i = rows[k][0];
      this.#reserve(i + 1);
      this.#write(i, rows[k]);
      changed[k] = i;
    }
    this.view.merge(this, changed);
  }

  #write(i, row) {
    for (let c = 1; c < this.columns.length; c++) {
      const name = this.columns[c];
      if (name === "color") this.received[i] = row[c];
      else if (name in this.numbers) this.numbers[name][i] = row[c] ?? NaN;
      else if (name in this.texts) this.texts[name][i] = row[c];
    }
    if (!this.present[i]) {
      this.present[i] = 1;
      this.size++;
      this.byId.set(this.texts.account_id[i], i);
    }
    this.color[i] = this.#colorOf(i);
  }

  #colorOf(i) {
    return this.isOld(i) ? GRAY : this.received[i];
  }

  // Cash alone has no price that could grow old.
  isOld(i) {
    if (this.cutoff === null || this.numbers.gross_mv[i] === 0) return false;
    return !(this.numbers.timestamp[i] >= this.cutoff);
  }

  // Moves the event clock. Rows that become old, or current again, change color.
  setClock(clock, cutoff) {
    this.clock = clock;
    if (cutoff === this.cutoff) return;
    this.cutoff = cutoff;
    const changed = [];
    for (const i of this.byId.values()) {
      const color = this.#colorOf(i);
      if (color === this.color[i]) continue;
      this.color[i] = color;
      changed.push(i);
    }
    if (changed.length) this.view.merge(this, changed);
  }

  setView(sort, filter) {
    this.view.rebuild(this, sort, filter);
  }

  values(column) {
    return column === "color" ? this.color : (this.numbers[column] ?? this.texts[column]);
  }

  // One row as an object, for the grid and the head of an account.
  row(i) {
    const age = this.clock === null ? null : Math.max(0, this.clock - this.numbers.timestamp[i]);
    const row = { i, color: COLORS[this.color[i]], age, old: this.isOld(i) };
    for (const name of TEXTS) row[name] = this.texts[name][i] ?? null;
    for (const name of NUMBERS) {
      const value = this.numbers[name][i];
      row[name] = Number.isNaN(value) ? null : value;
    }
    return row;
  }

  slice(start, end) {
    const numbers = this.view.rows.subarray(start, Math.min(end, this.view.length));
    return Array.from(numbers, (i) => this.row(i));
  }

  find(accountId) {
    const i = this.byId.get(accountId);
    return i === undefined ? null : this.row(i);
  }
}
