// The accounts that the server names for a question: who holds a symbol, or who fails a scenario.
import { askQuietly } from "../ask.js";

export class Holders {
  // path and name: the question and its parameter. changed: called when the answer is another one.
  constructor(page, { path, name, changed }) {
    Object.assign(this, { page, path, name, changed, value: "", numbers: null, known: null, ready: true });
  }

  // An empty value asks nothing, and stands for every account.
  set(value) {
    if (value === this.value) return;
    this.value = value;
    this.#take(value ? [] : null);
    this.refresh();
  }

  // The server restarted: its row numbers are new.
  restart() {
    if (!this.value) return;
    this.#take([]);
    this.refresh();
  }

  // Asked again every few seconds: fills continue while the filter stands.
  async refresh() {
    const { value } = this;
    if (!value) return;
    const answer = await askQuietly(this.path, { [this.name]: value });
    if (!answer || value !== this.value) return;
    this.ready = answer.ready ?? true;
    if (answer.epoch === this.page.stream.epoch) this.#take(answer.numbers);
  }

  #take(numbers) {
    const known = numbers?.join() ?? null;
    if (known === this.known) return;
    this.known = known;
    this.numbers = numbers && new Set(numbers);
    this.changed();
  }
}
