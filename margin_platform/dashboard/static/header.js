// The firm in one line, and the page's honesty: live only while the stream is up and its inputs are young.
import { $, MEANING, badge, h, setText, visible, accountLink } from "./dom.js";
import { age, compact, count, dollars, move, percent, time } from "./format.js";
import { COLOURS } from "./store.js";

export class Header {
  constructor() {
    this.lostSince = Date.now();
    this.reasons = [];
    this.health = null;
    this.summary = null;
    this.skew = 0; // server clock less ours
    this.#judge();
  }

  frame({ summary, health, firm_now: firm }) {
    this.summary = summary;
    this.health = health;
    this.skew = health.now - Date.now();
    this.reasons = health.reasons;
    if (firm) this.#firm(firm);
    this.#accounts(summary);
    this.#calls(summary);
    this.#due(summary);
    this.#age();
    this.#judge();
  }

  lost(since) {
    this.lostSince = since;
    this.#judge();
  }

  tick() {
    if (this.health) this.#age();
    this.#judge();
  }

  #judge() {
    const reasons =
      this.lostSince === null
        ? this.reasons
        : [
            {
              code: "STREAM",
              text: this.health ? "the page lost its stream" : "no connection yet",
              since: this.lostSince,
            },
          ];
    const live = reasons.length === 0 && this.health !== null,
      root = document.documentElement;
    if (root.dataset.live !== String(live)) root.dataset.live = String(live);
    setText("live", live ? "live" : "not live");
    $("stale").hidden = live;
    const now = Date.now() + this.skew,
      title = live ? "Margin desk" : "NOT LIVE · Margin desk";
    if (document.title !== title) document.title = title; // seen in a tab that is not
    if (live) return;
    setText(
      "stale-why",
      `${reasons.map((r) => `${r.text} since ${time(r.since)}`).join(" · ")}. Figures below are as they stood then.`,
    );
    setText("stale-age", ` (${age(now - Math.min(...reasons.map((r) => r.since)))} ago)`); // apart: an alert is read out anew with every change
  }

  // The firm's stream may have ended while the accounts' goes on: its tiles then turn grey alone.
  #firm({ exposure, loss, old, written_at }) {
    const since = old ? ` · not renewed since ${time(written_at)}` : "";
    against("exposure", exposure, `limit ${compact(exposure.limit)}`, since);
    against(
      "loss",
      loss,
      `${loss.amount > 0 ? `SPY ${move(Number(loss.scenario))}` : "no scenario loses"} · limit ${compact(loss.limit)}`,
      since,
    );
  }

  #accounts({ accounts, colours, restricted }) {
    const key = JSON.stringify(colours);
    if (this.painted !== key) {
      this.painted = key;
      $("colours").replaceChildren(
        ...COLOURS.map((c) =>
          h("span", { "data-colour": c, title: MEANING[c] }, badge(c), count(colours[c])),
        ),
      );
      $("colour-bar").replaceChildren(
        ...COLOURS.map((c) => Object.assign(document.createElement("i"), { className: c })),
      );
      [...$("colour-bar").children].forEach((node, k) => {
        node.style.flexGrow = String(colours[COLOURS[k]]);
      });
    }
    setText("accounts-note", `${count(accounts)} accounts · ${count(restricted)} close-only`);
  }

  // How long until the next due time, on the event clock: the ladder decides by it.
  #due({ next_due, event_clock, past_due }) {
    const left = next_due && event_clock !== null ? new Date(next_due.due_at).getTime() - event_clock : null;
    setText(
      "due-in",
      [left > 0 ? `in ${age(left)}` : "", past_due ? `${count(past_due)} past due` : ""]
        .filter(Boolean)
        .join(" · "),
    );
  }

  #calls({ calls_open, next_due }) {
    setText("calls", count(calls_open));
    const key = next_due ? `${next_due.account_id} ${next_due.due_at}` : "";
    if (this.due === key) return;
    this.due = key;
    $("next-due").replaceChildren(
      ...(next_due
        ? [
            "next due ",
            time(next_due.due_at),
            " ",
            h("a", { href: accountLink(next_due.account_id) }, visible(next_due.account_id)),
          ]
        : ["none has a due time"]),
    );
  }

  #age() {
    const { health, summary } = this,
      now = Date.now() + this.skew;
    setText("lag", health.lag === null ? "–" : `${count(health.lag)} events`);
    setText(
      "lag-note",
      (health.written_at === null
        ? "nothing received yet"
        : `newest margin event ${age(now - health.written_at)} old`) +
        (summary.bad_events ? ` · ${count(summary.bad_events)} refused` : ""),
    );
    const behind =
      summary.event_clock !== null && summary.oldest_price !== null
        ? summary.event_clock - summary.oldest_price
        : null;
    setText("oldest", age(behind));
    setText(
      "oldest-note",
      summary.oldest_price === null
        ? "the events name no price time"
        : `on the event clock, from ${time(summary.oldest_price)}`,
    );
    setText("clock", summary.event_clock === null ? "" : `event time ${time(summary.event_clock)}`);
  }
}

// An amount, how much of its limit it takes, and the level the server gave it: in words too where it is not clear.
function against(id, { amount, limit, level }, note, since) {
  const share = Math.abs(amount) / limit,
    bar = $(`${id}-bar`);
  setText(id, compact(amount));
  $(id).title = dollars(amount);
  setText(
    `${id}-limit`,
    `${note} · ${percent(share, 0)} used${{ BREACH: " · beyond the limit", WARNING: " · near the limit" }[level] ?? ""}${since}`,
  );
  bar.closest(".tile").classList.toggle("old", since !== "");
  bar.style.width = `${Math.min(100, share * 100)}%`;
  bar.className = { BREACH: "red", WARNING: "yellow" }[level] ?? "plain";
}
