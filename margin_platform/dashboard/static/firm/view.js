// The firm: SPY scenarios, the accounts behind its loss, what portfolio margin saves, and concentration.
import { accountsWhere } from "../accounts/selection.js";
import { $, fill, h, panel, widePanel } from "../dom.js";
import { count, dollars } from "../format.js";
import { Builder } from "./builder.js";
import { concentration } from "./concentration.js";
import { contributors, DEBITS, EXPOSURE, ranking, SAVINGS, WEAKEST } from "./rankings.js";
import { savings } from "./savings.js";
import { ScenariosPanel, scenarioRows } from "./scenarios.js";

const EVERY_MS = 2000;
const PARTS = [
  "scenarios",
  "contributors",
  "debits",
  "exposure",
  "weakest",
  "concentration",
  "groups",
  "builder",
  "saved",
  "savings",
];

export class FirmView {
  constructor(box, page) {
    Object.assign(this, { box, page, shown: false, drawn: null });
    const part = (name) => h("div", { id: `firm-${name}` });
    const parts = Object.fromEntries(PARTS.map((name) => [name, part(name)]));
    const panels = [
      widePanel("SPY scenarios", parts.scenarios),
      panel("Top contributors to the firm's loss", parts.contributors),
      panel("Unsecured debits", h("p", { id: "debits-total", class: "lead" }), parts.debits),
      panel("Largest beta exposures", parts.exposure),
      panel("Lowest excess under stress", parts.weakest),
      panel("Concentration by symbol", parts.concentration),
      panel("Concentration by issuer and sector", parts.groups),
      widePanel("Scenario builder", parts.builder),
      widePanel("PM relief of hedged portfolios", parts.saved, parts.savings),
    ];
    this.parts = parts;
    this.scenarios = new ScenariosPanel(parts.scenarios);
    this.builder = new Builder(parts.builder);
    box.replaceChildren(h("div", { class: "panels" }, panels));
  }

  show() {
    this.shown = true;
    this.builder.show();
    this.#draw();
  }

  hide() {
    this.shown = false;
  }

  themed() {
    this.scenarios.themed();
    if (this.shown) this.#draw();
  }

  frame() {
    if (this.shown && performance.now() - this.drawn >= EVERY_MS) this.#draw();
  }

  // Lost already, apart from what a scenario would add.
  #total({ accounts, amount }) {
    const accounted = `${count(accounts)} ${accounts === 1 ? "account" : "accounts"}`;
    fill($("debits-total"), [accounts, amount], () => [
      `${dollars(amount)} owed by `,
      h("a", { href: accountsWhere({ flag: "UNSECURED" }) }, `${accounted} without positions`),
    ]);
  }

  #draw() {
    this.drawn = performance.now();
    const { parts, page } = this;
    const rows = scenarioRows(page.firm);
    this.scenarios.draw(rows, page.firmNow);
    if (rows.length) contributors(parts.contributors, rows);
    for (const described of [DEBITS, WEAKEST, EXPOSURE, SAVINGS])
      ranking(parts[described.name], page.store, described);
    if (page.summary) this.#total(page.summary.unsecured);
    savings(parts.saved, page.store);
    concentration(parts.concentration, parts.groups);
  }
}
