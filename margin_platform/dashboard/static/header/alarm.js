// Notices that reached no one: a person must reach these customers by other means.
import { $, setText } from "../dom.js";

export class Alarm {
  // count: null where the server cannot read its store.
  show(count) {
    $("unreached").hidden = !count;
    if (!count) return;
    const what = count === 1 ? "1 notice" : `${count.toLocaleString("en-US")} notices`;
    setText("unreached-count", `${what} reached no one.`);
  }
}
