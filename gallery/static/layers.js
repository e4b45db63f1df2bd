"use strict";

// The gallery of a net's layers: searches and sorts tiles, steps from unit to unit. Comes after
// gallery.js and uses its root, find and findAll. The view is kept in the page's fragment, so that
// Back, a reload and a link sent to someone lead to the same one; pages from disk allow that too.

const STATE = ["q", "sort", "unit"];
function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(STATE.map((name) => [name, given.get(name) ?? ""]));
}
function writeState(state) {
  const kept = STATE.filter((name) => state[name]).map((name) => [name, state[name]]);
  return kept.length ? `#${new URLSearchParams(kept)}` : "";
}
// a sorted or filtered layer is not shown until it is so
if (writeState(readState())) root.classList.add("restoring");

const layer = { list: null, tiles: [], sort: "unit" };

const byNumber = (a, b) => a.unit - b.unit;
// a unit without a value stands last, whichever way the others are sorted
const byValue = (name, sign) => (a, b) =>
  Number.isNaN(a[name]) - Number.isNaN(b[name]) || sign * (a[name] - b[name]) || byNumber(a, b);
const ORDERS = {
  "unit": byNumber,
  "activation": byValue("activation", -1),
  "spread": byValue("spread", 1),
  "-spread": byValue("spread", -1),
  "selectivity": byValue("selectivity", 1),
  "-selectivity": byValue("selectivity", -1),
};

function readTile(item) {
  const number = (text) => text === undefined ? NaN : Number(text);
  return {
    item,
    link: find("a", item),
    unit: Number(item.dataset.u),
    activation: number(item.dataset.a),
    spread: number(item.dataset.s),
    selectivity: number(item.dataset.t),
    name: find(".n", item)?.textContent.toLowerCase() ?? "",
  };
}

// "12", "unit 012" and "#12" mean the same; what is no number is looked for in the classes' names
const readNumber = (text) => /^(?:unit|#)?\s*0*(\d+)$/.exec(text)?.[1];
function fits(tile, text) {
  const number = readNumber(text);
  return number ? String(tile.unit).startsWith(number) : tile.name.includes(text);
}
const listShown = () => layer.tiles.filter((tile) => !tile.item.hidden);

function showUnits() {
  const text = find("#search").value.trim().toLowerCase();
  for (const tile of layer.tiles) tile.item.hidden = !fits(tile, text);
  sortUnits(find("#sort").value);
  const shown = listShown().length;
  const total = layer.tiles.length;
  find("#count").textContent = `${shown === total ? total : `${shown} of ${total}`} unit${total === 1 ? "" : "s"}`;
  const bySpread = layer.sort.includes("spread");
  find(".by-spread").hidden = !bySpread;
  find(".by-number").hidden = bySpread;
  find(".nothing").hidden = shown > 0 || total === 0;
}

function sortUnits(sort) {
  if (sort === layer.sort) return;
  layer.sort = layer.list.dataset.sort = sort;
  layer.tiles.sort(ORDERS[sort]);
  layer.list.append(...layer.tiles.map((tile) => tile.item));
}

function keepView(unit = "") {
  const { value } = find("#sort");
  const state = { q: find("#search").value.trim(), sort: value === "unit" ? "" : value, unit };
  history.replaceState(null, "", writeState(state) || location.pathname + location.search);
}
function changeView() {
  showUnits();
  keepView();
}

function restoreView() {
  const { q, sort, unit } = readState();
  find("#search").value = q;
  const select = find("#sort");
  select.value = sort;
  if (!select.value) select.value = "unit"; // what the layer cannot be sorted by
  showUnits();
  root.classList.remove("restoring");
  const tile = unit && layer.tiles.find((other) => other.unit === Number(unit));
  if (tile) goTo(tile);
}

// What is in sight already stays where it is, as after Back.
function goTo(tile) {
  tile.link.focus({ preventScroll: true });
  const { top, bottom } = tile.item.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) tile.item.scrollIntoView({ block: "center", behavior: "instant" });
}

function openUnit() {
  const shown = listShown();
  const wanted = readNumber(find("#search").value.trim().toLowerCase());
  const tile = shown.find((other) => String(other.unit) === wanted) ?? (shown.length === 1 ? shown[0] : null);
  tile?.link.click();
}

