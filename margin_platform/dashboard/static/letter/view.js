// One letter as the customer sees it: to read, to print, to send again.
import { stateOf } from "../account/letters.js";
import { askQuietly } from "../ask.js";
import { post, tokenField } from "../desk.js";
import { accountLink, h, note, visible } from "../dom.js";
import { wayName } from "../feed/line.js";
import { counted, time } from "../format.js";

const LEAST_HEIGHT = 320;

// A frame without scripts, whose content the page may measure and print.
function frameOf(id, title) {
  const src = `/desk/letter?${new URLSearchParams({ id })}`;
  const frame = h("iframe", { id: "letter", src, title, sandbox: "allow-same-origin allow-modals" });
  frame.addEventListener("load", () => {
    const height = frame.contentDocument?.documentElement.scrollHeight ?? 0;
    frame.style.height = `${Math.max(LEAST_HEIGHT, height + 24)}px`;
  });
  return frame;
}

function heading({
  account_id: account,
  subject,
  channel,
  to,
  created_at: made,
  attempts,
  receipt,
  ...rest
}) {
  const state = stateOf(rest);
  const facts = `made ${time(made)}, by ${wayName(channel)} to ${visible(to ?? "no address")}`;
  const effect = [counted(attempts, "attempt"), receipt && `receipt ${visible(receipt)}`, state.title];
  return [
    h("h2", null, visible(subject)),
    h("p", null, accountLink(account), ` · ${facts} · `, h("b", { class: state.class }, state.text)),
    note(effect.filter(Boolean).join(" · ")),
  ];
}

export class LetterView {
  constructor(box) {
    Object.assign(this, { box, id: null });
  }

  show(id) {
    this.id = id;
    this.box.replaceChildren(note("loading"));
    this.#ask();
  }

  hide() {
    this.id = null;
    this.box.replaceChildren();
  }

  frame() {}

  async #ask() {
    const { id } = this;
    const answer = await askQuietly("/desk/letters", { id });
    if (id !== this.id) return;
    const [letter] = answer?.letters ?? [];
    this.said = h("output", { class: "note", id: "letter-said" });
    if (letter) this.box.replaceChildren(...this.#content(letter, answer.may_act));
    else this.box.replaceChildren(note(`Letter not found. ${visible(answer?.why)}`));
  }

  #content(letter, mayAct) {
    const frame = frameOf(letter.notification_id, letter.subject);
    const print = () => frame.contentWindow.print();
    const button = h(
      "button",
      { type: "button", id: "letter-print", onclick: print },
      "Print or save as PDF",
    );
    return [
      h("div", { class: "letter-head" }, heading(letter), button, " ", this.#resend(letter, mayAct)),
      frame,
    ];
  }

  // As `margin notices resend` does it: only what reached no one is sent again.
  #resend({ notification_id: id, resendable }, mayAct) {
    if (!resendable) return note("Only a letter that reached no one is sent again.");
    if (!mayAct) return note("To send it again needs desk users (MARGIN_DESK_USERS).");
    const form = h(
      "form",
      { class: "act", "aria-label": "Send again" },
      tokenField(),
      h("button", { type: "submit" }, "Send again"),
      this.said,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const token = new FormData(form).get("token");
      const refusal = await post("/desk/acts/resend", { notification_id: id }, token);
      this.said.textContent = refusal ? visible(refusal) : "due again: the stack sends it within seconds";
    });
    return form;
  }
}
