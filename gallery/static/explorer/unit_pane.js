"use strict";

// Right: the chosen unit. Its map, what it sees of the photo, and its projection by each method with
// its own part, side by side.
vizcnnExplorer.register((app) => {
  const { make, boxOf, valueAt, strongestPlace, isSilent, showNumber, sayRefusal, drawMap, layerMost, isSingle, describeBox, keepCrisp, clamp, findOwn } = vizcnnExplorer;

  const title = make("h3", { class: "unit-title" });
  const step = (text, label, by) => make("button", { type: "button", class: "tool step", text, aria_label: label, on: { click: () => app.stepUnit(by) } });
  const numbers = make("dl", { class: "numbers" });
  const where = make("p", { class: "note", hidden: true });

  const map = make("canvas", { class: "map crisp" });
  const spot = make("div", { class: "spot", hidden: true });
  const mapStage = make("div", { class: "stage map-stage", role: "img", on: { click: choose } }, map, spot);
  const mapCaption = make("figcaption");
  const patch = make("canvas", { class: "patch", role: "img", hidden: true });
  const patchCaption = make("figcaption", { text: "what it sees of the photo" });
  const pictures = make("div", { class: "pictures" });
  const legend = make("p", { class: "quiet" });

  app.addPane("unit", (pane) => pane.append(
    make("div", { class: "unit-head" }, title, make("div", { class: "steps" }, step("‹", "The unit before", -1), step("›", "The next unit", 1))),
    numbers,
    make("div", { class: "evidence" },
      make("figure", {}, mapStage, mapCaption),
      make("figure", {}, make("div", { class: "stage" }, patch), patchCaption)),
    pictures, where, legend));

  // ---- pictures by every method

  const figures = new Map(); // method -> its parts of the page
  function buildPictures() {
    figures.clear();
    const whole = app.net.methods.filter(({ part }) => part !== "own");
    pictures.replaceChildren(...whole.map((method) => {
      const own = findOwn(app.net, method);
      return make("div", { class: "method" }, make("h4", { title: method.source }, `${method.title} `, make("span", { class: "where" })),
        makeFigure(method, "projection", method.title), own ? makeFigure(own, "own part", method.title) : null);
    }));
    pictures.style.setProperty("--methods", Math.min(whole.length, 3));
    pictures.classList.toggle("alone", whole.length === 1);
  }
  function makeFigure(method, words, by) {
    const canvas = make("canvas", { role: "img", hidden: true });
    const line = make("span", { class: "refusal", role: "status" });
    const caption = make("span", { class: "value" });
    const button = make("button", {
      type: "button", class: "picture-button", title: `Show tiles by ${method.title}`,
      on: { click: () => app.set({ method: method.key }) },
    }, make("span", { class: "stage" }, canvas, line));
    figures.set(method.key, { canvas, line, caption, button, method, words, by });
    return make("figure", {}, button, make("figcaption", {}, make("span", { text: words }), caption));
  }

  // Until the new picture is there, the former one is another unit's: it is dimmed, without its numbers.
  function markLate({ canvas, caption }) {
    canvas.classList.add("late");
    caption.textContent = "…";
  }
  async function showPicture({ canvas, line, caption, button, method, words, by }) {
    const { net, photo, layer, unit, place } = app.state;
    const mine = app.current(`picture ${method.key}`);
    const question = { net, photo, layer, unit, method: method.key, place: app.source.live ? place : null };
    let entry = await app.askPicture(question, `unit ${method.key}`);
    if (entry.error && !question.place) entry = { ...entry, ...await tellSilent(question) };
    if (!mine()) return;
    takeValue(entry);
    line.textContent = sayRefusal(entry);
    if (entry.error) { canvas.hidden = true; canvas.classList.remove("late"); }
    const isChosen = method.key === app.state.method;
    button.setAttribute("aria-label", `${by}: ${words} of unit ${unit}${isChosen ? ", chosen" : ""}`);
    if (entry.error) { caption.textContent = ""; return; }
    const same = words === "own part" && entry.selectivity !== null && entry.selectivity !== undefined;
    const about = same && entry.compared < entry.active ? "≈ " : "";
    caption.textContent = same ? `selectivity ${about}${entry.selectivity.toFixed(2)}` : `±${showNumber(entry.limit)}`;
    caption.title = same
      ? `found among ${entry.compared} of the ${entry.active} units that are active at its place, itself included; white is ${showNumber(entry.limit)}`
      : "white is this value, grey zero, black the negative value";
    canvas.setAttribute("aria-label", `${words} of unit ${unit} of ${app.layer.name} by ${by}`);
    await app.drawPicture(canvas, entry.bytes);
    if (!mine()) return;
    canvas.classList.remove("late");
    keepCrisp(canvas);
    // as much of its square as its field has of the largest one
    fitToField(canvas, entry.box);
    canvas.hidden = false;
  }

  // Of a unit that is silent everywhere no page and no program has a picture.
  async function tellSilent({ net, photo, layer, unit }) {
    const maps = await app.mapsOf({ net, photo, layer }, "maps");
    return maps.error || maps.values[unit] ? {} : { error: "Silent on this photo: there is nothing to project.", way_out: "" };
  }

  function fitToField(canvas, [top, left, bottom, right]) {
    const most = Math.max(bottom - top, right - left, 1);
    canvas.style.width = `${100 * (right - left) / most}%`;
    canvas.style.height = `${100 * (bottom - top) / most}%`;
  }

  // The chosen method comes first. Own parts take the pictures of many other units: a program that
  // computes them is asked last, so that who fires at the place need not wait for them.
  async function showPictures() {
    for (const figure of figures.values()) markLate(figure);
    const isFirst = ({ method }) => method.key === app.state.method;
    const ordered = [...figures.values()].sort((a, b) => isFirst(b) - isFirst(a));
    const own = ordered.filter((figure) => figure.method.part === "own" && app.source.live && !isFirst(figure));
    const mine = app.current("own parts");
    await Promise.all(ordered.filter((figure) => !own.includes(figure)).map(showPicture));
    for (const figure of own) {
      if (!mine()) return;
      await showPicture(figure);
    }
  }
  function markMethod() {
    for (const [key, { button }] of figures) button.setAttribute("aria-pressed", String(key === app.state.method));
  }

  // ---- the photo's part that it sees

  async function showPatch() {
    const { net, photo, layer, unit } = app.state;
    const place = picturePlace();
    const box = boxOf(app.layer, place, app.net.input);
    if (!place && app.layer.rows.length) patch.hidden = true;
    const mine = app.current("patch");
    const answer = await app.ask({ ask: "photo", net, photo }, "photo");
    if (!mine()) return;
    if (answer.fields.error) { patch.hidden = true; return; } // the former one is another photo's
    const bitmap = await createImageBitmap(new Blob([app.read(answer, answer.fields.image, "bytes")]));
    if (!mine()) return;
    const [top, left, bottom, right] = box;
    patch.width = Math.max(1, right - left);
    patch.height = Math.max(1, bottom - top);
    patch.getContext("2d").drawImage(bitmap, left, top, right - left, bottom - top, 0, 0, right - left, bottom - top);
    bitmap.close();
    fitToField(patch, box);
    patch.hidden = !place && app.layer.rows.length > 0;
    keepCrisp(patch);
    patch.setAttribute("aria-label", `What unit ${unit} of ${app.net.layers[layer].name} sees of the photo: ${describeBox(box)}`);
  }
  // The place that the pictures are of: a folder has those of the strongest place alone.
  function picturePlace() {
    if (!app.layer.rows.length) return null;
    if (app.state.place && app.source.live) return app.state.place;
    if (!app.maps || app.maps.error) return null;
    return isSilentHere() && app.state.place ? app.state.place : strongestPlace(app.maps, app.state.unit);
  }

  const isSilentHere = () => Boolean(app.maps && !app.maps.error) && isSilent(app.maps, app.state.unit);

  // ---- map and numbers

  function choose(event) {
    if (!app.layer.rows.length) return;
    const area = map.getBoundingClientRect();
    const row = clamp(Math.floor((event.clientY - area.top) / area.height * app.layer.rows.length), 0, app.layer.rows.length - 1);
    const column = clamp(Math.floor((event.clientX - area.left) / area.width * app.layer.columns.length), 0, app.layer.columns.length - 1);
    app.set({ place: [row, column] });
  }
  function showMap() {
    const { maps } = app;
    map.hidden = Boolean(maps?.error); // the former one is another unit's
    if (map.hidden) {
      spot.hidden = true;
      mapCaption.textContent = "";
      mapStage.setAttribute("aria-label", "No feature map");
    }
    if (!maps || maps.error) return;
    const { unit } = app.state;
    drawMap(map, maps, unit, isSingle(maps) ? layerMost(maps) : undefined);
    fitToField(map, [0, 0, maps.height, maps.width]);
    const place = app.shownPlace();
    spot.hidden = !place;
    if (place) {
      const most = Math.max(maps.height, maps.width);
      // the map lies in the middle of its square
      const [above, before] = [(1 - maps.height / most) / 2, (1 - maps.width / most) / 2];
      spot.style.top = `${100 * (above + place[0] / most)}%`;
      spot.style.left = `${100 * (before + place[1] / most)}%`;
      spot.style.width = spot.style.height = `${100 / most}%`;
    }
    mapCaption.textContent = maps.height > 1 ? `its feature map, ${maps.height} × ${maps.width}` : "its value";
    const [row, column] = strongestPlace(maps, unit);
    const peak = isSilent(maps, unit) ? "silent on this photo" : `strongest at row ${row}, column ${column}`;
    mapStage.setAttribute("aria-label", place ? `Feature map of unit ${unit}; ${peak}` : `Value of unit ${unit}`);
  }
  // A picture tells the exact value at its place, where the maps have it to a byte.
  let told = {};
  const nameOf = (place) => JSON.stringify([app.state.net, app.state.photo, app.state.layer, app.state.unit, place]);
  function takeValue({ place, activation }) {
    if (activation === undefined || told.of === nameOf(place)) return;
    told = { of: nameOf(place), value: activation };
    showNumbers();
  }
  const valueThere = (maps, unit, place) => told.of === nameOf(place) ? { value: told.value, exact: true } : valueAt(maps, unit, place);

  function showNumbers() {
    const { unit } = app.state;
    const name = app.layer.names[unit];
    title.textContent = `${app.layer.name}, unit ${unit}${name ? `: ${name}` : ""}`;
    const { maps } = app;
    if (maps?.error) numbers.replaceChildren();
    if (!maps) for (const number of numbers.querySelectorAll("dd")) number.textContent = "…"; // the former ones are another unit's
    if (!maps || maps.error) return;
    const place = app.shownPlace();
    const [row, column] = strongestPlace(maps, unit);
    const entries = [];
    if (place) {
      const { value, exact } = valueThere(maps, unit, place);
      entries.push([`at row ${place[0]}, column ${place[1]}`, `${exact ? "" : "≈ "}${showNumber(value)}`]);
      entries.push(["strongest on this photo", isSilent(maps, unit) ? "silent: 0 everywhere" : `${showNumber(maps.values[unit])} at ${row}, ${column}`]);
      entries.push(["sees", describeBox(boxOf(app.layer, place, app.net.input))]);
    } else {
      entries.push(["activation", showNumber(maps.values[unit])]);
      entries.push(["sees", "the whole photo"]);
    }
    numbers.replaceChildren(...entries.map(([term, text]) => make("div", {}, make("dt", { text: term }), make("dd", { text }))));
  }
  // A folder has pictures of strongest places alone.
  function showWhere() {
    const [pictured, chosen] = [picturePlace(), app.state.place];
    const elsewhere = Boolean(pictured && chosen) && String(pictured) !== String(chosen);
    // it keeps its room, so that choosing a place moves nothing
    where.hidden = app.source.live;
    where.classList.toggle("unseen", !elsewhere);
    where.textContent = "This page was made ahead, with each unit at its strongest place; vizcnn explore --serve shows any place.";
    patchCaption.textContent = elsewhere ? `what it sees at ${pictured.join(", ")}` : "what it sees of the photo";
    for (const span of pictures.querySelectorAll(".where")) {
      span.textContent = pictured && !isSilentHere() ? `at ${pictured.join(", ")}` : "";
      span.classList.toggle("moved", elsewhere);
    }
  }

  app.addKey(["b", "B"], "the next method, the one before", (event) => {
    const { methods } = app.net;
    const from = methods.findIndex(({ key }) => key === app.state.method);
    const { key, title: named } = methods[(from + (event.key === "b" ? 1 : -1) + methods.length) % methods.length];
    app.set({ method: key });
    app.say(named);
  });

  app.on(({ changed }) => {
    if (changed.has("net")) buildPictures();
    markMethod();
    const others = ["net", "photo", "layer", "unit", "place"].some((name) => changed.has(name));
    if (!others) return;
    showNumbers();
    showMap();
    showWhere();
    showPatch();
    showPictures();
    legend.textContent = `${app.net.title}, ${app.net.weights}. Each picture in its own contrast: grey is zero, white the value beside it. Most are compressed with loss; those of the command are not.`;
  });
  app.onMaps(() => {
    showNumbers();
    showMap();
    showWhere();
    showPatch();
  });
});
