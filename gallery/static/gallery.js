"use strict";

// Runs from disk, before the body is there: the theme first, so that the page never flashes.
const root = document.documentElement;
root.classList.add("js"); // what needs the script is shown with it only
const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

// A browser may forbid storage to pages from disk; the theme then lasts for this page.
function recall() {
  try { return localStorage.getItem("vizcnn-theme"); } catch { return null; }
}
function remember(theme) {
  try { localStorage.setItem("vizcnn-theme", theme); } catch { /* nothing is lost but the wish */ }
}
const isDark = () => root.dataset.theme
  ? root.dataset.theme === "dark"
  : matchMedia("(prefers-color-scheme: dark)").matches;
function takeTheme() {
  if (["light", "dark"].includes(recall())) root.dataset.theme = recall();
}
takeTheme();

function showTheme() {
  find("[data-action=theme]").setAttribute("aria-pressed", String(isDark()));
}
function switchTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  remember(root.dataset.theme);
  showTheme();
}

async function copySelected(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return document.execCommand("copy"); // older browsers give pages from disk no clipboard
  }
}
async function copyCommand(button) {
  const block = button.closest(".command");
  const code = find("code", block);
  getSelection().selectAllChildren(code);
  const copied = await copySelected(code.textContent);
  find(".status", block).textContent = copied ? "Copied" : "Selected: press Ctrl+C";
}
// A unit's command and Python line stand nowhere: the text is shown while it is selected.
async function copyOfUnit(button) {
  const text = shown.dataset[button.dataset.what];
  const code = find("#unit-text");
  code.textContent = text;
  code.hidden = false;
  getSelection().selectAllChildren(code);
  const copied = await copySelected(text);
  find("#unit-status").textContent = copied ? "Copied" : "Selected: press Ctrl+C";
}

// Receptive field: a frame in percent of the photo, so it fits at any size.
function frame(stage, tile) {
  const box = find(".box", stage);
  box.hidden = !tile;
  if (!tile) return;
  const [top, left, bottom, right] = tile.dataset.box.split(" ").map(Number);
  const { width, height } = find("#seen").dataset;
  box.style.top = `${100 * top / height}%`;
  box.style.left = `${100 * left / width}%`;
  box.style.width = `${100 * (right - left) / width}%`;
  box.style.height = `${100 * (bottom - top) / height}%`;
}

// Pixels stay even when each becomes a whole number of screen pixels; where that would leave
// more than a quarter of the room empty, size counts for more.
function fit(image, source) {
  const width = Number(source.getAttribute("width"));
  const height = Number(source.getAttribute("height"));
  const exact = image.parentElement.clientWidth / Math.max(width, height);
  const even = Math.floor(exact * devicePixelRatio) / devicePixelRatio;
  const scale = even >= 0.75 * exact ? even : exact;
  image.width = Math.round(width * scale);
  image.height = Math.round(height * scale);
}

let shown = null;
function showUnit(tile) {
  const dialog = find("#unit");
  const { layer, unit, name, activation, position, box, selectivity, sentence } = tile.dataset;
  const [top, left, bottom, right] = box.split(" ").map(Number);
  const texts = {
    title: `${layer}, unit ${unit}${name ? `: ${name}` : ""}`, activation, position, selectivity: selectivity ?? "–", sentence: sentence ?? "",
    size: `${bottom - top} × ${right - left} px`,
    rows: `${top} to ${bottom - 1}`, columns: `${left} to ${right - 1}`,
  };
  for (const [name, text] of Object.entries(texts)) {
    const place = find(`#unit-${name}`);
    if (place) place.textContent = text; // a run without a comparison has no selectivity
  }
  shown = tile;
  showActions(tile);
  if (!dialog.open) {
    dialog.showModal();
    find("h2", dialog).focus(); // rather than a button, which Enter would press
  }
  findAll("img", tile).forEach((source, index) => {
    const image = find(["#unit-projection", "#unit-patch"][index]);
    image.src = source.src;
    image.alt = source.alt;
    fit(image, source);
  });
  frame(find(".seen", dialog), tile);
  find("[data-action=previous]").disabled = !neighbour(-1);
  find("[data-action=next]").disabled = !neighbour(1);
}
// What can be taken along of a unit: its command, its Python line, its two pictures.
function showActions(tile) {
  for (const button of findAll("[data-action=copyOfUnit]")) {
    button.hidden = !tile.dataset[button.dataset.what];
  }
  find("#unit-text").hidden = true;
  find("#unit-status").textContent = "";
  findAll("img", tile).forEach((source, index) => {
    find(["#unit-save-projection", "#unit-save-patch"][index]).href = source.getAttribute("src");
  });
}
function neighbour(step) {
  const tiles = findAll(".tile");
  return tiles[tiles.indexOf(shown) + step];
}
function stepUnit(step) {
  const tile = neighbour(step);
  if (tile) showUnit(tile);
}

