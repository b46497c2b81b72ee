// The firm in one line, and the page's honesty: live only while the stream is up and its inputs are young.
import { $, LETTER, MEANING, badge, h, setText, visible, accountLink } from "./dom.js";
import { age, compact, count, dollars, move, percent, time } from "./format.js";
import { COLOURS } from "./store.js";

export class Header {
  constructor() {
    this.lostSince = Date.now();
    this.reasons = [];
    this.health = null;
    this.summary = null;
    this.skew = 0;               // server clock less ours
    this.#judge();
  }

  frame({ summary, health }, desk) {
    this.summary = summary;
    this.health = health;
    this.skew = health.now - Date.now();
    this.reasons = health.reasons;
    if (desk.firm.length) this.#firm(desk);
    this.#accounts(summary);
    this.#calls(summary);
    this.#age();
    this.#judge();
  }

  lost(since) {
    this.lostSince = since;
    this.#judge();
  }

  tick() { if (this.health) this.#age(); this.#judge(); }

  #judge() {
    const reasons = this.lostSince === null ? this.reasons : [{ code: "STREAM", text: this.health ? "the page lost its stream" : "no connection yet", since: this.lostSince }];
    const live = reasons.length === 0 && this.health !== null, root = document.documentElement;
    if (root.dataset.live !== String(live)) root.dataset.live = String(live);
    setText("live", live ? "live" : "not live");
    $("stale").hidden = live;
    const now = Date.now() + this.skew;
    if (!live) setText("stale", reasons.map((r) => `${r.text} since ${time(r.since)} (${age(now - r.since)} ago)`).join(" · ") + ". Figures below are as they stood then.");
  }

  #firm({ firm, facts }) {
    const newest = firm.reduce((a, b) => ((b.timestamp ?? 0) > (a.timestamp ?? 0) ? b : a));
    const exposure = newest.firm_beta_weighted_exposure, limit = facts.firm_exposure_limit;
    setText("exposure", compact(exposure));
    setText("exposure-limit", `limit ${compact(limit)} · ${percent(Math.abs(exposure) / limit, 0)} used`);
    meter($("exposure-bar"), Math.abs(exposure) / limit, facts.firm_warning_share);
    $("exposure").title = dollars(exposure);
    const worst = firm.reduce((a, b) => ((b.firm_loss ?? 0) > (a.firm_loss ?? 0) ? b : a));
    setText("loss", compact(worst.firm_loss));
    setText("loss-limit", `${worst.firm_loss > 0 ? `SPY ${move(Number(worst.scenario))}` : "no scenario loses"} · limit ${compact(facts.firm_loss_limit)}`);
    meter($("loss-bar"), worst.firm_loss / facts.firm_loss_limit, facts.firm_warning_share);
  }

  #accounts({ accounts, colours, restricted }) {
    const key = JSON.stringify(colours);
    if (this.painted !== key) {
      this.painted = key;
      $("colours").replaceChildren(...COLOURS.map((c) => h("span", { "data-colour": c, title: MEANING[c] }, badge(c), count(colours[c]))));
      $("colour-bar").replaceChildren(...COLOURS.map((c) => Object.assign(document.createElement("i"), { className: c })));
      [...$("colour-bar").children].forEach((node, k) => { node.style.flexGrow = String(colours[COLOURS[k]]); });
    }
    setText("accounts-note", `${count(accounts)} accounts · ${count(restricted)} close-only`);
  }

  #calls({ calls_open, next_due }) {
    setText("calls", count(calls_open));
    const key = next_due ? `${next_due.account_id} ${next_due.due_at}` : "";
    if (this.due === key) return;
    this.due = key;
    $("next-due").replaceChildren(...(next_due ? ["next due ", time(next_due.due_at), " ", h("a", { href: accountLink(next_due.account_id) }, visible(next_due.account_id))] : ["none has a due time"]));
  }

  #age() {
    const { health, summary } = this, now = Date.now() + this.skew;
    setText("lag", health.lag === null ? "–" : `${count(health.lag)} events`);
    setText("lag-note", health.received_at === null ? "nothing received yet" : `newest margin event received ${age(now - health.received_at)} ago`);
    const behind = summary.event_clock !== null && summary.oldest_price !== null ? summary.event_clock - summary.oldest_price : null;
    setText("oldest", age(behind));
    setText("oldest-note", summary.oldest_price === null ? "the events name no price time" : `on the event clock, from ${time(summary.oldest_price)}`);
    setText("clock", summary.event_clock === null ? "" : time(summary.event_clock));
  }
}

function meter(bar, share, warning) {
  bar.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
  bar.className = share >= 1 ? "red" : share >= warning ? "yellow" : "plain";
}
