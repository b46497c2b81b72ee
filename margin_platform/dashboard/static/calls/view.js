// The calls worklist: every open call, the latest first, and what the desk did about it.
import { askQuietly } from "../ask.js";
import { accountLink, fill, h, note, visible } from "../dom.js";
import { wayName } from "../feed/line.js";
import { count, counted, dollars, number, time } from "../format.js";
import { num, table } from "../table.js";
import { actForm } from "./act.js";

const EVERY_MS = 2000;
const HOURS_A_DAY = 24;
const HEADINGS = [
  "When",
  "",
  "Account",
  "Customer",
  "Representative",
  "Type",
  num("Issued"),
  num("Outstanding"),
  "Made",
  "Due",
  "Delivery",
  "Owner",
  "Acknowledged",
  "Promise to pay",
  "Extension",
  "Notes",
];

// Hours are counted by the event clock, by which enforcement decides.
function when(hours) {
  if (hours === null) return "–";
  if (hours >= 0) return `${number(hours, 1)} h left`;
  const text = `${number(-hours / HOURS_A_DAY, 1)} days late`;
  return { class: "negative strong", text };
}

const ways = (delivery) =>
  delivery.map(({ channel, status }) => `${wayName(channel)} ${visible(status).toLowerCase()}`).join(", ");

export class CallsView {
  constructor(box) {
    this.shown = false;
    this.asked = 0;
    this.acting = h("div", { id: "acting" });
    this.list = h("div", { id: "calls-list" });
    box.replaceChildren(h("h2", { class: "hidden" }, "Calls worklist"), this.acting, this.list);
  }

  show() {
    this.shown = true;
    this.#ask();
  }

  hide() {
    this.shown = false;
  }

  frame() {
    if (this.shown && performance.now() >= this.asked + EVERY_MS) this.#ask();
  }

  async #ask() {
    this.asked = performance.now();
    const answer = await askQuietly("/desk/calls");
    if (answer) fill(this.list, [answer.calls, answer.may_act], () => this.#content(answer));
  }

  #content({ calls, may_act: mayAct }) {
    const late = calls.filter(({ hours_left: hours }) => hours < 0).length;
    const caption = `${counted(calls.length, "open call")}, ${count(late)} past due; the latest first`;
    const rows = calls.map((call) => this.#row(call, mayAct));
    const closed = "Acts need desk users (MARGIN_DESK_USERS) and the decision store.";
    return [table(HEADINGS, rows, { caption, empty: "no open call" }), mayAct ? null : note(closed)];
  }

  #row(call, mayAct) {
    const act = h("button", { type: "button", onclick: () => this.#act(call) }, "Act");
    return [
      when(call.hours_left),
      mayAct ? act : "",
      accountLink(call.account_id),
      visible(call.customer),
      visible(call.representative),
      call.type,
      num(dollars(call.issued)),
      num(dollars(call.outstanding)),
      time(call.opened_at),
      time(call.due_at),
      ways(call.delivery) || "notice pending",
      visible(call.owner),
      visible(call.acknowledged),
      visible(call.promise),
      visible(call.extension),
      { text: visible(call.notes.at(-1)), title: visible(call.notes.join("\n")) },
    ];
  }

  #act(call) {
    const done = () => {
      this.acting.replaceChildren();
      this.#ask();
    };
    this.acting.replaceChildren(actForm(call, done));
    this.acting.querySelector("select").focus();
  }
}
