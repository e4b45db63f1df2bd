"use strict";

// Middle: the layers as a strip, each a mosaic of its feature maps on this photo, and the chosen one
// large: searched, sorted, filtered; a click or the arrow keys choose a unit.
vizcnnExplorer.register((app) => {
  const {
    make, makeId, clamp, showNumber, sayRefusal, valueAt, strongestUnits, strongestUnit, strongestPlace, drawSheet, drawMap, drawScale, layerMost, isSingle, placeAt, findOwn,
  } = vizcnnExplorer;
  const LEAST_CELL = 24; // CSS pixels of a map's longer side
  const MOST_CELL = 170; // few maps stay of a size that can be compared with those of other layers
  const GAP = 3;

  // ---- the strip

  const strip = make("ul", { class: "strip", aria_label: "Layers" });
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) drawLayer(target);
  }, { rootMargin: "200px" });

  function buildStrip() {
    watcher.disconnect();
    strip.replaceChildren(...app.net.layers.map((layer, index) => make("li", {},
      make("button", { type: "button", class: "layer-card", data: { layer: index }, title: `The strongest feature maps of ${layer.name}`, on: { click: () => goToLayer(index) } },
        make("span", { class: "stage" }, make("canvas")),
        make("b", { text: layer.name }),
        make("span", { class: "quiet", text: describeSize(layer) })))));
    for (const card of strip.querySelectorAll(".layer-card")) watcher.observe(card);
  }
  const describeSize = ({ units, size }) => size.length ? `${units} × ${size[0]} × ${size[1]}` : `${units} units`;

  async function drawLayer(card) {
    const { net, photo } = app.state;
    const layer = Number(card.dataset.layer);
    const wanted = `${net} ${photo}`;
    if (card.dataset.shows === wanted) return;
    card.dataset.shows = wanted;
    const maps = await app.mapsOf({ net, photo, layer }, `strip ${layer}`);
    if (card.dataset.shows !== wanted) return;
    if (maps.error) { delete card.dataset.shows; return; }
    drawStrongest(card.querySelector("canvas"), maps);
  }
  // A card has room for its strongest maps only.
  const CARD = { maps: 24, width: 384 }; // in pixels of the finest screens
  function drawStrongest(card, maps) {
    const units = strongestUnits(maps, CARD.maps);
    const columns = Math.ceil(Math.sqrt(1.5 * units.length));
    const rows = Math.ceil(units.length / columns);
    const side = Math.floor(CARD.width / columns);
    const scale = (side - 2) / Math.max(maps.height, maps.width);
    card.width = columns * side;
    card.height = rows * side;
    const context = card.getContext("2d");
    const most = isSingle(maps) ? layerMost(maps) : undefined;
    units.forEach((unit, index) => {
      const one = document.createElement("canvas");
      drawMap(one, maps, unit, most);
      context.imageSmoothingEnabled = one.width > side;
      context.drawImage(one, (index % columns) * side, Math.floor(index / columns) * side, scale * maps.width, scale * maps.height);
    });
  }
  function markStrip(scroll) {
    for (const card of strip.querySelectorAll(".layer-card")) {
      const chosen = Number(card.dataset.layer) === app.state.layer;
      card.setAttribute("aria-pressed", String(chosen));
      if (chosen && scroll) {
        const { left, width } = card.getBoundingClientRect();
        const area = strip.getBoundingClientRect();
        strip.scrollLeft += left + width / 2 - area.left - area.width / 2;
      }
    }
  }
  function redrawStrip() {
    for (const card of strip.querySelectorAll(".layer-card")) { watcher.unobserve(card); watcher.observe(card); }
  }

  // Another layer shows its strongest unit: at the same point of the photo, where one is chosen.
  async function goToLayer(layer) {
    layer = clamp(layer, 0, app.net.layers.length - 1);
    if (layer === app.state.layer) return;
    const { net, photo, place } = app.state;
    const mine = app.current("layer");
    const maps = await app.mapsOf({ net, photo, layer }, "maps");
    if (!mine()) return;
    const point = place && app.shownPoint();
    const there = point ? placeAt(app.net.layers[layer], point, app.net.input) : null;
    let unit = 0;
    if (!maps.error) unit = (there && maps.here) ? maps.here.units[(there[0] * maps.width + there[1]) * maps.here.count] : strongestUnit(maps);
    app.set({ layer, unit, ...(point ? { place: there } : {}) });
    app.say(`${app.layer.name}, unit ${unit}`);
  }
  app.goToLayer = goToLayer;
  app.addKey(["u", "o"], "the layer before, the next layer", (event) => goToLayer(app.state.layer + (event.key === "u" ? -1 : 1)));

  // ---- the mosaic

  const title = make("h3");
  const canvas = make("canvas", { class: "crisp" });
  const marker = make("div", { class: "cell chosen", role: "option", aria_selected: "true", id: makeId("option") });
  const hovered = make("div", { class: "cell hovered", hidden: true });
  const nothing = make("p", { class: "nothing", hidden: true, role: "status" });
  const box = make("div", {
    class: "mosaic", tabindex: "0", role: "listbox", aria_activedescendant: marker.id,
    on: { pointermove: hover, pointerleave: () => showHover(null), click: choose, keydown: step },
  }, canvas, hovered, marker);
  const told = make("p", { class: "told", text: "\u00a0" });
  const scale = make("canvas", { class: "colour-scale", aria_hidden: "true" });
  const low = make("span");
  const high = make("span");
  const scaleSaid = make("span", { class: "quiet" });

  const search = make("input", { type: "search", placeholder: "unit or class", size: "9", on: { input: keepView, keydown: pressInSearch } });
  const sort = make("select", { on: { change: keepView } });
  const activeHere = make("input", { type: "checkbox", on: { change: keepView } });
  const alike = make("input", { type: "checkbox", on: { change: keepView } });
  const count = make("output", { class: "count quiet" });
  const activeLabel = make("span", { text: "active here" });
  const controls = make("form", { class: "controls", on: { submit: (event) => { event.preventDefault(); takeFirst(); } } },
    make("label", {}, "Search ", search),
    make("label", {}, "Sort by ", sort),
    make("label", { class: "check" }, activeHere, activeLabel),
    make("label", { class: "check", title: "All maps by the layer's strongest value, instead of each by its own" }, alike, "one scale"));

  app.addPane("net", (pane) => pane.append(strip, make("div", { class: "layer-head" }, title, count), controls,
    make("div", { class: "mosaic-frame" }, box, nothing), told,
    make("div", { class: "scale" }, low, scale, high, scaleSaid)));

  app.addKey("/", "search for a unit of the layer", () => search.select());
  app.addKey("s", "sort by the next order", () => {
    sort.selectedIndex = (sort.selectedIndex + 1) % sort.options.length;
    keepView();
    app.say(`Sorted by ${sort.selectedOptions[0].textContent}`);
  });
  app.addKey("a", "only units that are active here, or all", () => { activeHere.checked = !activeHere.checked; keepView(); });

  // "12", "unit 012" and "#12" mean the same; what is no number is looked for in the classes' names
  const readNumber = (text) => /^(?:unit|#)?\s*0*(\d+)$/.exec(text)?.[1];
  function fits(unit, text) {
    const number = readNumber(text);
    return number !== undefined ? String(unit).startsWith(number) : (app.layer.names[unit] ?? "").toLowerCase().includes(text);
  }
  function pressInSearch(event) {
    if (event.key === "Escape") { search.value = ""; keepView(); }
    else if (event.key === "ArrowDown") box.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  function takeFirst() {
    const wanted = Number(readNumber(search.value.trim().toLowerCase()));
    const unit = shown.includes(wanted) ? wanted : shown[0];
    if (unit !== undefined) app.set({ unit });
  }

  // What is searched, sorted and filtered is part of the state, so that a link and a reload keep it.
  const VIEW = ["find", "sort", "active", "scale"];
  function keepView() {
    app.set({
      find: search.value.trim() || undefined, sort: sort.value === "unit" ? undefined : sort.value,
      active: activeHere.checked ? "here" : undefined, scale: alike.checked ? "layer" : undefined,
    });
  }
  function takeView() {
    if (search.value.trim() !== (app.state.find ?? "")) search.value = app.state.find ?? "";
    chooseOrder();
    activeHere.checked = Boolean(app.state.active);
    alike.checked = Boolean(app.state.scale);
    sheet = null;
    refresh();
  }
  function chooseOrder() {
    const wanted = app.state.sort ?? "unit";
    sort.value = [...sort.options].some(({ value }) => value === wanted) ? wanted : "unit"; // what the layer cannot be sorted by
  }

  // ---- orders

  let selectivities = null; // unit -> selectivity, of the pictures of own parts on this photo
  function listOrders() {
    const orders = [["unit", "number"], ["here", app.layer.rows.length ? "activation here" : "activation"]];
    if (app.layer.rows.length) orders.push(["peak", "strongest activation"]);
    orders.push(["selectivity", "selectivity"]);
    for (const [index, { name }] of uses.entries()) orders.push([`use ${index}`, `use for ${name}`]);
    sort.replaceChildren(...orders.map(([value, text]) => make("option", { value, text })));
    chooseOrder();
  }
  let uses = []; // the classes of which the use can be asked
  async function takeUses() {
    const { net, photo } = app.state;
    const mine = app.current("uses");
    const answer = await app.ask({ ask: "photo", net, photo }, "photo");
    if (!mine()) return;
    uses = answer.fields.class_use ?? [];
    if (!app.maps || app.maps.error) return;
    listOrders();
    refresh();
  }
  async function takeSelectivities() {
    const { net, photo, layer } = app.state;
    const own = findOwn(app.net, app.method);
    selectivities = new Map();
    if (!own) return;
    const mine = app.current("selectivities");
    const answer = await app.ask({ ask: "pictures", net, photo, layer, method: own.key, units: null, place: null }, "selectivities");
    if (!mine()) return;
    for (const { unit, selectivity } of answer.fields.units ?? []) if (selectivity !== null) selectivities.set(unit, selectivity);
    showMosaic();
  }
  let used = null; // what these classes use of the layer's units, once it is asked; {} until it comes
  async function takeUse() {
    const { net, photo, layer } = app.state;
    const mine = app.current("use");
    used = {};
    const found = await app.useOf({ net, photo, layer }, "use");
    if (!mine()) return;
    used = found;
    showMosaic();
  }
  function valueOf(order, unit) {
    const { maps } = app;
    if (order === "here") return valueAt(maps, unit, app.shownPlace()).value;
    if (order === "peak") return maps.values[unit];
    if (order === "selectivity") return selectivities?.get(unit) ?? -Infinity;
    return used?.values?.[Number(order.slice(4)) * maps.units + unit] ?? -Infinity;
  }

  // ---- drawing

  let sheet = null;
  let shown = []; // units in the order that they are shown
  let grid = { columns: 1, wide: 1, tall: 1, left: 0 };

  function refresh() {
    if (!app.maps || app.maps.error) return;
    if (sort.value === "selectivity" && !selectivities) takeSelectivities();
    if (sort.value.startsWith("use") && !used) takeUse();
    showMosaic();
  }

  function showMosaic() {
    const { maps } = app;
    title.textContent = app.layer.name;
    activeLabel.textContent = app.layer.rows.length ? "active here" : "active";
    nothing.hidden = hovered.hidden = true;
    if (!maps || maps.error) {
      if (maps?.error) showNothing(sayRefusal(maps));
      return;
    }
    const text = search.value.trim().toLowerCase();
    const place = app.shownPlace();
    const order = sort.value || "unit";
    shown = [];
    for (let unit = 0; unit < maps.units; unit++) {
      if (text && !fits(unit, text)) continue;
      if (activeHere.checked && !(valueAt(maps, unit, place).value > 0)) continue;
      shown.push(unit);
    }
    if (order !== "unit") {
      const values = new Map(shown.map((unit) => [unit, valueOf(order, unit)]));
      shown.sort((a, b) => values.get(b) - values.get(a) || a - b);
    }
    count.textContent = shown.length === maps.units ? `${maps.units} units` : `${shown.length} of ${maps.units} units`;
    if (order === "selectivity") count.textContent += selectivities?.size ? `, selectivity known for ${selectivities.size}` : ", selectivity not known yet";
    if (order.startsWith("use") && !used?.values) count.textContent += used?.left_out ? `; ${used.left_out}` : ", use not known yet";
    if (!shown.length) showNothing(text ? "No unit matches." : "No unit is active here.");
    const common = alike.checked || isSingle(maps);
    alike.parentElement.hidden = isSingle(maps);
    sheet ??= drawSheet(maps, common ? layerMost(maps) : null);
    lay();
    const signed = maps.lows.some((value) => value < 0);
    drawScale(scale, signed);
    const most = showNumber(layerMost(maps));
    low.textContent = signed ? (common ? `−${most}` : "−strongest") : "0";
    high.textContent = common ? most : "strongest";
    scaleSaid.textContent = common ? "the layer's strongest value is brightest" : "of each map by itself";
    mark();
  }
  function showNothing(text) {
    nothing.textContent = text;
    nothing.hidden = false;
  }

  // As large as fits the frame, whole screen pixels each; of many maps the rest is scrolled to.
  function lay() {
    const width = box.clientWidth - 2 * GAP;
    const height = box.clientHeight - 2 * GAP;
    if (width <= 0 || !sheet || !app.maps || app.maps.error) return;
    const ratio = sheet.tall / sheet.wide;
    const fitting = (columns) => {
      const wide = Math.floor((width - (columns - 1) * GAP) / columns);
      const tall = Math.max(1, Math.round(wide * ratio));
      return { columns, wide, tall, high: Math.ceil(shown.length / columns) * (tall + GAP) - GAP };
    };
    const least = LEAST_CELL * Math.min(1, 1 / ratio);
    const most = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    let columns = Math.min(most, Math.max(1, Math.ceil(width / MOST_CELL)));
    while (columns < most && fitting(columns).high > height) columns++;
    grid = fitting(columns);
    const density = Math.min(devicePixelRatio || 1, 3, 16000 / Math.max(grid.high, 1));
    canvas.width = Math.round(width * density);
    canvas.height = Math.max(1, Math.round(Math.max(grid.high, 1) * density));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${Math.max(grid.high, 1)}px`;
    // what is left over lies on both sides
    grid.left = GAP + Math.floor((width - grid.columns * (grid.wide + GAP) + GAP) / 2);
    canvas.style.marginInlineStart = `${grid.left - GAP}px`;
    const context = canvas.getContext("2d");
    context.scale(density, density);
    context.imageSmoothingEnabled = grid.wide * density < sheet.wide;
    context.imageSmoothingQuality = "high";
    shown.forEach((unit, index) => {
      const { x, y } = cornerOf(index);
      context.drawImage(sheet.canvas,
        (unit % sheet.columns) * sheet.wide, Math.floor(unit / sheet.columns) * sheet.tall, sheet.wide, sheet.tall,
        x, y, grid.wide, grid.tall);
    });
  }
  const cornerOf = (index) => ({ x: (index % grid.columns) * (grid.wide + GAP), y: Math.floor(index / grid.columns) * (grid.tall + GAP) });

  function putCell(cell, index) {
    const { x, y } = cornerOf(index);
    cell.style.left = `${x + grid.left}px`;
    cell.style.top = `${y + GAP}px`;
    cell.style.width = `${grid.wide}px`;
    cell.style.height = `${grid.tall}px`;
  }
  function mark() {
    if (!app.maps || app.maps.error) return;
    const index = shown.indexOf(app.state.unit);
    marker.classList.toggle("away", index < 0); // not hidden: it is what the list points to
    if (index >= 0) {
      putCell(marker, index);
      const { y } = cornerOf(index);
      if (y < box.scrollTop) box.scrollTop = Math.max(0, y - GAP);
      else if (y + grid.tall + 2 * GAP > box.scrollTop + box.clientHeight) box.scrollTop = y + grid.tall + 3 * GAP - box.clientHeight;
    }
    marker.setAttribute("aria-label", describe(app.state.unit));
    marker.setAttribute("aria-posinset", index + 1 || 1);
    marker.setAttribute("aria-setsize", Math.max(shown.length, 1));
    box.setAttribute("aria-label", `Feature maps of ${app.layer.name}`);
    told.textContent = describe(app.state.unit);
  }
  function describe(unit) {
    const { maps } = app;
    const name = app.layer.names[unit];
    const words = [`unit ${unit}${name ? ` (${name})` : ""}`];
    const [row, column] = strongestPlace(maps, unit);
    if (app.layer.rows.length) {
      const { value, exact } = valueAt(maps, unit, app.shownPlace());
      if (app.state.place) words.push(`here ${exact ? "" : "≈ "}${showNumber(value)}`);
      words.push(`strongest ${showNumber(maps.values[unit])} at row ${row}, column ${column}`);
    } else words.push(showNumber(maps.values[unit]));
    if (selectivities?.has(unit)) words.push(`selectivity ${selectivities.get(unit).toFixed(2)}`);
    return words.join(" · ");
  }

  // ---- pointer and keys

  function indexUnder(event) {
    const area = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - area.left) / (grid.wide + GAP));
    const index = Math.floor((event.clientY - area.top) / (grid.tall + GAP)) * grid.columns + column;
    return column >= 0 && column < grid.columns && index >= 0 && index < shown.length ? index : null;
  }
  function hover(event) { showHover(indexUnder(event)); }
  function showHover(index) {
    hovered.hidden = index === null;
    if (index !== null) putCell(hovered, index);
    if (app.maps && !app.maps.error) told.textContent = describe(index === null ? app.state.unit : shown[index]);
  }
  function choose(event) {
    const index = indexUnder(event);
    if (index !== null) app.set({ unit: shown[index], place: null });
  }
  function step(event) {
    const from = shown.indexOf(app.state.unit);
    const last = shown.length - 1;
    const to = {
      ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from < grid.columns ? from : from - grid.columns,
      ArrowDown: from + grid.columns > last ? from : from + grid.columns, Home: 0, End: last,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
    event.preventDefault();
    event.stopPropagation();
    app.set({ unit: shown[clamp(to, 0, last)] });
  }
  // the unit before and after, in the order that is shown
  app.stepUnit = (by) => {
    const from = shown.indexOf(app.state.unit);
    const unit = shown[clamp(from + by, 0, shown.length - 1)];
    if (unit === undefined) return;
    app.set({ unit });
    app.say(`unit ${unit}`);
  };
  app.addKey(["[", "]"], "the unit before, the next unit", (event) => app.stepUnit(event.key === "[" ? -1 : 1));

  new ResizeObserver(() => { lay(); mark(); }).observe(box);

  app.on(({ changed }) => {
    if (changed.has("net")) buildStrip();
    else if (changed.has("photo")) redrawStrip();
    if (["net", "layer"].some((name) => changed.has(name))) markStrip(true);
    if (["net", "photo", "layer", "method"].some((name) => changed.has(name))) selectivities = null;
    if (["net", "photo", "layer"].some((name) => changed.has(name))) used = null;
    if (["net", "photo"].some((name) => changed.has(name))) takeUses();
    if (["net", "photo", "layer"].some((name) => changed.has(name))) return; // when their maps come
    const follows = sort.value === "here" || activeHere.checked;
    if (changed.has("place") && follows) showMosaic();
    else if (["unit", "place"].some((name) => changed.has(name))) mark();
    if (changed.has("method") || VIEW.some((name) => changed.has(name))) takeView();
  });
  app.onMaps(() => {
    listOrders();
    takeView();
    showMosaic(); // an error, too
  });
});
