// The tiles of the header, each from the server's summary.
import { accountsWhere } from "../accounts/selection.js";
import { badge } from "../badge.js";
import { $, accountAddress, h, setText, visible } from "../dom.js";
import { age, compact, count, dollars, move, percent, time } from "../format.js";
import { COLORS, MEANING } from "../status.js";

const LIMIT = {
  WARNING: { text: " · near limit", bar: "yellow" },
  BREACH: { text: " · limit breached", bar: "red" },
};
const CLEAR = { text: "", bar: "plain" };

// An amount, how much of its limit it uses, and the server's level, in words too unless it is clear.
function limitTile(id, { amount, limit, level }, note, since) {
  const share = Math.abs(amount) / limit;
  const { text, bar } = LIMIT[level] ?? CLEAR;
  const meter = $(`${id}-bar`);
  setText(id, compact(amount));
  $(id).title = dollars(amount);
  setText(`${id}-limit`, `${note} · ${percent(share, 0)} used${text}${since}`);
  meter.style.width = `${Math.min(100, share * 100)}%`;
  meter.className = bar;
  meter.closest(".tile").classList.toggle("old", since !== "");
}

// The firm's stream may end while that of the accounts continues. Then these tiles alone turn gray.
export function limitTiles({ exposure, loss, old, written_at }, { unsecured }) {
  const since = old ? ` · not updated since ${time(written_at)}` : "";
  const scenario = loss.amount > 0 ? `SPY ${move(Number(loss.scenario))}` : "no loss in any scenario";
  $("loss-link").href = loss.amount > 0 ? accountsWhere({ fails: String(loss.scenario) }) : "#/firm";
  limitTile("exposure", exposure, `limit ${compact(exposure.limit)}`, since);
  const owed = unsecured.accounts ? ` · ${compact(unsecured.amount)} of it already owed` : "";
  limitTile("loss", loss, `${scenario}${owed} · limit ${compact(loss.limit)}`, since);
}

export class AccountsTile {
  show({ accounts, colors, restricted }) {
    setText("accounts-note", `${count(accounts)} accounts · ${count(restricted)} close-only`);
    const key = JSON.stringify(colors);
    if (this.shown === key) return;
    this.shown = key;
    const counts = COLORS.map((color) => {
      const attributes = { "data-color": color, title: MEANING[color] };
      const href = accountsWhere({ colors: [color] });
      return h("a", { ...attributes, href }, badge(color), count(colors[color]));
    });
    const bars = COLORS.map((color) => {
      const bar = h("i", { class: color });
      bar.style.flexGrow = String(colors[color]);
      return bar;
    });
    $("colors").replaceChildren(...counts);
    $("color-bar").replaceChildren(...bars);
  }
}

export class CallsTile {
  show(summary) {
    setText("calls", count(summary.calls_open));
    this.#showNext(summary.next_due);
    this.#showLeft(summary);
  }

  #showNext(next) {
    const key = next ? `${next.account_id} ${next.due_at}` : "";
    if (this.shown === key) return;
    this.shown = key;
    if (!next) {
      $("next-due").replaceChildren("no due date");
      return;
    }
    const link = h("a", { href: accountAddress(next.account_id) }, visible(next.account_id));
    $("next-due").replaceChildren("next due ", time(next.due_at), " ", link);
  }

  // The time left is counted on the event clock, by which enforcement decides.
  #showLeft({ next_due: next, event_clock: clock, past_due: past }) {
    const left = next && clock !== null ? new Date(next.due_at).getTime() - clock : null;
    const parts = [left > 0 ? `in ${age(left)}` : "", past ? `${count(past)} past due` : ""];
    setText("due-in", parts.filter(Boolean).join(" · "));
  }
}

function lagNote({ written_at: written }, refused, now) {
  const newest = written === null ? "nothing received yet" : `newest margin event ${age(now - written)} old`;
  return refused ? `${newest} · ${count(refused)} refused` : newest;
}

// How far the page is behind, and by which clock its figures stand.
export function showTimes({ event_clock: clock, oldest_price: oldest, bad_events: refused }, health, now) {
  setText("lag", health.lag === null ? "–" : `${count(health.lag)} events`);
  setText("lag-note", lagNote(health, refused, now));
  setText("oldest", age(clock === null || oldest === null ? null : clock - oldest));
  const from = `priced ${time(oldest)}`;
  setText("oldest-note", oldest === null ? "no price time published" : from);
  setText("clock", clock === null ? "" : `as of ${time(clock)}`);
}

// How far decisions have come: what is called and sold is as of then, not of now.
export function showDecided(enforcement, clock) {
  $("enforcement").classList.toggle("negative", Boolean(enforcement?.late));
  setText("enforcement", decidedNote(enforcement, clock));
}

function decidedNote(enforcement, clock) {
  if (!enforcement) return "enforcement: the decision store cannot be read";
  const { undecided, since } = enforcement;
  if (!undecided) return `enforcement as of ${time(clock)}`;
  return `enforcement as of ${time(since)}, ${count(undecided)} events behind`;
}
