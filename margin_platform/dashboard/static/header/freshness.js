// Whether the page is live: only while its stream is up and what the server reads is young.
import { $, setText } from "../dom.js";
import { age, time } from "../format.js";

const TITLE = "Margin desk";

export class Freshness {
  constructor() {
    this.lostSince = Date.now(); // null while the stream is up
    this.health = null;
    this.skew = 0; // the server's clock less ours
    this.judge();
  }

  // The server's time, epoch milliseconds.
  now() {
    return Date.now() + this.skew;
  }

  update(health) {
    this.health = health;
    this.skew = health.now - Date.now();
    this.judge();
  }

  lost(since) {
    this.lostSince = since;
    this.judge();
  }

  #reasons() {
    if (this.lostSince === null) return this.health?.reasons ?? [];
    const text = this.health ? "the page lost its stream" : "no connection yet";
    return [{ text, since: this.lostSince }];
  }

  judge() {
    const reasons = this.#reasons();
    const live = reasons.length === 0 && this.health !== null;
    const { dataset } = document.documentElement;
    if (dataset.live !== String(live)) dataset.live = String(live);
    setText("live", live ? this.#lively() : "not live");
    $("stale").hidden = live;
    const title = live ? TITLE : `NOT LIVE · ${TITLE}`; // for a tab in the background
    if (document.title !== title) document.title = title;
    if (!live) this.#explain(reasons);
  }

  // After the last price of a replay the figures stay true, and the page keeps its colors.
  #lively() {
    const { replay_ended: ended, lag } = this.health;
    if (ended === null) return "live";
    return `replay ended at ${time(ended)}${lag ? "" : ", figures final"}`;
  }

  // The age stands apart: a screen reader reads an alert again whenever its text changes.
  #explain(reasons) {
    const since = reasons.map((reason) => `${reason.text} since ${time(reason.since)}`);
    const first = Math.min(...reasons.map((reason) => reason.since));
    setText("stale-why", `${since.join(" · ")}. Figures below are as of that time.`);
    setText("stale-age", ` (${age(this.now() - first)} ago)`);
  }
}
