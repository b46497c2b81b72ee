// Which accounts are selected, as the part of the address after "?": an address can be mailed.
import { COLORS, FLAG } from "../status.js";

const ANY = "ANY";
const ACTIONS = FLAG.CALL_OPEN | FLAG.CLOSE_ONLY | FLAG.LIQUIDATING;

// Names of flags as they stand in the address; ANY is any open action.
export const bits = (flag) => (flag === ANY ? ACTIONS : (FLAG[flag] ?? 0));

export function fromAddress(query) {
  const said = new URLSearchParams(query);
  const colors = (said.get("color") ?? "").split(",").filter((color) => COLORS.includes(color));
  const flag = bits(said.get("flag")) ? said.get("flag") : "";
  const text = (name) => said.get(name) ?? "";
  return { q: text("q"), colors, flag, method: text("method"), holds: text("holds"), fails: text("fails") };
}

// What is not selected does not stand in the address.
export function toAddress({ q, colors, flag, method, holds, fails }) {
  const said = { q, color: colors.join(","), flag, method, holds, fails };
  const given = Object.entries(said).filter(([, value]) => value);
  return given.length ? `#/accounts?${new URLSearchParams(given)}` : "#/accounts";
}

export const accountsWhere = (part) =>
  toAddress({ q: "", colors: [], flag: "", method: "", holds: "", fails: "", ...part });
