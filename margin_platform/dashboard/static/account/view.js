// One account: its figures, what they are made of, what would change them, and the steps taken.
import { ask } from "../ask.js";
import { fill, h, note, panel, visible, widePanel } from "../dom.js";
import { timeline } from "../feed/line.js";
import { Arithmetic } from "./arithmetic.js";
import { AccountCharts } from "./charts.js";
import { cures } from "./cures.js";
import { Head } from "./head.js";
import { History } from "./history.js";
import { Letters } from "./letters.js";
import { positions, unexplained } from "./positions.js";
import { rungs } from "./rungs.js";
import { WhatIf } from "./whatif.js";

const REFRESH_MS = 1000;

export class AccountView {
  constructor(box, page) {
    Object.assign(this, { box, page, id: null, parts: null, charts: null, answer: null });
    this.history = null;
    this.head = new Head();
    this.arithmetic = new Arithmetic();
    this.whatif = new WhatIf();
    this.asked = 0; // the time of the last question
    this.asking = false;
    this.stale = false; // something changed since
  }

  show(id) {
    if (this.id !== id) {
      this.#clear(note("loading"));
      this.id = id;
      this.asked = 0;
    }
    this.#ask();
  }

  hide() {
    this.id = null;
    this.#clear();
  }

  themed() {
    if (!this.answer) return;
    this.#fill(this.answer);
    this.history.themed();
  }

  frame({ rows, feed }) {
    if (this.id === null) return;
    this.#showHead();
    this.touch(rows);
    if (this.stale || (feed ?? []).some((item) => item.account_id === this.id)) this.#ask();
  }

  // A change may come in several parts. Only its last part is a frame to show.
  touch(rows) {
    if (rows.some((row) => row[1] === this.id)) this.stale = true;
  }

  // One question at a time, and one a second at most. A later frame asks again when this one may not.
  async #ask() {
    this.stale = true;
    if (this.asking || performance.now() < this.asked + REFRESH_MS) return;
    const { id } = this;
    this.asking = true;
    this.stale = false;
    this.asked = performance.now();
    try {
      const reply = await ask("/api/account", { id });
      const answer = await reply.json();
      if (id === this.id) this.#answered(reply, answer);
    } catch {
      this.stale = true;
    } finally {
      this.asking = false;
    }
    if (id === this.id || this.id === null) return;
    this.asked = 0; // the reader went on to another account
    this.#ask();
  }

  #answered(reply, answer) {
    if (reply.status !== 404) this.#fill(answer);
    else this.#clear(note(`Account not found: ${visible(this.id)}`));
  }

  #clear(...content) {
    this.charts?.destroy();
    this.history?.destroy();
    Object.assign(this, { parts: null, charts: null, history: null, answer: null });
    this.box.replaceChildren(...content);
  }

  // The panels are built once for an account. After that only their content is replaced where it differs,
  // so that the reader's selection, hover and half-typed trade survive.
  #build() {
    const box = (name) => h("div", { id: `account-${name}` });
    const names = ["positions", "stress", "tims", "rungs", "cures", "ladder", "history", "letters"];
    const parts = Object.fromEntries(names.map((name) => [name, box(name)]));
    this.parts = parts;
    this.charts = new AccountCharts(parts.stress, parts.tims);
    this.history = new History(parts.history);
    this.letters = new Letters(parts.letters);
    const held = panel("Positions and add-ons", parts.positions, this.arithmetic.node(this.id));
    const panels = [
      h("div", { class: "span2 beside" }, held, panel("Call history", parts.ladder)),
      widePanel("Equity, requirement and excess", parts.history),
      panel("SPY scenarios", parts.stress),
      panel("TIMS valuation points", parts.tims),
      panel("Cushion to next action", parts.rungs),
      panel("Ways to meet the call", parts.cures),
      widePanel("What if", this.whatif.node(this.id)),
      widePanel("Letters", parts.letters),
    ];
    this.box.replaceChildren(this.head.renew(), h("div", { class: "panels" }, panels));
  }

  #fill(answer) {
    if (!this.parts) this.#build();
    this.answer = answer;
    const { parts } = this;
    const { explained, unexplained: reason, basis, cures: ways, timeline: steps } = answer;
    const excess = explained?.figures.excess;
    fill(parts.positions, [explained, reason, basis?.timestamp], () =>
      explained ? positions(answer) : unexplained(reason),
    );
    fill(parts.rungs, [explained?.rungs, excess], () => rungs(explained));
    fill(parts.cures, [ways, explained === null, excess], () => cures(ways, explained));
    fill(parts.ladder, [steps], () => timeline(steps, this.page.facts.dagster_url));
    this.charts.show(answer);
    this.history.show(this.id);
    this.letters.show(this.id);
    this.#showHead();
  }

  // Every figure of the page is of one answer. The head alone follows the frames: its age grows.
  #showHead() {
    if (this.answer?.row) this.head.show(this.answer, this.page);
  }
}
