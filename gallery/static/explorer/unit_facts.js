"use strict";

// Right, below the unit: what it is, whatever the photo. Its filter, how much of its field counts, the
// classes that it serves, its strongest patches in many photos, and the units that share these photos.
vizcnnExplorer.register((app) => {
  const { make, read, showNumber, showShare, sayRefusal, drawMap, pointOf, frameBox } = vizcnnExplorer;
  const NONE = 65535; // no unit, no photo, no place

  const hasPatches = app.start.asks.includes("patches");

  // A part keeps its room until its answer has come, so that nothing below it jumps.
  function makePart(name, title, ...room) {
    const body = make("div", { class: "fact-body" }, ...room);
    const note = make("p", { class: "quiet", text: "\u00a0" });
    const refusal = make("p", { class: "refusal", hidden: true });
    return { section: make("section", { class: `fact fact-${name}` }, make("h3", { text: title }), body, note, refusal), body, note, refusal };
  }
  const tiles = (count) => Array.from({ length: count }, () => make("li", {}, make("span", { class: "stage" }), make("span", { class: "value", text: "\u00a0" })));
  const parts = {
    top: makePart("top", "Where it is strongest", make("ol", { class: "patches" }, ...tiles(hasPatches ? 9 : 0))),
    filters: makePart("filters", "Its filter"),
    field: makePart("field", "What counts of what it sees"),
    classes: makePart("classes", "Classes it serves"),
    neighbours: makePart("neighbours", "Units that share its photos", make("ul", { class: "kernels neighbours" }, ...tiles(hasPatches ? 5 : 0))),
  };
  parts.neighbours.section.hidden = !hasPatches; // the first part says why
  let whole;
  app.addPane("facts", (pane) => {
    whole = pane;
    pane.classList.add("facts");
    pane.append(...Object.values(parts).map(({ section }) => section));
  });

  // Shows a part, or why there is none; gives whether there is something to show.
  function open(name, facts) {
    const { section, body, note, refusal } = parts[name];
    const { error, way_out } = facts;
    section.hidden = false;
    refusal.hidden = !error;
    body.hidden = note.hidden = Boolean(error);
    refusal.textContent = error ? sayRefusal({ error: sentence(error), way_out: way_out && sentence(way_out) }) : "";
    return !error;
  }
  // Errors of a command line begin small and end bare.
  const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

  function drawBytes(canvas, bytes, height, width, channels) {
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height);
    for (let pixel = 0; pixel < height * width; pixel++) {
      for (let colour = 0; colour < 3; colour++) image.data[4 * pixel + colour] = bytes[channels * pixel + (channels === 3 ? colour : 0)];
      image.data[4 * pixel + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  const listNumbers = (entries) => make("dl", { class: "numbers" }, ...entries.filter(Boolean).map(([term, text]) => make("div", {}, make("dt", { text: term }), make("dd", { text }))));

  // ---- the filter

  function showFilter(answer, unit) {
    const facts = answer.fields.filters;
    if (!open("filters", facts)) return;
    const { body, note } = parts.filters;
    const [height, width] = facts.kernel;
    const isDead = read(answer, facts.dead, "u1")[unit] > 0;
    const dead = isDead ? "It is dead: its weights are next to nothing beside those of the others. " : "";
    if (facts.first) {
      const size = 3 * height * width;
      const canvas = make("canvas", { class: "crisp", role: "img", aria_label: `Filter of unit ${unit}, ${height} × ${width} pixels` });
      drawBytes(canvas, read(answer, facts.images, "u1").subarray(unit * size, (unit + 1) * size), height, width, 3);
      const number = (name) => read(answer, facts[name], "f4")[unit];
      const [angle, peak, colour] = [number("orientation"), number("peak"), number("colour")];
      body.replaceChildren(make("div", { class: "filter" }, make("span", { class: "stage" }, canvas), listNumbers([
        ["bars", Number.isNaN(angle) ? "none" : `at ${Math.round(angle)}° to the horizontal`],
        ["peak", peak > 0 ? `${showNumber(peak)} cycles per pixel` : "at frequency 0"],
        Number.isNaN(colour) ? null : ["energy in colour", showShare(colour)],
        ["weights' RMS", showNumber(read(answer, facts.rms, "f4")[unit])],
      ])));
      note.textContent = `${dead}${height} × ${width} pixels, every ${facts.stride[0]}; grey is zero, full contrast its largest weight.`;
      return;
    }
    const { count, reads } = facts;
    const size = height * width;
    const images = read(answer, facts.images, "u1");
    const inputs = read(answer, facts.inputs, "u2");
    const shares = read(answer, facts.shares, "f4").subarray(unit * count, (unit + 1) * count);
    const total = shares.reduce((sum, share) => sum + share, 0);
    body.replaceChildren(make("ul", { class: "kernels" }, ...Array.from({ length: count }, (_, rank) => {
      const canvas = make("canvas", { class: "crisp" });
      const from = (unit * count + rank) * size;
      drawBytes(canvas, images.subarray(from, from + size), height, width, 1);
      const number = inputs[unit * count + rank];
      const words = `${showShare(shares[rank])} of the filter's energy`;
      const content = [make("span", { class: "stage" }, canvas), make("span", { class: "value", text: number })];
      return make("li", {}, reads
        ? make("button", { type: "button", class: "pick", title: words, aria_label: `Unit ${number} of ${reads.name}, ${words}`, on: { click: () => app.set({ layer: reads.layer, unit: number }) } }, ...content)
        : make("span", { class: "pick", title: words, role: "img", aria_label: `Channel ${number}, ${words}` }, ...content));
    })));
    const of = reads ? `units of ${reads.name}` : `channels of the input of ${facts.path}`;
    note.textContent = `${dead}The ${count} strongest of ${facts.channels.toLocaleString("en")} kernels of ${height} × ${width}, and the numbers of the ${of} that they read: `
      + `${showShare(total)} of the filter's energy. White adds, black takes away, grey is zero.`;
  }

  // ---- the effective field

  const rings = [0.95, 0.5].map((share) => ({ share, element: make("div", { class: `box effective share-${100 * share}`, hidden: true }) }));
  const ringsNote = make("p", { class: "quiet rings unseen", text: "\u00a0" });
  app.panes.get("photo").querySelector(".told").after(ringsNote);
  async function showField(answer) {
    const facts = answer?.fields.field;
    showRings(facts);
    if (!facts || !open("field", facts)) return;
    const { body, note } = parts.field;
    const canvas = make("canvas", { class: "crisp", role: "img" });
    const side = (share) => facts.sides.find(([one]) => one === share)?.[1];
    const [height, width] = facts.size;
    canvas.setAttribute("aria-label", `Map of how much each pixel counts, ${height} × ${width} pixels: it falls off from the middle`);
    const area = facts.areas.find(([one]) => one === 0.95)?.[1];
    body.replaceChildren(make("div", { class: "filter" }, make("span", { class: "stage" }, canvas), facts.sides.length ? listNumbers([
      [facts.places > 1 ? `the ${facts.places} places in the middle see` : "the place in the middle sees", `${height} × ${width} px${facts.exact ? "" : ", at most"}`],
      ["square that holds 95 %", `${side(0.95)} × ${side(0.95)} px`],
      ["square that holds 50 %", `${side(0.5)} × ${side(0.5)} px`],
      ["fewest pixels that hold 95 %", `${showShare(area)} of what it sees`],
    ]) : make("p", { class: "quiet", text: "No pixel counts: the middle of the layer is silent on these photos." })));
    note.textContent = `Gradient of the middle of ${app.layer.name}, all units' sum, mean over ${facts.photos} photo${facts.photos === 1 ? "" : "s"}; ${facts.scaling}.`;
    await app.drawPicture(canvas, app.read(answer, facts.image, "bytes"));
  }
  // The squares that hold 95 and 50 % of a unit in the middle, around the place that is shown.
  function showRings(facts) {
    if (app.photoStage && !rings[0].element.isConnected) app.photoStage.append(...rings.map(({ element }) => element));
    const middle = pointOf(app.layer, app.shownPlace(), app.net.input);
    const [height, width] = app.net.input;
    for (const { share, element } of rings) {
      const side = facts && !facts.error ? facts.sides.find(([one]) => one === share)?.[1] : undefined;
      // of several middle units it may be more than one of them sees
      element.hidden = !middle || side === undefined || side >= Math.max(...app.layer.field);
      if (element.hidden) continue;
      const cut = (at, length) => [Math.max(at - side / 2, 0), Math.min(at + side / 2, length)];
      const [[top, bottom], [left, right]] = [cut(middle[0], height), cut(middle[1], width)];
      frameBox(element, [top, left, bottom, right], [height, width]);
    }
    const seen = rings.filter(({ element }) => !element.hidden).map(({ share }) => `${100 * share} %`);
    ringsNote.classList.toggle("unseen", !seen.length); // it keeps its room
    if (seen.length) ringsNote.textContent = `Inside: ${seen.join(" and ")} of the effective field.`;
  }

  // ---- where it is strongest

  async function showTop(answer, { net, layer, unit }) {
    const facts = answer.fields.top;
    if (!open("top", facts)) return;
    const mine = app.current("patches");
    const patches = await app.ask({ ask: "patches", net, layer, part: Math.floor(unit / facts.part) }, "patches");
    if (!mine()) return;
    if (patches.fields.error) { open("top", patches.fields); return; }
    const { body, note } = parts.top;
    const { units: [first], names, images } = patches.fields;
    const row = unit - first;
    const { count, columns, tile: [height, width] } = facts;
    note.textContent = `Strongest places in ${facts.photos.toLocaleString("en")} photos, of each what the unit sees${facts.exact ? "" : " (as the gallery keeps it)"}${facts.mixed ? `; ${facts.mixed}` : ""}.`;
    if (!images[row]) {
      body.replaceChildren(make("p", { class: "quiet", text: "It is above zero in none of them." }));
      return;
    }
    const bitmap = await createImageBitmap(new Blob([read(patches, images[row], "bytes")]));
    if (!mine()) return;
    const part = (name, kind, each = 1) => read(patches, patches.fields[name], kind).subarray(row * count * each, (row + 1) * count * each);
    const [photos, values, places] = [part("photos", "u2"), part("values", "f4"), part("places", "u2", 2)];
    const shown = Array.from(photos).filter((photo) => photo !== NONE);
    const tiles = shown.map((photo, slot) => {
      const canvas = make("canvas", { class: Math.max(height, width) < 24 ? "crisp" : null, width, height });
      canvas.getContext("2d").drawImage(bitmap, slot % columns * width, Math.floor(slot / columns) * height, width, height, 0, 0, width, height);
      const [y, x] = places.subarray(2 * slot, 2 * slot + 2);
      const words = `${names[photo]}${y === NONE ? "" : `, row ${y}, column ${x}`}: ${showNumber(values[slot])}`;
      return make("li", { title: words }, make("span", { class: "stage", role: "img", aria_label: words }, canvas), make("span", { class: "value", text: showNumber(values[slot]) }));
    });
    bitmap.close();
    body.replaceChildren(make("ol", { class: "patches" }, ...tiles));
  }

  // ---- units that share its photos

  function showNeighbours(answer, { unit }) {
    const facts = answer.fields.neighbours;
    parts.neighbours.section.hidden = Boolean(facts.error);
    if (facts.error || !open("neighbours", facts)) return;
    const { body, note } = parts.neighbours;
    const { count } = facts;
    const units = read(answer, facts.units, "u2").subarray(unit * count, (unit + 1) * count);
    const shared = read(answer, facts.shared, "u1").subarray(unit * count, (unit + 1) * count);
    const own = read(answer, facts.photos, "u1")[unit];
    const found = Array.from(units).filter((number) => number !== NONE);
    body.replaceChildren(found.length
      ? make("ul", { class: "kernels neighbours" }, ...found.map((number, rank) => {
        const canvas = make("canvas", { class: "crisp" });
        if (app.maps && !app.maps.error) drawMap(canvas, app.maps, number);
        const words = `shares ${shared[rank]} of its ${own} strongest photos`;
        return make("li", {}, make("button", { type: "button", class: "pick", title: words, aria_label: `${number}: ${shared[rank]}. Unit ${number} ${words}`, on: { click: () => app.set({ unit: number }) } },
          make("span", { class: "stage" }, canvas), make("span", { class: "value", text: `${number}: ${shared[rank]}` })));
      }))
      : make("p", { class: "quiet", text: "No other unit has any of its strongest photos." }));
    note.textContent = found.length ? `Their maps on this photo; below each its number, and how many of the ${own} photos it shares.` : "";
  }

  // ---- classes

  const bars = (rows) => {
    const most = Math.max(...rows.map(({ value }) => Math.abs(value)));
    return make("ol", { class: "predictions" }, ...rows.map(({ name, value }) => {
      const item = make("li", { class: value < 0 ? "against" : null }, make("span", { class: "name", text: name }), make("span", { class: "share", text: `${value > 0 ? "+" : ""}${showNumber(value)}` }));
      item.style.setProperty("--share", most > 0 ? Math.abs(value) / most : 0);
      return item;
    }));
  };

  async function showClasses(answer, { net, photo, layer, unit }) {
    const facts = answer.fields.classes;
    const mine = app.current("class facts");
    const seen = await app.ask({ ask: "photo", net, photo }, "photo");
    const used = await app.useOf({ net, photo, layer }, "class use");
    if (!mine()) return;
    const { body, note } = parts.classes;
    const named = new Map((seen.fields.class_use ?? []).map(({ number, name }) => [number, name]));
    const { units } = app.start.nets[net].layers[layer];
    const here = used.classes?.map((number, index) => ({ name: named.get(number) ?? `class ${number}`, value: used.values[index * units + unit] }));
    const everywhere = facts.error ? [] : listServed(answer, facts, unit);
    open("classes", facts.error && !here ? facts : {});
    body.replaceChildren(
      ...(here ? [make("h4", { text: "On this photo: its most probable classes" }), here.some(({ value }) => value) ? bars(here) : make("p", { class: "quiet", text: "It adds nothing to them." })] : []),
      ...(facts.error ? [] : [
        make("h4", { text: `Over ${facts.photos} photo${facts.photos === 1 ? "" : "s"}: the first of all ${facts.classes} classes` }),
        everywhere.length ? bars(everywhere) : make("p", { class: "quiet", text: "It adds to none." }),
      ]),
    );
    note.textContent = "What the unit adds to a class's logit: activation times gradient, summed over its map." + (facts.error && here ? ` ${sentence(facts.error)}` : "");
  }
  function listServed(answer, facts, unit) {
    const { count } = facts;
    const numbers = read(answer, facts.numbers, "u2").subarray(unit * count, (unit + 1) * count);
    const values = read(answer, facts.values, "f4").subarray(unit * count, (unit + 1) * count);
    return Array.from(numbers).map((number, rank) => ({ number, name: facts.names[number], value: values[rank] })).filter(({ number }) => number !== NONE);
  }

  // ---- all of it

  let shown = null; // the answer of the layer that is shown
  async function show() {
    const mine = app.current("facts");
    const state = app.state;
    const answer = await app.ask({ ask: "facts", net: state.net, layer: state.layer }, "facts");
    if (!mine()) return;
    const { error } = answer.fields;
    shown = error ? null : answer;
    if (error) {
      for (const { section } of Object.values(parts)) section.hidden = true;
      open("filters", answer.fields);
      showRings();
      whole.setAttribute("aria-busy", "false");
      return;
    }
    showFilter(answer, state.unit);
    showNeighbours(answer, state);
    await Promise.all([showField(answer), showTop(answer, state), showClasses(answer, state)]);
    if (mine()) whole.setAttribute("aria-busy", "false");
  }

  app.on(({ changed }) => {
    if (changed.has("net") || changed.has("layer")) shown = null;
    if (["net", "layer", "unit", "photo"].some((name) => changed.has(name))) {
      whole.setAttribute("aria-busy", "true");
      app.idle("facts", show); // what the page was opened for comes first
    }
    showRings(shown?.fields.field);
  });
  app.onMaps(() => {
    showRings(shown?.fields.field);
    if (shown) showNeighbours(shown, app.state);
  });
});