// Arrow keys: along the reading order, or to the nearest item of the row above or below.
function nearest(items, from, key) {
  const index = items.indexOf(from);
  if (key === "ArrowLeft") return items[index - 1];
  if (key === "ArrowRight") return items[index + 1];
  const here = from.getBoundingClientRect();
  const way = key === "ArrowDown" ? 1 : -1;
  let best = null;
  let least = Infinity;
  for (const item of items) {
    const there = item.getBoundingClientRect();
    const down = way * (there.top - here.top);
    const distance = down + Math.abs(there.left - here.left) / 10;
    if (down > 4 && distance < least) [best, least] = [item, distance];
  }
  return best;
}
function moveFocus(event) {
  const items = findAll(".tile, .card > a");
  const from = items.includes(document.activeElement) ? document.activeElement : null;
  // with nothing chosen, up and down scroll the page as ever
  if (!from && (!items.length || !["ArrowLeft", "ArrowRight"].includes(event.key))) return;
  const target = from ? nearest(items, from, event.key) : items[0];
  event.preventDefault();
  if (target) target.focus();
}

function goToLayer(number) {
  const title = find(`#layer-${number}-title`);
  if (!title) return;
  title.scrollIntoView();
  (find(`#layer-${number} .tile`) ?? title).focus({ preventScroll: true });
}

function sortTable(button) {
  const head = button.closest("th");
  const heads = [...head.parentElement.children];
  const column = heads.indexOf(head);
  const up = head.getAttribute("aria-sort") !== "ascending";
  const body = find("tbody", head.closest("table"));
  const value = (row) => row.children[column].dataset.value;
  const sign = up ? 1 : -1;
  // what has no value stands last, whichever way the others are sorted
  const order = (a, b) => (a === "") - (b === "") || sign * (Number(a) - Number(b));
  body.append(...[...body.rows].sort((a, b) => order(value(a), value(b))));
  for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
}

// Search: an item stays if its words hold all that is looked for; so does a group with such an item.
function searchItems() {
  const words = find("#filter").value.toLowerCase().split(/\s+/);
  const items = findAll("[data-words]");
  for (const item of items) {
    const has = item.dataset.words.toLowerCase();
    item.hidden = !words.every((word) => has.includes(word));
  }
  // an entry of the contents goes with its item
  for (const entry of findAll("[data-entry]")) entry.hidden = document.getElementById(entry.dataset.entry).hidden;
  const searching = words.some(Boolean);
  for (const group of findAll("[data-group]")) {
    group.hidden = !find("[data-words]:not([hidden]), [data-entry]:not([hidden])", group);
    if (searching && group.matches("details")) group.open = true;
  }
  const left = items.filter((item) => !item.hidden).length;
  const total = find("#found").dataset.total;
  find("#found").textContent = searching ? `${left} of ${total}` : total;
  find(".nothing").hidden = left > 0;
}
function clearItems() {
  find("#filter").value = "";
  searchItems();
  find("#filter").focus();
}
function prepareSearch() {
  const search = find("#filter");
  if (!search) return;
  search.addEventListener("input", searchItems);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clearItems();
  });
  find(".controls").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("pageshow", searchItems); // Back brings what was looked for
}

const ACTIONS = {
  theme: switchTheme,
  copy: copyCommand,
  copyOfUnit,
  clearItems,
  keys: () => find("#keys").showModal(),
  close: () => find("#unit").close(),
  previous: () => stepUnit(-1),
  next: () => stepUnit(1),
  sort: sortTable,
};

function pressKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const arrow = event.key.startsWith("Arrow");
  if (find("#unit")?.open) {
    if (event.key === "ArrowLeft") stepUnit(-1);
    if (event.key === "ArrowRight") stepUnit(1);
    return;
  }
  if (find("dialog[open]")) return;
  if (arrow && !event.target.closest("code")) moveFocus(event);
  else if (event.key === "/" && find("#filter")) {
    event.preventDefault(); // else it would be typed
    find("#filter").select();
  }
  else if (event.key === "?") ACTIONS.keys();
  else if (event.key === "t") switchTheme();
  else if (event.key === "n") find("a[rel=next]")?.click();
  else if (event.key === "p") find("a[rel=prev]")?.click();
  else if (/^[1-9]$/.test(event.key)) goToLayer(event.key);
}

function prepare() {
  showTheme();
  // Back may bring a page as it was left, before the theme was switched on another
  addEventListener("pageshow", () => { takeTheme(); showTheme(); });
  document.addEventListener("keydown", pressKey);
  prepareSearch();
  document.addEventListener("click", (event) => {
    const action = event.target.closest("[data-action]");
    const tile = event.target.closest(".tile");
    if (action) ACTIONS[action.dataset.action](action);
    else if (tile) showUnit(tile);
    else if (event.target.matches("dialog")) event.target.close(); // a click on the backdrop
  });
  const dialog = find("#unit");
  if (!dialog) return;
  dialog.addEventListener("close", () => shown.focus());
  addEventListener("resize", () => { if (dialog.open) showUnit(shown); });
  for (const tile of findAll(".tile")) {
    for (const name of ["focus", "pointerenter"]) tile.addEventListener(name, () => frame(find("#seen"), tile));
    tile.addEventListener("blur", () => frame(find("#seen"), null));
    // the mouse may pass by while the keyboard stays on a tile
    tile.addEventListener("pointerleave", () => frame(find("#seen"), document.activeElement.closest(".tile")));
  }
}
document.addEventListener("DOMContentLoaded", prepare);