function cycleSort() {
  const select = find("#sort");
  select.selectedIndex = (select.selectedIndex + 1) % select.length;
  changeView();
  find("#count").append(`, ${select.selectedOptions[0].textContent}`);
}

function clearSearch() {
  find("#search").value = "";
  changeView();
  find("#search").focus();
}

// Tiles are all of one size, so the row above or below is a number of tiles away.
function countColumns(shown) {
  const top = shown[0].item.offsetTop;
  const next = shown.findIndex((tile) => tile.item.offsetTop !== top);
  return next < 0 ? shown.length : next;
}
function stepTile(key) {
  const shown = listShown();
  const from = shown.findIndex((tile) => tile.link === document.activeElement);
  if (!shown.length || (from < 0 && ["ArrowUp", "ArrowDown", "Home", "End"].includes(key))) return false;
  const last = shown.length - 1;
  const columns = countColumns(shown);
  const below = Math.floor(from / columns) < Math.floor(last / columns) ? Math.min(from + columns, last) : from;
  const to = {
    ArrowLeft: Math.max(from - 1, 0), ArrowRight: Math.min(from + 1, last),
    ArrowUp: from < columns ? from : from - columns, ArrowDown: below, Home: 0, End: last,
  }[key];
  shown[to].link.focus({ preventScroll: true });
  shown[to].item.scrollIntoView({ block: "nearest", behavior: "instant" });
  return true;
}

function pressInSearch(event) {
  if (event.key === "Escape") clearSearch();
  else if (event.key === "ArrowDown" && listShown().length) listShown()[0].link.focus();
  else return;
  event.preventDefault();
}
function pressOnLayer(event) {
  if (event.key === "/") find("#search").select();
  else if (event.key === "s") cycleSort();
  else if (["u", "Backspace"].includes(event.key)) find("a[rel=up]").click();
  else if (!/^(Arrow|Home|End)/.test(event.key) || !stepTile(event.key)) return;
  event.preventDefault();
}

function prepareLayer() {
  layer.list = find(".units");
  layer.tiles = [...layer.list.children].map(readTile);
  const search = find("#search");
  search.addEventListener("input", changeView);
  search.addEventListener("keydown", pressInSearch);
  find("#sort").addEventListener("change", changeView);
  find(".controls").addEventListener("submit", (event) => {
    event.preventDefault();
    openUnit();
  });
  addEventListener("hashchange", restoreView);
  // Back may bring the page as it was left, but for the focus
  addEventListener("pageshow", (event) => { if (event.persisted) restoreView(); });
  // the view goes along to the unit's page, and that unit is found again on the way back
  layer.list.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    link.hash = writeState({ ...readState(), unit: "" });
    keepView(link.parentElement.dataset.u);
  });
  restoreView();
}

// A place is one thing in the table, in both halves of the sheet and among the photos.
function lightPlace(event) {
  // the mouse may pass by while the keyboard stays on a place
  const chosen = event.target.closest("[data-rank]") ?? document.activeElement.closest("[data-rank]");
  for (const part of findAll("[data-rank]")) {
    part.classList.toggle("lit", part.dataset.rank === chosen?.dataset.rank);
  }
}
function pressOnUnit(event) {
  const rel = { ArrowLeft: "prev", ArrowRight: "next", u: "up", Escape: "up", Backspace: "up" }[event.key];
  if (!rel || event.target.closest("code")) return;
  event.preventDefault();
  find(`a[rel=${rel}]`)?.click();
}
function prepareUnit() {
  const { q, sort } = readState();
  for (const link of findAll("a[rel=prev], a[rel=next]")) link.hash = writeState({ q, sort });
  const up = find("a[rel=up]");
  up.hash = writeState({ q, sort, unit: up.dataset.unit });
  for (const name of ["pointerover", "focusin"]) find("main").addEventListener(name, lightPlace);
}

Object.assign(ACTIONS, { clear: clearSearch });
document.addEventListener("DOMContentLoaded", () => {
  const isLayer = Boolean(find(".units"));
  const press = isLayer ? pressOnLayer : find("a[rel=up]") ? pressOnUnit : null;
  if (!press) return;
  (isLayer ? prepareLayer : prepareUnit)();
  document.addEventListener("keydown", (event) => {
    const typed = event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select");
    if (!typed && !find("dialog[open]")) press(event);
  });
});
