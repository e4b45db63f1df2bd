"use strict";

// One mounted explorer: its state, who listens to it, its answers, panes and keys. Parts use
//
//   app.start                       what the source answered to `start`
//   app.state                       { net, photo, layer: numbers, unit, place: [row, column] | null
//                                   (each unit's strongest), method: key, ...what parts keep in links }
//   app.net, app.layer, app.photo   the entries of `start` that the state names
//   app.set(changes)                changes the state, writes the link, tells listeners
//   app.on(listener)                called after each change with { changed }, a Set of the state's names
//   app.addPane(name, build)        build(container, app) fills a pane of the layout, once
//   app.addKey(keys, label, action) one key or a list of keys, as KeyboardEvent.key names them
//   app.addTool(button)             a button of the bar
//   app.say(text)                   to screen readers, politely
//   app.maps                        of the chosen layer: see maps.js; null until they come, or { error }
//   app.onMaps(listener)            called when they have come
//   app.shownPlace()                the place, or the unit's strongest; null while unknown, or without places
//   app.ask(question, wanted)       an answer of the source, kept for a while; never rejects
//   app.askPicture(question, wanted) the entry of one `unit` of `pictures`, or { error, way_out }
//   app.mapsOf(question, wanted)    maps as app.maps, of any net, photo and layer
//   app.useOf(question, wanted)     what classes use of each unit: { classes, values }, or { left_out }
//   app.current(name)               a test that turns false once the name is taken again: for late answers
//   app.idle(name, action)          what can wait until the browser has nothing else to do
//   app.read, app.drawPicture, app.writeLink(); app.links: whether the page has an address of its own
//
// and what other parts have added: app.photoStage and app.refreshPhotos() (photo_pane.js),
// app.goToLayer(layer) and app.stepUnit(by) (net_pane.js), app.showProbabilities(numbers) (classes.js),
// app.saveFigure(kind, figure, words) (saving.js).
(() => {
  const { make, makeMemory, readMaps, strongestPlace, readLink, writeLink, placeAt, pointOf, clamp } = vizcnnExplorer;
  const ANSWERS_KEPT = 256 * 2 ** 20;

  class App {
    constructor(root, source, start, { links }) {
      Object.assign(this, { root, source, start, links, read: vizcnnExplorer.read, drawPicture: vizcnnExplorer.drawPicture });
      this.listeners = new Set();
      this.mapListeners = new Set();
      this.maps = null;
      this.keys = [];
      this.panes = new Map(); // name -> container, of the layout
      this.memory = makeMemory(ANSWERS_KEPT);
      this.asked = new Map(); // key -> what is under way, and for whom
      this.turns = new Map(); // name -> number of the newest
      this.point = null; // [y, x] of the photo: what the place lies around, whatever the layer
      this.state = null;
    }

    get net() { return this.start.nets[this.state.net]; }
    get layer() { return this.net.layers[this.state.layer]; }
    get method() { return this.net.methods.find((method) => method.key === this.state.method); }
    get photo() { return this.start.photos[this.state.photo]; }

    set(changes) {
      const before = this.state;
      const state = this.settle({ ...before, ...changes }, changes);
      const changed = new Set(Object.keys(state).filter((name) => String(state[name]) !== String(before?.[name])));
      for (const name of Object.keys(before ?? {})) if (!(name in state)) changed.add(name);
      if (!changed.size) return;
      this.state = Object.freeze(state);
      this.takePoint();
      this.keepLink();
      const otherMaps = ["net", "photo", "layer"].some((name) => changed.has(name));
      if (otherMaps) this.takeMaps();
      for (const listener of this.listeners) listener({ changed });
      if (otherMaps && this.maps) this.tellMaps();
    }

    // A point stays as long as the place lies around it, so that other layers do not drift away.
    takePoint() {
      const { place } = this.state;
      const { input } = this.net;
      if (place && !(this.point && String(placeAt(this.layer, this.point, input)) === String(place))) this.point = pointOf(this.layer, place, input);
    }
    keepLink() { if (this.links) history.replaceState(null, "", this.writeLink()); }

    // The maps of the chosen layer on the chosen photo: at once where they are kept, else later.
    takeMaps() {
      const { net, photo, layer } = this.state;
      const question = { ask: "maps", net, photo, layer };
      const mine = this.current("maps");
      const kept = this.recall(question);
      this.maps = kept ? readMaps(kept) : null;
      if (kept) return;
      this.ask(question, "maps").then((answer) => {
        if (!mine()) return;
        this.maps = answer.fields.error ? { error: answer.fields.error, way_out: answer.fields.way_out } : readMaps(answer);
        this.tellMaps();
      });
    }
    tellMaps() { for (const listener of this.mapListeners) listener(this.maps); }
    onMaps(listener) { this.mapListeners.add(listener); }
    async mapsOf(question, wanted) {
      const answer = await this.ask({ ask: "maps", ...question }, wanted);
      return answer.fields.error ? { error: answer.fields.error } : readMaps(answer);
    }

    // What the photo's classes use of a layer's units: { classes, values }, or { left_out }, a line.
    async useOf(question, wanted) {
      const answer = await this.ask({ ask: "use", ...question }, wanted);
      const { classes, use, left_out, error } = answer.fields;
      return use ? { classes, values: vizcnnExplorer.read(answer, use, "f4") } : { left_out: left_out ?? error };
    }

    // The place that is shown: the chosen one, or the strongest of the unit; null while that is not
    // known, and of layers without places.
    shownPlace() {
      if (!this.layer.rows.length) return null;
      if (this.state.place) return [...this.state.place];
      return this.maps && !this.maps.error ? strongestPlace(this.maps, this.state.unit) : null;
    }
    shownPoint() {
      return (this.state.place && this.point) ?? pointOf(this.layer, this.shownPlace(), this.net.input) ?? this.point;
    }

    // What can wait until the browser has nothing else to do; the newest of a name alone.
    idle(name, action) {
      const mine = this.current(`idle ${name}`);
      const run = () => { if (mine()) action(); };
      if (window.requestIdleCallback) requestIdleCallback(run, { timeout: 1500 });
      else setTimeout(run, 200);
    }

    // Makes a state whole: what another net or layer lacks is replaced by what it has nearby.
    settle(state, changes) {
      const { nets, photos } = this.start;
      const before = this.state;
      state.net = clamp(Number(state.net) || 0, 0, nets.length - 1);
      state.photo = clamp(Number(state.photo) || 0, 0, photos.length - 1);
      const { layers, input, methods } = nets[state.net];
      if (before && state.net !== before.net && changes.layer === undefined) {
        const same = layers.findIndex((layer) => layer.name === this.layer.name);
        state.layer = same < 0 ? Math.round(before.layer * (layers.length - 1) / Math.max(this.net.layers.length - 1, 1)) : same;
      }
      state.layer = clamp(Number(state.layer) || 0, 0, layers.length - 1);
      const layer = layers[state.layer];
      state.unit = clamp(Number(state.unit) || 0, 0, layer.units - 1);
      const moved = before && (before.net !== state.net || before.layer !== state.layer);
      if (state.place && moved && changes.place === undefined && this.point) state.place = placeAt(layer, this.point, input);
      state.place ??= null;
      if (state.place) {
        state.place = layer.rows.length
          ? [clamp(state.place[0], 0, layer.rows.length - 1), clamp(state.place[1], 0, layer.columns.length - 1)]
          : null;
      }
      if (!methods.some((method) => method.key === state.method)) state.method = methods[0].key;
      for (const name of Object.keys(state)) if (state[name] === undefined) delete state[name];
      return state;
    }

    // Asks everything that is shown anew, as if all had changed: after answers that did not come.
    renew() {
      this.takeMaps();
      for (const listener of this.listeners) listener({ changed: new Set(Object.keys(this.state)) });
      if (this.maps) this.tellMaps();
    }

    on(listener) { this.listeners.add(listener); }
    writeLink() { return writeLink(this.state, this.start); }
    // What a link does not say is as if it had never been chosen.
    followLink(fragment) {
      const unsaid = Object.fromEntries(Object.keys(this.state).filter((name) => !["net", "photo", "layer", "unit"].includes(name)).map((name) => [name, undefined]));
      this.set({ ...unsaid, ...readLink(fragment, this.start) });
      this.keepLink(); // of what it names and the page lacks nothing stays
    }

    addPane(name, build) {
      const container = this.panes.get(name);
      if (!container) throw new Error(`the layout has no pane "${name}"`);
      container.hidden = false;
      build(container, this);
    }
    addKey(keys, label, action) { this.keys.push({ keys: [keys].flat(), label, action }); }
    addTool(button) { this.panes.get("tools").append(button); }
    pressKey(event) {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") || this.root.querySelector("dialog[open]")) return;
      const known = this.keys.find(({ keys }) => keys.includes(event.key));
      // an action gives false where it leaves the key to the browser
      if (known && known.action(event) !== false) event.preventDefault();
    }
    say(text) { this.panes.get("said").textContent = text; }

    // A name's newest turn: `const mine = app.current("maps")`, await, `if (!mine()) return`.
    current(name) {
      const turn = (this.turns.get(name) ?? 0) + 1;
      this.turns.set(name, turn);
      return () => this.turns.get(name) === turn;
    }

    keyOf(question) { return this.source.key?.(question) ?? JSON.stringify(question); }

    // An answer that is there already, without waiting; undefined else.
    recall(question) { return this.memory.get(this.keyOf(question)); }

    // `wanted` says what for: of questions for the same, a busy source may drop all but the newest.
    async ask(question, wanted) {
      const key = this.keyOf(question);
      const kept = this.memory.get(key);
      if (kept) return kept;
      const asked = this.asked.get(key);
      if (asked) {
        const answer = await asked.answer;
        return answer.fields.superseded && asked.wanted !== wanted ? this.ask(question, wanted) : answer;
      }
      const answer = this.askSource(question, key, wanted).finally(() => this.asked.delete(key));
      this.asked.set(key, { answer, wanted });
      return answer;
    }
    async askSource(question, key, wanted) {
      try {
        const answer = await this.source.ask(question, wanted);
        if (!answer.fields.error) this.memory.put(key, answer);
        return answer;
      } catch (fault) {
        return vizcnnExplorer.refuse(`No answer came: ${fault.message}`);
      }
    }

    async askPicture({ net, photo, layer, unit, method, place }, wanted) {
      const units = this.source.live ? [unit] : null; // a folder has the units of a layer together
      const answer = await this.ask({ ask: "pictures", net, photo, layer, method, units, place: place ?? null }, wanted);
      return findPicture(answer, unit);
    }
  }

  function findPicture(answer, unit) {
    const { error, way_out, units, left_out } = answer.fields;
    if (error) return { error, way_out };
    const entry = units.find((one) => one.unit === unit);
    if (entry && !entry.image[1]) return { ...entry, error: "It sees no pixel of the photo here." };
    if (entry && entry.activation === 0 && entry.limit === 0) return { ...entry, error: `Silent ${entry.place.length ? "here" : "on this photo"}: there is nothing to project.` };
    if (entry) return { ...entry, bytes: vizcnnExplorer.read(answer, entry.image, "bytes") };
    const why = left_out?.find((group) => group.units.includes(unit))?.why ?? "this page has no picture of this unit";
    return { error: `${why[0].toUpperCase()}${why.slice(1)}.`, way_out: "vizcnn explore --serve shows any unit." };
  }

  // Shows an explorer in an element. Options: links, whether the state is kept in the address (of a
  // page, not of a notebook); fragment, a link's, to begin with; or choose(start), which gives a state.
  async function mount(root, source, { links = false, fragment = "", choose = (start) => readLink(fragment, start) } = {}) {
    root.classList.add("vizcnn-explorer");
    const start = await source.ask({ ask: "start" });
    if (start.fields.error) {
      root.replaceChildren(make("p", { class: "refusal", role: "alert", text: vizcnnExplorer.sayRefusal(start.fields) }));
      root.classList.remove("opening");
      return null;
    }
    // units without places have one row and one column that are no places to choose
    for (const layer of start.fields.nets.flatMap((net) => net.layers)) if (!layer.size.length) layer.rows = layer.columns = [];
    const app = new App(root, source, start.fields, { links });
    vizcnnExplorer.layOut(app);
    for (const install of vizcnnExplorer.parts) install(app);
    const first = await vizcnnExplorer.begin(app, choose(app.start));
    app.set(first);
    root.classList.remove("opening");
    return app;
  }

  Object.assign(vizcnnExplorer, { mount, findPicture });
})();
