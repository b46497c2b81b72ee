// The text of a panel without figures.
import { visible } from "../dom.js";

export const UNKNOWN_POSITIONS = "positions not available";

export function unpriced({ positions }) {
  const missing = positions.filter((position) => position.price === null);
  return `cannot be valued: no price for ${missing.map(({ symbol }) => visible(symbol)).join(", ")}`;
}
