// Which columns the grid shows, in which order and how wide: kept in this browser, and saved as named views.
// A view is a layout with the selection of accounts, as the address has it.
import { $, h } from "../dom.js";

const KEPT = "margin-columns";
const VIEWS = "margin-views";
const ALWAYS = new Set(["account_id"]); // a row without its id is of no use
const CHANGES = ["columnResized", "columnMoved", "columnVisible"];

function kept(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

const keep = (key, value) => localStorage.setItem(key, JSON.stringify(value));
const part = ({ colId, hide, width }) => ({ colId, hide, width });

export class Layout {
  constructor(api) {
    this.api = api;
    this.standard = this.#state();
    this.#apply(kept(KEPT, []));
    for (const change of CHANGES) api.addEventListener(change, (event) => this.#changed(event));
    this.#wire();
  }

  #state() {
    return this.api.getColumnState().map(part);
  }

  // Columns that a kept layout does not know come last, as they are.
  #apply(state) {
    if (Array.isArray(state) && state.length) this.api.applyColumnState({ state, applyOrder: true });
  }

  // While a column is dragged its width changes with every frame.
  #changed({ finished = true }) {
    if (!finished) return;
    keep(KEPT, this.#state());
    this.#mark();
  }

  #wire() {
    $("columns").addEventListener("click", ({ currentTarget: button }) => {
      const open = $("layout").hidden;
      $("layout").hidden = !open;
      button.setAttribute("aria-expanded", open);
    });
    const button = (label, onclick) => h("button", { type: "button", onclick }, label);
    const named = this.api.getColumns().filter((column) => !ALWAYS.has(column.getColId()));
    const choices = named.map((column) => this.#choice(column));
    this.shown = h("div", { class: "chips", role: "group", "aria-label": "Columns shown" }, choices);
    const open = ({ target }) => this.#open(target.value);
    this.views = h("select", { id: "layout-views", "aria-label": "Saved views", onchange: open });
    this.name = h("input", { id: "layout-name", size: 14, maxlength: 40 });
    $("layout").replaceChildren(
      this.shown,
      button("Standard columns", () => this.#apply(this.standard)),
      this.views,
      button("Delete view", () => this.#drop()),
      h("label", null, "Save as ", this.name),
      button("Save view", () => this.#save()),
    );
    this.#list("");
  }

  #choice(column) {
    const id = column.getColId();
    const onchange = ({ target }) => this.api.setColumnsVisible([id], target.checked);
    const box = h("input", { type: "checkbox", value: id, checked: column.isVisible(), onchange });
    return h("label", { class: "chip" }, box, ` ${column.getColDef().headerName}`);
  }

  #mark() {
    for (const box of this.shown.querySelectorAll("input")) {
      box.checked = this.api.getColumn(box.value).isVisible();
    }
  }

  #list(chosen) {
    const names = Object.keys(kept(VIEWS, {})).sort();
    const options = names.map((name) => h("option", { value: name, selected: name === chosen }, name));
    this.views.replaceChildren(h("option", { value: "" }, "saved views"), ...options);
  }

  #open(name) {
    const view = kept(VIEWS, {})[name];
    if (!view) return;
    this.#apply(view.columns);
    location.hash = view.address;
  }

  #save() {
    const name = this.name.value.trim();
    if (!name) return;
    keep(VIEWS, { ...kept(VIEWS, {}), [name]: { columns: this.#state(), address: location.hash } });
    this.name.value = "";
    this.#list(name);
  }

  #drop() {
    const views = kept(VIEWS, {});
    delete views[this.views.value];
    keep(VIEWS, views);
    this.#list("");
  }
}
