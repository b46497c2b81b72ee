// Rows as a file for a spreadsheet. A text that a spreadsheet would run as a formula becomes plain text.
import { visible } from "../dom.js";

const RISKY = /^[=+\-@\t\r\n]|^\s+[=+\-@]/;
const RELEASE_MS = 10_000; // by then the browser has read the file

function cell(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = RISKY.test(value) ? `'${value}` : String(value);
  const plain = visible(text);
  return /[",;\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

export function csv(headings, rows) {
  const lines = [headings, ...rows].map((cells) => cells.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

export function download(name, text) {
  const url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), RELEASE_MS);
}
