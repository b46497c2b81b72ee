// The form of an act on a call.
import { post, tokenField } from "../desk.js";
import { h, visible } from "../dom.js";

const ACTS = [
  ["acknowledge", "Acknowledge", []],
  ["owner", "Set owner", ["text"]],
  ["note", "Note", ["text"]],
  ["promise", "Promise to pay", ["amount", "until"]],
  ["extension", "Extension", ["until", "approver"]],
];

const field = (name, label, more) =>
  h("label", { "data-field": name }, `${label} `, h("input", { name, ...more }));

function fields() {
  return [
    field("text", "Text", { maxlength: 500, size: 30 }),
    field("amount", "Dollars", { type: "number", step: "0.01", min: "0.01" }),
    field("until", "Date", { type: "date" }),
    field("approver", "Approver's token", { type: "password", autocomplete: "off" }),
  ];
}

function send(form, callId) {
  const said = new FormData(form);
  const asked = { act: said.get("act"), call_id: callId };
  for (const name of ["text", "until"]) if (said.get(name)) asked[name] = said.get(name);
  if (said.get("amount")) asked.amount = Number(said.get("amount"));
  return post("/desk/acts", asked, said.get("token"), said.get("approver"));
}

// done: called when the act is recorded.
export function actForm({ call_id: callId, account_id: account }, done) {
  const said = h("output", { class: "negative", role: "alert" });
  const choices = ACTS.map(([value, label]) => h("option", { value }, label));
  const form = h("form", { class: "act", "aria-label": `Act on the call of ${visible(account)}` });
  const show = () => {
    const [, , wanted] = ACTS.find(([value]) => value === form.elements.act.value);
    for (const label of form.querySelectorAll("[data-field]")) {
      label.hidden = !wanted.includes(label.dataset.field);
      label.querySelector("input").disabled = label.hidden;
    }
  };
  form.append(
    h("b", null, visible(account)),
    h("label", null, "Act ", h("select", { name: "act", onchange: show }, choices)),
    ...fields(),
    tokenField(),
    h("button", { type: "submit" }, "Record"),
    h("button", { type: "button", onclick: done }, "Close"),
    said,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const refusal = await send(form, callId);
    if (refusal) said.textContent = refusal;
    else done();
  });
  show();
  return form;
}
