"use strict";

// Any photo, of a program at work: dropped on the page, pasted, or chosen from disk; and what a camera
// sees, as tiles of the chosen layer's units. A page from disk takes none and says so.
vizcnnExplorer.register((app) => {
  const { make, readMaps, drawMap, drawSheet, layerMost, strongestUnits, strongestUnit, showNumber, sayRefusal, nameUnit } = vizcnnExplorer;
  const { source } = app;
  if (!source.upload) return;

  const FRAME_TIME = 200; // milliseconds: five frames a second, or as many as the net can
  const FRAME_SIDE = 480; // pixels of a frame's longer side
  const MOST_TILES = 12;

  const told = make("p", { class: "quiet camera-told", role: "status" });
  const chooser = make("input", { type: "file", accept: "image/*", hidden: true, on: { change: () => { take(chooser.files); chooser.value = ""; } } });
  const open = make("button", { type: "button", class: "tool", text: "Open photo", title: "Or drop one on the page, or paste it", on: { click: () => chooser.click() } });
  const watch = make("button", { type: "button", class: "tool", text: "Camera", aria_pressed: "false", on: { click: () => (stream ? endCamera() : beginCamera()) } });
  const freeze = make("button", { type: "button", class: "tool", text: "Freeze", hidden: true, title: "Keep this picture as the photo (key f)", on: { click: freezeFrame } });
  const rate = make("p", { class: "quiet camera-rate" });
  const sheet = make("canvas", { class: "camera-sheet", role: "img" });
  const tiles = make("ul", { class: "camera-tiles" });
  const seen = make("canvas", { class: "camera-seen", role: "img", aria_label: "What the camera sees" });
  const view = make("div", { class: "camera-view", hidden: true }, seen, rate, tiles, sheet);
  const hasCamera = Boolean(source.frame && navigator.mediaDevices?.getUserMedia);

  app.addPane("camera", (pane) => pane.append(
    make("div", { class: "camera-tools" }, open, hasCamera ? watch : null, freeze, chooser), told, view));

  // ---- drop and paste

  async function take(files) {
    const file = [...files].find(({ type }) => !type || type.startsWith("image/")) ?? files[0];
    if (!file) { told.textContent = "There was no photo in that: drop a file, or copy the picture itself."; return; }
    told.textContent = `Reading ${file.name || "the photo"} …`;
    const { fields } = await source.upload(file);
    if (fields.error) { told.textContent = sayRefusal(fields); return; }
    const more = files.length > 1 ? " One photo at a time is taken." : "";
    told.textContent = `${fields.name} is ${fields.key}; it is kept while the program runs.${more}`;
    addPhoto(fields);
  }
  function addPhoto({ number, key, name }) {
    app.start.photos[number] = { key, name, typed: null, python: null };
    app.refreshPhotos();
    app.set({ photo: number, place: null });
  }

  // a page takes what is dropped or pasted anywhere on it; a notebook's cell what belongs to the cell
  const area = app.links ? document : app.root;
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let inside = 0; // elements that the dragged file is over, one in the other
  area.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { inside++; app.root.classList.add("drops"); } });
  area.addEventListener("dragleave", (event) => { if (holdsFiles(event) && --inside <= 0) endDrag(); });
  area.addEventListener("dragover", (event) => { if (holdsFiles(event)) { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; } });
  area.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    endDrag();
    take(event.dataTransfer.files);
  });
  function endDrag() { inside = 0; app.root.classList.remove("drops"); }
  area.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea")) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
  app.addKey("O", "open a photo", () => chooser.click());

  // ---- camera

  let stream = null;
  let video = null;
  let frame = null; // the newest that was answered: its file, and the maps of its units

  async function beginCamera() {
    told.textContent = "Waiting for the camera …";
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
    } catch (fault) {
      told.textContent = fault.name === "NotAllowedError" ? "The browser refuses the camera to this page: allow it beside the address." : `No camera can be had (${fault.name}): drop a photo instead.`;
      return;
    }
    video = make("video", { muted: true, playsinline: true });
    video.muted = true;
    video.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", endCamera);
    await video.play();
    if (!stream) return; // ended meanwhile
    told.textContent = "Nothing of it leaves this machine; freeze a picture to look at its units.";
    watch.setAttribute("aria-pressed", "true");
    freeze.hidden = view.hidden = false;
    run(stream);
  }
  function endCamera() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    frame = null;
    watch.setAttribute("aria-pressed", "false");
    freeze.hidden = view.hidden = true;
    told.textContent = "";
  }

  async function run(mine) {
    let last = 0;
    while (stream === mine) {
      const begun = performance.now();
      const { net, layer } = app.state;
      const file = await grabFrame();
      const answer = await source.frame({ ask: "tiles", net, layer }, file);
      if (stream !== mine) return;
      const { error, superseded } = answer.fields;
      if (superseded) continue;
      if (error) rate.textContent = sayRefusal(answer.fields);
      else if (net === app.state.net && layer === app.state.layer) {
        frame = { file, maps: readMaps(answer), layer };
        showFrame(frame.maps);
        const now = performance.now();
        if (last) rate.textContent = `${app.layer.name}: ${(1000 / (now - last)).toFixed(1)} pictures a second.`;
        last = now;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(FRAME_TIME - (performance.now() - begun), error ? 1000 : 0)));
    }
  }
  function grabFrame() {
    const scale = Math.min(1, FRAME_SIDE / Math.max(video.videoWidth, video.videoHeight));
    seen.width = Math.max(1, Math.round(video.videoWidth * scale));
    seen.height = Math.max(1, Math.round(video.videoHeight * scale));
    seen.getContext("2d").drawImage(video, 0, 0, seen.width, seen.height);
    return new Promise((resolve) => seen.toBlob(resolve, "image/jpeg", 0.9));
  }

  // The layer's maps in one scale, in the order of the units, and the strongest ones by name.
  function showFrame(maps) {
    const most = layerMost(maps);
    const { canvas } = drawSheet(maps, most);
    Object.assign(sheet, { width: canvas.width, height: canvas.height });
    sheet.getContext("2d").drawImage(canvas, 0, 0);
    sheet.setAttribute("aria-label", `${maps.units} feature maps of ${app.layer.name}; the brightest value is ${showNumber(most)}`);
    const order = strongestUnits(maps, MOST_TILES);
    while (tiles.children.length < order.length) tiles.append(makeTile());
    while (tiles.children.length > order.length) tiles.lastChild.remove();
    order.forEach((unit, index) => fillTile(tiles.children[index], maps, unit, most));
  }
  function makeTile() {
    const tile = make("button", { type: "button", class: "tile", on: { click: () => app.set({ unit: Number(tile.dataset.unit) }) } },
      make("span", { class: "stage" }, make("canvas", { class: "crisp" })),
      make("span", { class: "caption" }, make("b"), make("span", { class: "value" })));
    return make("li", {}, tile);
  }
  function fillTile(item, maps, unit, most) {
    const [tile] = item.children;
    tile.dataset.unit = unit;
    tile.setAttribute("aria-pressed", String(unit === app.state.unit));
    drawMap(tile.querySelector("canvas"), maps, unit, most);
    tile.querySelector("b").textContent = app.layer.names[unit] || String(unit);
    tile.querySelector(".value").textContent = showNumber(maps.values[unit]);
    tile.title = `${app.layer.name} ${nameUnit(app.layer, unit)}`;
  }

  async function freezeFrame() {
    if (!frame) return;
    const { file, maps, layer } = frame;
    endCamera();
    await take([new File([file], "camera.jpg", { type: "image/jpeg" })]);
    // a unit that is silent on it has nothing to show
    if (layer === app.state.layer && !maps.values[app.state.unit]) app.set({ unit: strongestUnit(maps) });
    app.say(told.textContent);
  }
  app.addKey("f", "freeze the camera's picture", () => { if (!stream) return false; freezeFrame(); return true; });
});
