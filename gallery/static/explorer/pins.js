"use strict";

// Below: two pinned states side by side, flickering, or subtracted. Links hold the pins, as a= and b=
// with what a link to each would say, and show= with the way.
vizcnnExplorer.register((app) => {
  const { make, readLink, writeLink, showNumber, sayRefusal, decodePicture, layOver, dim, subtract,
    findParts, ofPicture, askEvidence, nameUnit, describePicture } = vizcnnExplorer;

  const WAYS = { side: "Side by side", flicker: "Flicker", difference: "Difference" };
  const TURN = 500; // milliseconds of each picture: once a second, well below what may harm
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const pinOf = (state) => writeLink(ofPicture(app, state), app.start).slice(1);

  // A pin's state; null where this page lacks its net, layer, unit, place or photo.
  function readPin(text) {
    const found = readLink(text, app.start);
    const layer = app.start.nets[found.net]?.layers[found.layer];
    if (!layer || !(found.unit < layer.units) || found.photo === undefined) return null;
    const place = found.place ?? null;
    if (place && !(place[0] < layer.rows.length && place[1] < layer.columns.length)) return null;
    return { ...ofPicture(app, { ...found, place }), method: findParts(app, found).method.key };
  }

  const slot = (name) => {
    const canvas = make("canvas", { role: "img", hidden: true });
    const title = make("figcaption", { class: "pin-title" });
    const refusal = make("p", { class: "refusal", role: "status", hidden: true });
    const stage = make("div", { class: "stage pin-stage" }, canvas, refusal);
    return { canvas, title, refusal, stage, figure: make("figure", { class: "pin", data: { slot: name } }, title, stage) };
  };
  const slots = { a: slot("a"), b: slot("b"), result: slot("result") };
  const table = make("table", { class: "pin-table" });
  const words = make("p", { class: "quiet pin-words" });
  const hint = make("p", { class: "quiet", text: "Pin what is shown as A (key d), go on to another unit, method, net or photo, and compare." });
  const result = make("div", { class: "pin-result", hidden: true },
    make("div", { class: "pin-figures" }, ...Object.values(slots).map(({ figure }) => figure)), words,
    make("div", { class: "pin-scroll" }, table));

  const button = (text, click, settings = {}) => make("button", { type: "button", class: "tool", text, on: { click }, ...settings });
  const tools = {
    a: button("Pin A", () => pin("a")),
    b: button("Pin B", () => pin("b")),
    swap: button("Swap", swap),
    clear: button("Unpin both", () => { app.set({ a: undefined, b: undefined, show: undefined }); app.say("Nothing is pinned."); }),
    scale: button("One scale", () => { oneScale = !oneScale; render(); }, { aria_pressed: "false" }),
    pause: button("Pause", () => { paused = !paused; render(); }, { aria_pressed: "false" }),
    turn: button("A or B", () => turn(), { title: "Show the other one" }),
    png: button("PNG", () => saveBoth("png"), { title: "Save what is compared as PNG" }),
    svg: button("SVG", () => saveBoth("svg"), { title: "Save what is compared as SVG" }),
  };
  const ways = Object.entries(WAYS).map(([way, text]) => button(text, () => app.set({ show: way === "side" ? undefined : way }), { data: { way } }));

  app.addPane("pins", (pane) => pane.append(
    make("h2", { text: "Compare two" }),
    make("div", { class: "pin-tools" },
      make("span", { class: "tool-group", role: "group", aria_label: "Pins" }, tools.a, tools.b, tools.swap, tools.clear),
      make("span", { class: "tool-group", role: "group", aria_label: "How to compare" }, ...ways),
      make("span", { class: "tool-group", role: "group", aria_label: "Shown" }, tools.scale, tools.pause, tools.turn, tools.png, tools.svg)),
    hint, result));

  function pin(name) {
    app.set({ [name]: pinOf(app.state) });
    const { layer } = findParts(app, app.state);
    app.say(`${name.toUpperCase()} is ${layer.name} ${nameUnit(layer, app.state.unit)} on ${app.photo.name}.`);
  }
  function swap() {
    if (app.state.a) app.set({ a: app.state.b ?? pinOf(app.state), b: app.state.a });
  }
  app.addKey("d", "pin what is shown: as A, then as B", () => pin(app.state.a ? "b" : "a"));
  app.addKey("D", "unpin both", () => tools.clear.click());
  app.addKey("x", "swap the pins", swap);
  app.addKey("w", "compare side by side, flickering or subtracted", () => {
    const names = Object.keys(WAYS);
    const next = names[(names.indexOf(wayShown()) + 1) % names.length];
    app.set({ show: next === "side" ? undefined : next });
    app.say(WAYS[next]);
  });

  let oneScale = false;
  let paused = false;
  let shown = null; // { pins, entries, canvases, difference }, as they are drawn
  let timer = null;
  let turned = 0; // which of the two is seen while they flicker

  const wayShown = () => app.state.show in WAYS ? app.state.show : "side";
  function copyCanvas(from, to, label) {
    Object.assign(to, { width: from.width, height: from.height, hidden: false });
    to.getContext("2d").drawImage(from, 0, 0);
    to.setAttribute("aria-label", label);
  }

  function showTools(pins) {
    const { a, b } = app.state;
    tools.a.textContent = a ? "Replace A" : "Pin A";
    tools.b.textContent = b ? "Replace B" : "Pin B";
    tools.swap.disabled = tools.clear.disabled = !a && !b;
    for (const one of ways) {
      one.setAttribute("aria-pressed", String(one.dataset.way === wayShown()));
      one.disabled = !a;
    }
    const flickers = Boolean(a) && wayShown() === "flicker";
    tools.pause.hidden = tools.turn.hidden = !flickers;
    tools.pause.setAttribute("aria-pressed", String(paused || still.matches));
    tools.pause.disabled = still.matches;
    tools.pause.title = still.matches ? "Your system asks for less motion: turn by hand" : "Stop on one of the two";
    const [first, second] = pins ?? [];
    const alike = Boolean(first && second) && first.net === second.net && first.method === second.method;
    tools.scale.disabled = !alike;
    tools.scale.title = alike ? "Both by the larger of their limits" : "Pictures of two methods or two nets have no common scale";
    tools.scale.setAttribute("aria-pressed", String(oneScale && alike));
    tools.png.disabled = tools.svg.disabled = !shown;
    hint.hidden = Boolean(a);
    result.hidden = !a;
  }

  async function render() {
    const mine = app.current("pins");
    const { a, b } = app.state;
    stopFlicker();
    shown = null;
    if (!a) { showTools(); return; }
    const pins = [readPin(a), b ? readPin(b) : ofPicture(app, app.state)];
    showTools(pins);
    const entries = await Promise.all(pins.map((one, index) => one ? app.askPicture(one, `pin ${index}`) : { error: "This page does not have what was pinned." }));
    const pictures = await Promise.all(entries.map((entry) => entry.error ? null : decodePicture(entry.bytes)));
    if (!mine()) return;
    ["a", "b"].forEach((name, index) => {
      const { title, refusal, canvas } = slots[name];
      const letter = name.toUpperCase();
      title.textContent = pins[index] ? `${letter}${name === "b" && !b ? ", shown now" : ""}: ${sayDifferent(pins, index)}` : letter;
      refusal.hidden = Boolean(pictures[index]);
      canvas.hidden = !pictures[index];
      if (pictures[index]) copyCanvas(pictures[index], canvas, describePicture(app, pins[index], entries[index])[0]);
      refusal.textContent = pictures[index] ? "" : sayRefusal(entries[index]);
    });
    if (pictures.every(Boolean)) compare(pins, entries, pictures);
    else { slots.result.figure.hidden = true; slots.a.figure.hidden = slots.b.figure.hidden = false; words.textContent = ""; }
    fillTable(pins, entries);
    showTools(pins);
    if (shown && wayShown() === "flicker") startFlicker();
    // selectivities are slow where own parts are computed for them
    const known = await Promise.all(pins.map((one, index) => entries[index].error ? entries[index] : askEvidence(app, one, `pin ${index}`)));
    if (!mine()) return;
    if (shown) shown.entries = known;
    fillTable(pins, known);
  }

  function compare(pins, entries, pictures) {
    const sides = pins.map((one, index) => ({
      canvas: pictures[index], box: entries[index].box, input: app.start.nets[one.net].input, photo: one.photo,
    }));
    const { canvases, words: how } = layOver(...sides);
    const common = oneScale && !tools.scale.disabled;
    const limit = Math.max(...entries.map((entry) => entry.limit));
    if (common && limit > 0) canvases.forEach((canvas, index) => dim(canvas, entries[index].limit / limit));
    const difference = subtract(...canvases);
    const way = wayShown();
    const labels = pins.map((one, index) => describePicture(app, one, entries[index])[0]);
    ["a", "b"].forEach((name, index) => {
      copyCanvas(canvases[index], slots[name].canvas, labels[index]);
      slots[name].figure.hidden = way === "flicker";
    });
    slots.result.figure.hidden = way === "side";
    slots.result.refusal.hidden = true;
    const scale = common ? `Both on one scale: white is ${showNumber(limit)} and above.` : "Each by its own limit.";
    const cosine = difference.cosine === null ? "" : `Cosine of the two as shown: ${difference.cosine.toFixed(2)} (1: the same but for strength).`;
    words.textContent = [how, scale, cosine].filter(Boolean).join(" ");
    shown = { pins, entries, canvases, difference };
    if (way === "difference") {
      const title = describeDifference(difference, common, limit);
      slots.result.title.textContent = title;
      copyCanvas(difference.canvas, slots.result.canvas, title);
    }
  }
  const describeDifference = ({ limit }, common, whole) => !limit ? "A − B: no difference"
    : `A − B: mid grey 0, white +${showNumber(common ? limit * whole : limit)}${common ? "" : " (A and B from −1 to 1)"}`;

  const PARTS = {
    net: (one) => findParts(app, one).net.title,
    layer: (one) => findParts(app, one).layer.name,
    unit: (one) => nameUnit(findParts(app, one).layer, one.unit),
    method: (one) => findParts(app, one).method.title,
    photo: (one) => findParts(app, one).photo.name,
    place: (one) => one.place ? one.place.join(", ") : "strongest",
  };
  // What tells one pin from the other; all of it where nothing does.
  function sayDifferent(pins, index) {
    if (!pins.every(Boolean)) return PARTS.unit(pins[index]);
    const parts = Object.values(PARTS).filter((tell) => tell(pins[0]) !== tell(pins[1]));
    return (parts.length ? parts : [PARTS.layer, PARTS.unit]).map((tell) => tell(pins[index])).join(", ");
  }

  function fillTable(pins, entries) {
    const given = (name, say) => ["a", "b"].map((_, index) => pins[index] && !entries[index].error ? say(entries[index][name], index) : "–");
    const rows = [
      ["Net", ...pins.map((one) => one ? PARTS.net(one) : "–")],
      ["Layer", ...pins.map((one) => one ? PARTS.layer(one) : "–")],
      ["Unit", ...pins.map((one) => one ? PARTS.unit(one) : "–")],
      ["Method", ...pins.map((one) => one ? PARTS.method(one) : "–")],
      ["Photo", ...pins.map((one) => one ? PARTS.photo(one) : "–")],
      ["Row, column", ...given("place", (place, index) => place.length ? `${place.join(", ")}${pins[index].place ? "" : " (strongest)"}` : "–")],
      ["Activation", ...given("activation", (value) => showNumber(value))],
      ["White is", ...given("limit", (limit) => limit > 0 ? showNumber(limit) : "–")],
      ["Selectivity", ...given("selectivity", (value) => showNumber(value, 2))],
    ];
    const go = (name, index) => pins[index]
      ? button(`Go to ${name}`, () => app.set(pins[index]), { class: "tool small" }) : null;
    table.replaceChildren(
      make("caption", { class: "hidden", text: "The two pins" }),
      make("thead", {}, make("tr", {}, make("td"), ...["A", "B"].map((name, index) => make("th", { scope: "col" }, `${name} `, app.state.b || !index ? go(name, index) : null)))),
      make("tbody", {}, ...rows.map(([name, first, second]) => make("tr", { class: first === second ? "" : "differs" },
        make("th", { scope: "row", text: name }), make("td", { text: first }), make("td", { text: second })))));
  }

  function drawTurn() {
    const name = "AB"[turned];
    const { title, canvas } = slots.result;
    title.textContent = slots[name.toLowerCase()].title.textContent;
    copyCanvas(shown.canvases[turned], canvas, `${name} of A and B, one after the other`);
    slots.result.stage.dataset.turn = name;
  }
  function turn() {
    if (!shown) return;
    turned = 1 - turned;
    drawTurn();
  }
  function startFlicker() {
    drawTurn();
    if (!paused && !still.matches) timer = setInterval(turn, TURN);
  }
  function stopFlicker() {
    clearInterval(timer);
    timer = null;
  }

  function saveBoth(kind) {
    const { pins, entries, canvases, difference } = shown;
    const panels = ["A", "B"].map((name, index) => ({ title: `${name}: ${sayDifferent(pins, index)}`, image: canvases[index] }));
    if (wayShown() === "difference") panels.push({ title: slots.result.title.textContent, image: difference.canvas });
    // what holds for both is said once
    const lines = new Set(["A", "B"].flatMap((name, index) =>
      describePicture(app, pins[index], entries[index]).map((line, row) => row ? line : `${name}: ${line}`)));
    const names = pins.map((one) => `${PARTS.net(one)}-${PARTS.layer(one)}-${one.unit}-${one.method}`);
    app.saveFigure(kind, { panels, lines: [...lines, words.textContent] }, [...names, wayShown()]);
  }

  app.on(({ changed }) => {
    const pinned = ["a", "b", "show"].some((name) => changed.has(name));
    // an empty B follows what is shown
    if (pinned || !app.state.a || !app.state.b) render();
  });
  still.addEventListener("change", render);
});
