// Acts of a desk user. The token is the user's own: this tab keeps it, and each act sends it.
import { h } from "./dom.js";

const KEPT = "margin-desk-token";

export function tokenField() {
  const field = { type: "password", name: "token", autocomplete: "off", required: true };
  return h("label", null, "Your token ", h("input", { ...field, value: sessionStorage.getItem(KEPT) }));
}

// Null when the act is recorded, else the reason why not.
export async function post(path, asked, token, approver) {
  const headers = { "content-type": "application/json", "x-desk-token": token };
  if (approver) headers["x-approver-token"] = approver;
  try {
    const reply = await fetch(path, { method: "POST", body: JSON.stringify(asked), headers });
    const answer = await reply.json();
    if (!reply.ok) return answer.error;
    sessionStorage.setItem(KEPT, token);
    return null;
  } catch {
    return "the server did not answer";
  }
}
