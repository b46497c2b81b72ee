// Every account as columns: numbers in typed arrays, texts in plain ones. A view is a sorted, filtered list of row numbers
// that is kept up to date by merging only the changed rows back in, so that 100,000 rows cost a frame a few milliseconds.

const NUMBERS = [
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
const TEXTS = ["account_id", "status", "band", "margin_type", "method"];
export const COLOURS = ["green", "yellow", "red", "grey"];
const GREY = 3;
export const FLAG = { CALL_OPEN: 1, CLOSE_ONLY: 2, LIQUIDATING: 4, STRESSED: 8 };

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
    this.view = { sort: null, filter: null, order: new Uint32Array(0), length: 0 };
    this.#reserve(1024);
  }

  #reserve(size) {
    if (size <= this.capacity) return;
    const capacity = Math.max(size, this.capacity * 2);
    const grown = (old, Type, fill) => {
      const a = new Type(capacity).fill(fill);
      if (old) a.set(old);
      return a;
    };
    for (const name of NUMBERS) this.numbers[name] = grown(this.numbers[name], Float64Array, NaN);
    this.told = grown(this.told, Uint8Array, GREY); // the colour as the server gave it
    this.colour = grown(this.colour, Uint8Array, GREY); // and as it is shown: grey where that was too long ago
    this.mark = grown(null, Uint8Array, 0);
    this.present = grown(this.present, Uint8Array, 0);
    this.capacity = capacity;
  }

  // Takes in wire rows, newest per account, and keeps the view. Returns the row numbers.
  apply(rows) {
    const touched = new Uint32Array(rows.length);
    for (let k = 0; k < rows.length; k++) {
      const i = rows[k][0];
      this.#reserve(i + 1);
      for (let c = 1; c < this.columns.length; c++) {
        const name = this.columns[c],
          value = rows[k][c];
        if (name === "colour") this.told[i] = value;
        else if (name in this.numbers) this.numbers[name][i] = value ?? NaN;
        else if (name in this.texts) this.texts[name][i] = value;
      }
      if (!this.present[i]) {
        this.present[i] = 1;
        this.size++;
        this.byId.set(this.texts.account_id[i], i);
      }
      this.colour[i] = this.#colour(i);
      touched[k] = i;
    }
    this.#merge(touched);
    return touched;
  }

  #colour(i) {
    return this.isOld(i) ? GREY : this.told[i];
  }

  isOld(i) {
    return this.cutoff !== null && !(this.numbers.timestamp[i] >= this.cutoff);
  }

  // Moves the event clock; rows that grew too old, or young again, change colour.
  setClock(clock, cutoff) {
    this.clock = clock;
    if (cutoff === this.cutoff) return;
    this.cutoff = cutoff;
    const turned = [];
    for (const i of this.byId.values()) {
      const colour = this.#colour(i);
      if (colour !== this.colour[i]) {
        this.colour[i] = colour;
        turned.push(i);
      }
    }
    if (turned.length) this.#merge(Uint32Array.from(turned));
  }

  // Sort {column, direction: 1 | -1} and filter (i) => boolean; the view is built anew.
  setView(sort, filter) {
    this.view.sort = sort;
    this.view.filter = filter;
    const order = [];
    for (const i of this.byId.values()) if (!filter || filter(i)) order.push(i);
    const sorted = Uint32Array.from(order).sort(this.#comparator());
    this.view.order = sorted;
    this.view.length = sorted.length;
  }

  #comparator() {
    const { sort } = this.view;
    if (!sort) return (a, b) => a - b;
    const { column, direction } = sort;
    const values = column === "colour" ? this.colour : (this.numbers[column] ?? this.texts[column]);
    return (a, b) => {
      const x = values[a],
        y = values[b];
      const noX = x === null || x === undefined || x !== x,
        noY = y === null || y === undefined || y !== y;
      if (noX || noY) return noX === noY ? a - b : noX ? 1 : -1; // the unknown stand last, in both directions
      return x < y ? -direction : x > y ? direction : a - b;
    };
  }

  #merge(touched) {
    const { order, length, filter } = this.view,
      mark = this.mark;
    const moved = [];
    for (const i of touched) {
      if (mark[i]) continue;
      mark[i] = 1;
      if (this.present[i] && (!filter || filter(i))) moved.push(i);
    }
    const compare = this.#comparator();
    moved.sort(compare);
    const room = Math.max(length + moved.length, 1);
    const next = new Uint32Array(room);
    let n = 0,
      m = 0;
    for (let k = 0; k < length; k++) {
      const i = order[k];
      if (mark[i]) continue;
      while (m < moved.length && compare(moved[m], i) < 0) next[n++] = moved[m++];
      next[n++] = i;
    }
    while (m < moved.length) next[n++] = moved[m++];
    for (const i of touched) mark[i] = 0;
    this.view.order = next;
    this.view.length = n;
  }

  // One row as an object, for the grid and the header of an account.
  row(i) {
    const row = {
      i,
      colour: COLOURS[this.colour[i]],
      age: this.clock === null ? null : Math.max(0, this.clock - this.numbers.timestamp[i]),
      old: this.isOld(i),
    };
    for (const name of TEXTS) row[name] = this.texts[name][i] ?? null;
    for (const name of NUMBERS) {
      const x = this.numbers[name][i];
      row[name] = Number.isNaN(x) ? null : x;
    }
    return row;
  }

  slice(start, end) {
    const rows = [];
    for (let k = start; k < Math.min(end, this.view.length); k++) rows.push(this.row(this.view.order[k]));
    return rows;
  }

  // The first rows by a key of a column's figures, lowest first, in one pass: a firm has a hundred thousand accounts.
  top(column, key, count) {
    const values = this.numbers[column],
      found = [];
    for (const i of this.byId.values()) {
      const k = key(values[i]);
      if (Number.isNaN(k) || (found.length === count && k >= found[count - 1].k)) continue;
      let at = found.length;
      while (at > 0 && found[at - 1].k > k) at--;
      found.splice(at, 0, { i, k });
      if (found.length > count) found.pop();
    }
    return found.map(({ i }) => i);
  }

  find(accountId) {
    const i = this.byId.get(accountId);
    return i === undefined ? null : this.row(i);
  }
}
