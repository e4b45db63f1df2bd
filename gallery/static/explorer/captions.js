"use strict";

// What is said of a picture, the same below it, in a saved figure and in a line that repeats it.
//
//   shown = { net, photo, layer, unit, place, method }, as the state has them
(() => {
  const { showNumber, describeBox } = vizcnnExplorer;

  function findParts(app, shown) {
    const net = app.start.nets[shown.net];
    return {
      net,
      layer: net.layers[shown.layer],
      photo: app.start.photos[shown.photo],
      method: net.methods.find(({ key }) => key === shown.method) ?? net.methods[0],
    };
  }

  // A method's entry for the units' own parts; undefined where this page has none.
  const findOwn = (net, method) => net.methods.find(({ part, python }) => part === "own" && python === method.python);

  // What a state has a picture of: a folder has each unit's strongest place alone.
  const ofPicture = (app, { net, photo, layer, unit, place, method }) =>
    ({ net, photo, layer, unit, method, place: app.source.live ? place : null });

  // A unit's entry of `pictures`, with the selectivity that comes with its own part, where this page
  // has that.
  async function askEvidence(app, shown, purpose) {
    const { net, method } = findParts(app, shown);
    const own = findOwn(net, method);
    const [entry, other] = await Promise.all([shown.method, own?.key].map((key) =>
      key ? app.askPicture({ ...shown, method: key }, `${purpose} ${key}`) : { error: "none" }));
    if (entry.error || other.error) return entry;
    const { selectivity, compared, active } = other;
    return { ...entry, selectivity, compared, active };
  }

  function nameUnit(layer, unit) {
    const name = layer.names?.[unit];
    return name ? `unit ${unit} (${name})` : `unit ${unit}`;
  }
  const namePlace = (place) => place?.length ? `row ${place[0]}, column ${place[1]}` : "";

  function titlePicture(app, shown) {
    const { net, layer, photo, method } = findParts(app, shown);
    return `${net.title} ${layer.name}, ${nameUnit(layer, shown.unit)}, ${method.title}, on ${photo.name}`;
  }

  const describeScale = (limit) => limit > 0
    ? `Mid grey is 0; white is ${showNumber(limit)} and above, black ${showNumber(-limit)} and below`
    : "All of it is 0: mid grey";

  // Lines below a picture; entry is what `pictures` has of the unit.
  function describePicture(app, shown, entry) {
    const { net, layer, photo, method } = findParts(app, shown);
    const where = namePlace(entry.place);
    const numbers = [`activation ${showNumber(entry.activation)}`];
    if (entry.selectivity !== null && entry.selectivity !== undefined) {
      const about = entry.compared < entry.active ? "about " : "";
      numbers.push(`selectivity ${about}${entry.selectivity.toFixed(2)} (among ${entry.compared} of the ${entry.active} units that are active there)`);
    }
    return [
      `${net.title} ${layer.name}, ${nameUnit(layer, shown.unit)}${where ? ` at ${where}` : ""}${shown.place || !where ? "" : ", its strongest place"}: ${numbers.join(", ")}.`,
      `Method: ${method.title}${method.source ? ` (${method.source})` : ""}. ${describeScale(entry.limit)}.`,
      `Photo: ${photo.name}; the unit sees ${describeBox(entry.box)}.`,
      `Weights: ${net.weights}`,
    ];
  }

  const fill = (template, values) => template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

  // The command and the Python lines that repeat a picture; null with the reason where there are none.
  function writeCommand(app, shown) {
    const { net, layer, photo, method } = findParts(app, shown);
    if (!net.command) return { why: "This net has no name that a command could call it by." };
    if (!photo.typed) return { why: `${photo.name} is in this page only: a command needs a file.` };
    const position = shown.place ? shown.place.join(",") : "max";
    return { text: fill(net.command, { photo: photo.typed, layer: layer.typed, unit: shown.unit, position, method: method.typed }) };
  }
  function writePython(app, shown) {
    const { net, layer, photo, method } = findParts(app, shown);
    if (!net.python) return { why: "This net has no name that Python could load it by." };
    if (!photo.python) return { why: `${photo.name} is in this page only: Python needs a file.` };
    const position = shown.place ? `(${shown.place.join(", ")})` : "'max'";
    const values = { photo: photo.python, layer: layer.python, unit: shown.unit, position, method: method.python, compare: method.python_compare, part: method.python_part };
    return { text: fill(net.python, values) };
  }

  Object.assign(vizcnnExplorer, { findParts, findOwn, ofPicture, askEvidence, nameUnit, titlePicture, describePicture, writeCommand, writePython });
})();
