// The log of an account's letters: when, what, by which way, to what effect.
// Each opens as the customer sees it.
import { askQuietly } from "../ask.js";
import { fill, h, note, visible } from "../dom.js";
import { wayName } from "../feed/line.js";
import { count, counted, time } from "../format.js";
import { num, table } from "../table.js";

const EVERY_MS = 5000;
const HEADINGS = ["Made", "Letter", "By", "To", "State", num("Attempts"), "Receipt"];

export const letterAddress = (id) => `#/letter/${encodeURIComponent(id)}`;
export const stateOf = ({ status, error }) => ({
  class: ["UNDELIVERED", "HELD"].includes(status) ? "negative" : "",
  text: visible(status).toLowerCase(),
  title: visible(error ?? ""),
});

const line = (letter) => [
  time(letter.created_at),
  h("a", { href: letterAddress(letter.notification_id) }, visible(letter.subject)),
  wayName(letter.channel),
  visible(letter.to ?? "no address"),
  stateOf(letter),
  num(count(letter.attempts)),
  visible(letter.receipt),
];

function log({ letters, why }) {
  if (why) return note(visible(why));
  const caption = `${counted(letters.length, "letter")}, the newest first`;
  return table(HEADINGS, letters.map(line), { caption, empty: "no letter was sent" });
}

export class Letters {
  constructor(box) {
    Object.assign(this, { box, asked: 0 });
  }

  // Called with each answer about the account.
  async show(account) {
    if (this.asked && performance.now() < this.asked + EVERY_MS) return;
    this.asked = performance.now();
    const answer = await askQuietly("/desk/letters", { account });
    if (answer) fill(this.box, answer, () => log(answer));
  }
}
