// The firm: scenarios, who contributes, what portfolio margin saves, and where the clients are concentrated.
import { accountLink, badge, h, num, signed, table, visible } from "./dom.js";
import { chart } from "./charts.js";
import { compact, count, money, move, percent, time } from "./format.js";

const EVERY_MS = 2000;
const TOP = 10;

export class FirmView {
  constructor(box, desk) {
    Object.assign(this, { box, desk, shown: false, drawn: 0, plot: null });
    const panel = (title, span) => { const body = h("div"); return [body, h("section", { class: `panel${span ? " span2" : ""}` }, h("h3", null, title), body)]; };
    const parts = {};
    const nodes = [["scenarios", "SPY scenarios", true], ["loss", "Weakest in stress"], ["exposure", "Largest beta exposures"], ["savings", "Savings of hedged portfolios"], ["concentration", "Concentration by symbol"]]
      .map(([name, title, span]) => { const [body, node] = panel(title, span); parts[name] = body; return node; });
    this.parts = parts;
    box.replaceChildren(h("div", { class: "panels" }, nodes));
  }

  show() { this.shown = true; this.drawn = 0; this.#draw(); }

  hide() { this.shown = false; }

  themed() { this.plot?.destroy(); this.plot = null; if (this.shown) { this.drawn = 0; this.#draw(); } }

  frame() { if (this.shown) this.#draw(); }

  #draw() {
    if (performance.now() - this.drawn < EVERY_MS && this.drawn) return;
    this.drawn = performance.now();
    this.#scenarios();
    this.#accounts();
    this.#concentration();
  }

  #scenarios() {
    const rows = [...this.desk.firm].filter((r) => Number.isFinite(Number(r.scenario))).sort((a, b) => a.scenario - b.scenario);
    if (!rows.length) { this.parts.scenarios.replaceChildren(h("p", { class: "note" }, "no firm.risk.v1 event yet")); return; }
    const labels = rows.map((r) => move(Number(r.scenario))), key = labels.join();
    const values = [rows.map((r) => r.firm_delta_pnl), rows.map((r) => (r.firm_loss === null ? null : -r.firm_loss))];
    if (!this.plot || this.key !== key || !this.chartBox.isConnected) {
      this.plot?.destroy();
      this.chartBox = h("div", { class: "chart", id: "chart-firm" });
      this.tableBox = h("div");
      this.parts.scenarios.replaceChildren(this.chartBox, this.tableBox);
      this.plot = chart(this.chartBox, { x: "SPY", labels, height: 220, series: [{ label: "clients' P&L", values: values[0], colour: "--series-1", kind: "bars" }, { label: "firm loss (unsecured)", values: values[1], colour: "--series-2", kind: "bars" }] });
      this.key = key;
    } else this.plot.set(values);
    this.tableBox.replaceChildren(...limits(this.desk.firmNow), table(["SPY", num("Clients' P&L"), num("Firm loss"), num("Calls expected")],
      rows.map((r) => [move(Number(r.scenario)), signed(r.firm_delta_pnl, money(r.firm_delta_pnl)), num(money(r.firm_loss), r.firm_loss > 0 ? "negative" : ""), num(count(r.calls_expected))]),
      { caption: `Firm risk by scenario, dollars, as of ${time(rows[0].timestamp)}` }));
  }

  #accounts() {
    const { store } = this.desk, { numbers, texts } = store;
    const all = [...store.byId.values()];
    const top = (column, key) => all.filter((i) => !Number.isNaN(numbers[column][i])).sort((a, b) => key(numbers[column][a]) - key(numbers[column][b])).slice(0, TOP);
    const rows = (found, columns) => found.map((i) => [h("span", null, badge(store.row(i).colour), " ", h("a", { class: "id", href: accountLink(texts.account_id[i]) }, visible(texts.account_id[i]))), ...columns.map((c) => signed(numbers[c][i], c === "excess_pct" ? percent(numbers[c][i]) : money(numbers[c][i])))]);
    this.parts.loss.replaceChildren(table(["Account", num("Worst stressed excess"), num("Equity"), num("Excess")], rows(top("worst_stress", (x) => x), ["worst_stress", "equity", "excess"]), { caption: "Accounts by their lowest excess in any SPY scenario, dollars" }));
    this.parts.exposure.replaceChildren(table(["Account", num("β exposure"), num("Gross"), num("Excess")], rows(top("beta_exposure", (x) => -Math.abs(x)), ["beta_exposure", "gross_mv", "excess"]), { caption: "Accounts by beta-weighted exposure, dollars" }));
    let saved = 0, better = 0, regT = 0, tims = 0;
    for (const i of all) if (numbers.saving[i] > 0) { saved += numbers.saving[i]; better++; regT += numbers.reg_t[i]; tims += numbers.tims[i]; }
    this.parts.savings.replaceChildren(
      h("p", { class: "lead" }, h("b", null, compact(saved)), ` less by portfolio margin for ${count(better)} of ${count(all.length)} accounts: ${compact(tims)} instead of ${compact(regT)}${regT ? ` (${percent(saved / regT)} less)` : ""}`),
      table(["Account", num("Reg T"), num("TIMS"), num("Saving")], rows(top("saving", (x) => -x), ["reg_t", "tims", "saving"]), { caption: "Largest savings, dollars" }));
  }

  async #concentration() {
    const reply = await fetch("/api/concentration").catch(() => null);
    if (!reply?.ok || !this.shown) return;
    const { ready, accounts, gross, symbols, unpriced_positions: unpriced } = await reply.json();
    if (!ready) { this.parts.concentration.replaceChildren(h("p", { class: "note" }, "the book is still being read")); return; }
    this.parts.concentration.replaceChildren(
      table(["Symbol", num("Long"), num("Short"), num("Net"), num("Share"), num("Holders")], symbols.slice(0, 15).map((s) => [visible(s.symbol), num(money(s.long)), num(money(s.short)), signed(s.net, money(s.net)), num(percent(s.share)), num(count(s.holders))]), { caption: "Market value by symbol, dollars" }),
      h("p", { class: "note" }, `over all positions of ${count(accounts)} accounts, gross ${compact(gross)}${unpriced ? `; ${count(unpriced)} positions without a price left out` : ""}`));
  }
}

// Where the firm stands against its limits; the levels are the server's.
function limits(now) {
  const level = { CLEAR: ["within", ""], WARNING: ["near", "hot"], BREACH: ["beyond", "negative"] };
  const line = (what, { amount, limit, level: name }) => h("p", null, `${what} ${compact(amount)}: `, h("b", { class: level[name]?.[1] }, `${level[name]?.[0] ?? "unknown against"} the limit of ${compact(limit)}`));
  return now ? [line("Beta-weighted exposure", now.exposure), line(`Loss at SPY ${move(Number(now.loss.scenario))}`, now.loss)] : [];
}
