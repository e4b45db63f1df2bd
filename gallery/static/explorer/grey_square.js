"use strict";

// A grey square on the photo, dragged by mouse, finger or keys; the bars say what classes and the unit
// are left with. A program at work computes each place; a folder has a grid of places measured ahead.
vizcnnExplorer.register((app) => {
  const { make, showNumber, showShare, sayRefusal, clamp, boxOf, frameBox, nameUnit } = vizcnnExplorer;
  const { asks } = app.start;
  const live = app.source.live && asks.includes("hide");
  if (!live && !asks.includes("hidden")) return;

  const STEPS = 127; // of a unit's largest change, in what was measured ahead
  const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  let square = null; // [top, left, side] in pixels of the input, where it is now
  let grid = null; // what was measured ahead of this net and photo
  let largest = 0; // of the unit's values that the bar has shown
  let answered = ""; // the question whose answer the bars show

  const handle = make("div", {
    class: "grey-square", role: "slider", tabindex: "0", hidden: true, aria_label: "Grey square",
    on: { pointerdown: grab, pointermove: drag, pointerup: release, pointercancel: release, keydown: step, click: (event) => event.preventDefault() },
  });
  const toggle = make("button", { type: "button", class: "tool", text: "Grey square", aria_pressed: "false", title: "Hide a square of the photo", on: { click: () => (square ? remove() : place()) } });
  const size = make("input", { type: "range", min: "1", step: "1", on: { input: () => resize(Number(size.value)) } });
  const sizeLabel = make("label", { class: "hide-size", hidden: true }, "side ", size);
  const told = make("p", { class: "quiet hide-told", text: "Hide a square of the photo, drag it, and see what the classes and the unit lose (key g)." });
  const refusal = make("p", { class: "refusal", role: "status", hidden: true });
  const strip = make("span", { class: "hide-strip" }, make("span", { class: "hide-before" }));
  const named = make("span", { class: "hide-name" });
  const valued = make("span", { class: "hide-value" });
  const bar = make("p", { class: "hide-bar", hidden: true }, named, strip, valued);

  app.addPane("hide", (pane) => pane.append(
    make("div", { class: "hide-tools" }, toggle, sizeLabel), bar, told, refusal));
  app.addKey("g", "grey square: on or off; arrows move it, + and − size it", () => {
    if (square) remove();
    else { place(); handle.focus(); }
  });

  const input = () => app.net.input;
  function fit([top, left, side]) {
    const [height, width] = input();
    side = clamp(Math.round(side), 1, Math.min(height, width));
    return [clamp(Math.round(top), 0, height - side), clamp(Math.round(left), 0, width - side), side];
  }
  const nearest = (values, wanted) => values.reduce((best, value) => Math.abs(value - wanted) < Math.abs(best - wanted) ? value : best);
  function snap([top, left, side]) {
    return grid ? [nearest(grid.tops, top), nearest(grid.lefts, left), grid.side] : fit([top, left, side]);
  }

  // At first over the middle of what the unit sees.
  function place() {
    const [top, left, bottom, right] = boxOf(app.layer, app.shownPlace?.() ?? app.state.place, input());
    const side = Math.max(Math.round(Math.min(...input()) / 8), 1);
    begin(fit([(top + bottom - side) / 2, (left + right - side) / 2, side]));
  }
  async function begin(wanted) {
    square = wanted;
    answered = "";
    draw(); // before its numbers are there: it can be held already
    await measureAhead();
    if (square && (live || grid)) move(square, true);
  }
  function remove() {
    square = null;
    answered = "";
    keep.cancel();
    draw();
    app.set({ square: undefined });
    showNothing();
    refusal.hidden = true;
    told.textContent = "Nothing is hidden.";
    if (document.activeElement === handle) toggle.focus();
  }

  function move(wanted, settled = false) {
    square = snap(fit(wanted));
    draw();
    answer();
    if (settled) keep.now();
    else keep();
  }
  function resize(side) {
    const [top, left, before] = square;
    move([top + (before - side) / 2, left + (before - side) / 2, side]);
  }
  // The link follows once the square rests: browsers allow few changes of the address.
  const keep = later(300, () => square && app.set({ square: square.join(",") }));
  const speak = later(500, () => square && app.say(`${sayWhere()}: ${bar.hidden ? "" : `${named.textContent} ${valued.textContent}. `}${told.textContent}`));
  function later(milliseconds, act) {
    let timer = null;
    const wait = () => { clearTimeout(timer); timer = setTimeout(act, milliseconds); };
    return Object.assign(wait, { now: () => { clearTimeout(timer); act(); }, cancel: () => clearTimeout(timer) });
  }

  function sayWhere() {
    const [top, left, side] = square;
    return `rows ${top} to ${top + side - 1}, columns ${left} to ${left + side - 1}`;
  }
  function draw() {
    toggle.setAttribute("aria-pressed", String(Boolean(square)));
    handle.hidden = !square;
    sizeLabel.hidden = !square || !live;
    if (!square) return;
    if (handle.parentNode !== app.photoStage) app.photoStage.append(handle);
    const [top, left, side] = square;
    const [height, width] = input();
    frameBox(handle, [top, left, top + side, left + side], [height, width]);
    // a slider has one number: how far along the rows of places it is
    handle.setAttribute("aria-valuemax", String(height * width));
    handle.setAttribute("aria-valuenow", String(top * width + left));
    handle.setAttribute("aria-valuetext", sayWhere());
    size.max = String(Math.floor(Math.min(height, width) / 2));
    size.value = String(side);
  }

  let held = null; // where in the square the pointer has it, in pixels of the input
  function pointUnder(event) {
    const area = app.photoStage.getBoundingClientRect();
    const [height, width] = input();
    return [(event.clientY - area.top) / area.height * height, (event.clientX - area.left) / area.width * width];
  }
  function grab(event) {
    if (event.button) return;
    event.preventDefault(); // no text is selected meanwhile
    handle.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    const [y, x] = pointUnder(event);
    held = [y - square[0], x - square[1]];
  }
  function drag(event) {
    event.stopPropagation(); // the photo shows no receptive field meanwhile
    if (!held || !square) return;
    const [y, x] = pointUnder(event);
    const next = snap(fit([y - held[0], x - held[1], square[2]]));
    if (next.join() !== square.join()) move(next);
  }
  function release() { held = null; }

  function step(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [top, left, side] = square;
    const arrow = ARROWS[event.key];
    if (arrow) {
      const strides = grid ? [grid.tops, grid.lefts].map((starts) => starts.length > 1 ? starts[1] - starts[0] : 0) : [1, 1].map(() => Math.max(Math.round(side / 8), 1));
      const times = event.shiftKey ? 4 : 1;
      const [down, right] = arrow.map((way, axis) => way * strides[axis] * times);
      move(stepAlong([top, left, side], down, right));
    } else if (live && ["+", "=", "-"].includes(event.key)) {
      resize(clamp(side + (event.key === "-" ? -2 : 2), 1, Number(size.max)));
    } else if (event.key === "Escape") {
      remove();
    } else return;
    event.preventDefault(); // the photo's own keys have the same arrows
    speak();
  }
  // The last place of a grid is flush with the edge, nearer to its neighbour than a stride.
  function stepAlong([top, left, side], down, right) {
    if (!grid) return [top + down, left + right, side];
    const along = (starts, start, way) => !way ? start
      : starts[clamp(starts.indexOf(start) + Math.sign(way) * Math.max(1, Math.round(Math.abs(way) / Math.max(starts[1] - starts[0], 1))), 0, starts.length - 1)];
    return [along(grid.tops, top, down), along(grid.lefts, left, right), side];
  }

  async function measureAhead() {
    grid = null;
    if (live) return;
    const { net, photo } = app.state;
    const mine = app.current("hidden");
    const found = await app.ask({ ask: "hidden", net, photo }, "hidden");
    if (!mine()) return;
    if (found.fields.error) { refuse(found.fields); return; }
    grid = { ...found.fields, answer: found };
  }
  function refuse(fields) {
    refusal.hidden = false;
    refusal.textContent = sayRefusal(fields);
    showNothing();
    told.textContent = "";
  }
  function showNothing() {
    bar.hidden = true;
    app.showProbabilities(null);
  }

  // While one answer is under way the newest place waits, and no others.
  let asking = false;
  async function answer() {
    if (!live) { if (grid) show(lookUp()); return; }
    if (asking) return;
    asking = true;
    try {
      let asked = null;
      while (square && (asked = question()) && JSON.stringify(asked) !== answered) {
        const found = await app.ask(asked, "hide");
        if (!square) break;
        if (found.fields.superseded) continue; // another window asked the same program
        answered = JSON.stringify(asked);
        if (found.fields.error) refuse(found.fields);
        else show(read(found.fields));
      }
    } finally { asking = false; }
  }
  function question() {
    const { net, photo, layer, unit, place } = app.state;
    return { ask: "hide", net, photo, square, watch: [{ layer, unit, place }], classes: [] };
  }

  // Both give { classes: [{ number, probability }], best: { name }, unit: { whole, value }, note, missing }.
  function read(fields) {
    const [unit] = fields.units;
    return { classes: fields.classes, best: fields.best, unit, note: `Filled with ${fields.filling}.` };
  }
  function lookUp() {
    const place = grid.tops.indexOf(square[0]) * grid.lefts.length + grid.lefts.indexOf(square[1]);
    const { answer: found, classes, names } = grid;
    const probabilities = app.read(found, grid.probabilities, "f4");
    const listed = classes.map((one, index) => ({ ...one, probability: probabilities[place * classes.length + index] }));
    const number = app.read(found, grid.best, "u2")[place];
    const best = classes.length ? { number, name: names[number] } : null;
    const stride = grid.tops.length > 1 ? grid.tops[1] - grid.tops[0] : 0;
    const note = `Filled with ${grid.filling}; measured ahead at steps of ${stride} px.`;
    return { classes: listed, best, ...lookUpUnit(place), note };
  }
  function lookUpUnit(place) {
    const { answer: found } = grid;
    const layer = grid.layers.find(({ layer }) => layer === app.layer.name);
    const row = layer ? app.read(found, layer.units, "u2").indexOf(app.state.unit) : -1;
    if (row < 0) return { unit: null, missing: `What ${nameUnit(app.layer, app.state.unit)} loses was not measured ahead.` };
    const whole = app.read(found, layer.whole, "f4")[row];
    const reach = app.read(found, layer.reach, "f4")[row];
    const count = grid.tops.length * grid.lefts.length;
    const [start] = layer.changes;
    const change = new Int8Array(found.bytes.buffer, found.bytes.byteOffset + start + row * count + place, 1)[0];
    const places = app.read(found, layer.places, "u2");
    const strongest = [places[2 * row], places[2 * row + 1]];
    const { place: wanted } = app.state;
    const elsewhere = wanted && wanted.join() !== strongest.join();
    return {
      unit: { whole, value: whole + change / STEPS * reach },
      missing: elsewhere ? `The unit's bar is of its strongest place (row ${strongest[0]}, column ${strongest[1]}).` : "",
    };
  }

  function showUnit({ whole, value }) {
    largest = Math.max(largest, Math.abs(whole), Math.abs(value));
    const share = (one) => String(largest ? clamp(one / largest, 0, 1) : 0);
    strip.style.setProperty("--now", share(value));
    strip.style.setProperty("--before", share(whole));
    const change = whole > 0 ? ` (${value < whole ? "−" : "+"}${showShare(Math.abs(value / whole - 1))})` : "";
    named.textContent = `${app.layer.name} ${nameUnit(app.layer, app.state.unit)}`;
    valued.textContent = `${showNumber(whole)} → ${showNumber(value)}${change}`;
  }
  function show({ classes, best, unit, missing, note }) {
    refusal.hidden = true;
    bar.hidden = !unit;
    if (unit) showUnit(unit);
    app.showProbabilities(new Map(classes.map(({ number, probability }) => [number, probability])));
    const now = best ? `Most probable now: ${best.name}.` : "";
    told.textContent = [now, note, missing].filter(Boolean).join(" ");
  }

  app.on(({ changed }) => {
    const { state } = app;
    if (["net", "photo", "layer", "unit", "place"].some((name) => changed.has(name))) largest = 0;
    if (changed.has("square") && state.square !== square?.join()) {
      const wanted = /^\d+,\d+,\d+$/.test(state.square ?? "") ? state.square.split(",").map(Number) : null;
      if (wanted) { begin(fit(wanted)); return; }
      if (square) { square = null; draw(); showNothing(); }
    } else if (square && (changed.has("net") || changed.has("photo"))) {
      begin(fit(square));
    } else if (square && ["layer", "unit", "place"].some((name) => changed.has(name))) {
      answer();
    }
  });
});
