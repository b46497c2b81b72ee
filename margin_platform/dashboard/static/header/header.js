// The header: the firm in a few tiles, and whether the page is live.
import { Alarm } from "./alarm.js";
import { Alerts } from "./alerts.js";
import { Freshness } from "./freshness.js";
import { AccountsTile, CallsTile, limitTiles, showDecided, showTimes } from "./tiles.js";

export class Header {
  constructor() {
    this.freshness = new Freshness();
    this.alarm = new Alarm();
    this.alerts = new Alerts();
    this.accounts = new AccountsTile();
    this.calls = new CallsTile();
    this.summary = null;
    this.health = null;
  }

  frame(detail) {
    const { summary, health, firm_now: firm, unreached, enforcement } = detail;
    this.summary = summary;
    this.health = health;
    this.freshness.update(health);
    this.alarm.show(unreached);
    this.alerts.frame(detail);
    showDecided(enforcement, summary.event_clock);
    if (firm) limitTiles(firm, summary);
    this.accounts.show(summary);
    this.calls.show(summary);
    this.#age();
  }

  lost(since) {
    this.freshness.lost(since);
  }

  tick() {
    this.freshness.judge();
    if (this.health) this.#age();
  }

  #age() {
    showTimes(this.summary, this.health, this.freshness.now());
  }
}
