"use strict";

// "Who fires here": the strongest units of each layer at the place, as tiles; the chosen layer's below
// the photo, the others' below the maps.
vizcnnExplorer.register((app) => {
  const { make, placeAt, strongestAt, showNumber, keepCrisp, drawMap, findPicture } = vizcnnExplorer;
  const MOST = 10;
  const MOST_ELSEWHERE = 5;
  const LAYERS_ELSEWHERE = 24; // of nets with more, those around the chosen one

  const title = make("h3", { text: "Who fires here" });
  const note = make("p", { class: "quiet" });
  const own = make("ul", { class: "fires" });
  const elsewhere = make("div", { class: "elsewhere" });
  const others = make("details", { open: app.root.clientWidth >= 680 }, make("summary", { text: "Who fires here in the other layers" }), elsewhere);
  app.addPane("fires", (pane) => pane.append(title, note, own));
  app.addPane("elsewhere", (pane) => pane.append(others));

  // A tile that was chosen by a key goes away with its row; the one that stands for it has the focus then.
  let byKey = false;
  function takeFocus() {
    if (byKey) own.querySelector("[aria-pressed=true]")?.focus();
    byKey = false;
  }

  function makeTile(layer, unit, value) {
    const { name, names } = app.net.layers[layer];
    const picture = make("canvas", { class: "picture" });
    const className = names[unit];
    return make("li", {}, make("button", {
      type: "button", class: "tile", data: { layer, unit },
      on: { click: (event) => { byKey = event.detail === 0; app.set({ layer, unit, place: placeIn(layer) }); } },
    }, make("span", { class: "stage" }, picture),
    make("span", { class: "hidden", text: `${name}, unit ` }),
    className ? make("span", { class: "caption" }, make("b", { text: className })) : null,
    make("span", { class: "caption" }, make(className ? "span" : "b", { text: unit }), make("span", { class: "value", text: showNumber(value, 3) }))));
  }

  function placeIn(layer) {
    if (layer === app.state.layer) return app.shownPlace();
    return app.shownPoint() ? placeAt(app.net.layers[layer], app.shownPoint(), app.net.input) : null;
  }

  // Tiles keep their room while they are unknown, and where fewer units are active.
  const makeRoom = (count, named) => Array.from({ length: count }, () => make("li", { class: "room", aria_hidden: "true" },
    make("span", { class: "tile" }, make("span", { class: "stage" }), named ? make("span", { class: "caption", text: "\u00a0" }) : null, make("span", { class: "caption", text: "\u00a0" }))));

  async function fillRow(row, layer, most, name) {
    const { net, photo, method } = app.state;
    const { units: all, names } = app.net.layers[layer];
    const tall = Math.min(most, all);
    if (row.children.length !== tall) row.replaceChildren(...makeRoom(tall, names.length));
    const mine = app.current(`fires ${name}`);
    const maps = await app.mapsOf({ net, photo, layer }, `fires ${name}`);
    if (!mine()) return;
    if (maps.error) { row.replaceChildren(make("li", { class: "refusal", role: "status", text: maps.error })); return; }
    const place = placeIn(layer);
    const strongest = strongestAt(maps, place, most).filter(({ value }) => value > 0);
    const tiles = strongest.map(({ unit, value }) => makeTile(layer, unit, value));
    row.replaceChildren(...tiles, ...makeRoom(tall - tiles.length, names.length));
    row.dataset.silent = tiles.length ? "" : "No unit is active here.";
    if (row === own) {
      markTile();
      takeFocus();
    }
    if (!strongest.length) return;
    // the maps at once, the projections when they come
    strongest.forEach(({ unit }, index) => {
      const canvas = tiles[index].querySelector("canvas");
      drawMap(canvas, maps, unit);
      keepCrisp(canvas);
    });
    const units = strongest.map(({ unit }) => unit);
    const question = app.source.live ? { units, place } : { units: null, place: null };
    const answer = await app.ask({ ask: "pictures", net, photo, layer, method, ...question }, `fires ${name}`);
    if (!mine()) return;
    for (const [index, unit] of units.entries()) {
      const entry = findPicture(answer, unit);
      const canvas = tiles[index].querySelector("canvas");
      if (!entry.error) app.drawPicture(canvas, entry.bytes).then(() => keepCrisp(canvas));
      else tiles[index].firstChild.title = `Its feature map, as there is no picture: ${entry.error}`;
    }
  }

  function markTile() {
    for (const tile of own.querySelectorAll(".tile")) tile.setAttribute("aria-pressed", String(Number(tile.dataset.unit) === app.state.unit));
  }

  // rows of the other layers are filled as they come into sight
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting || target.dataset.filled === "yes") continue;
      target.dataset.filled = "yes";
      fillRow(target.querySelector("ul"), Number(target.dataset.layer), MOST_ELSEWHERE, target.dataset.layer);
    }
  });
  function buildElsewhere() {
    watcher.disconnect();
    const { layers } = app.net;
    const first = Math.max(0, Math.min(app.state.layer - LAYERS_ELSEWHERE / 2, layers.length - LAYERS_ELSEWHERE));
    const rows = layers.map((layer, index) => ({ layer, index })).slice(first, first + LAYERS_ELSEWHERE)
      .filter(({ index }) => index !== app.state.layer)
      .map(({ layer, index }) => make("div", { class: "elsewhere-row", data: { layer: index } },
        make("h4", { text: layer.name }), make("ul", { class: "fires" }, ...makeRoom(Math.min(MOST_ELSEWHERE, layer.units), layer.names.length))));
    elsewhere.replaceChildren(...rows);
    for (const row of rows) watcher.observe(row);
  }
  function refreshElsewhere() {
    for (const row of elsewhere.children) row.dataset.filled = "no";
    watcher.disconnect();
    for (const row of elsewhere.children) watcher.observe(row);
  }

  function show({ changed }) {
    const names = ["net", "photo", "layer", "place", "method"];
    const alone = changed.size === 1 && changed.has("unit");
    const follows = alone && !app.state.place; // another unit has another strongest place
    if (names.some((name) => changed.has(name)) || follows) {
      title.textContent = app.layer.rows.length ? `Who fires here, in ${app.layer.name}` : `Who fires, in ${app.layer.name}`;
      const some = app.net.methods.find(({ key }) => key === app.state.method).part === "own" ? ", or its map where there is none" : "";
      note.textContent = app.source.live ? "" : `Values here; pictures at each unit's strongest place${some}.`;
      note.hidden = app.source.live || !app.layer.rows.length;
      fillRow(own, app.state.layer, MOST, "own");
      if (changed.has("net") || changed.has("layer")) buildElsewhere();
      else refreshElsewhere();
    }
    markTile();
  }
  app.on(show);
});
