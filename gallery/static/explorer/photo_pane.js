"use strict";

// Left: the photo as the net sees it. Hovering draws the receptive field at the chosen layer, a click
// or the arrow keys choose the place.
vizcnnExplorer.register((app) => {
  const { make, boxOf, placeAt, frameBox, describeBox, sayRefusal, keepCrisp, clamp } = vizcnnExplorer;

  const canvas = make("canvas", { class: "seen", role: "img" });
  const chosen = make("div", { class: "box", hidden: true });
  const hovered = make("div", { class: "box hovered", hidden: true });
  const stage = make("div", {
    class: "stage photo-stage", tabindex: "0", role: "application", aria_roledescription: "photo",
    on: { pointermove: hover, pointerleave: () => showHover(null), click: choose },
  }, canvas, hovered, chosen);
  const refusal = make("p", { class: "refusal", role: "status", hidden: true });
  const told = make("p", { class: "told", text: "\u00a0" });
  const strip = make("ul", { class: "thumbs", aria_label: "Photos" });

  app.addPane("photo", (pane) => {
    app.photoStage = stage; // parts that draw on the photo add to it; sizes in % of the stage
    pane.append(stage, refusal, told, strip);
  });

  function pointUnder(event) {
    const area = canvas.getBoundingClientRect();
    const [height, width] = app.net.input;
    return [
      clamp((event.clientY - area.top) / area.height, 0, 1) * height,
      clamp((event.clientX - area.left) / area.width, 0, 1) * width,
    ];
  }
  function hover(event) {
    if (event.pointerType !== "touch") showHover(placeAt(app.layer, pointUnder(event), app.net.input));
  }
  function showHover(place) {
    hovered.hidden = !place;
    if (place) frameBox(hovered, boxOf(app.layer, place, app.net.input), app.net.input);
    tell(place ?? app.shownPlace());
  }
  function choose(event) {
    if (event.defaultPrevented) return; // something that lies on the photo was meant
    const point = pointUnder(event);
    const place = placeAt(app.layer, point, app.net.input);
    app.set({ place });
    app.point = point; // another layer has its place around the very point
    sayPlace();
  }
  function tell(place) {
    const { name } = app.layer;
    const box = boxOf(app.layer, place, app.net.input);
    told.textContent = place && app.layer.rows.length
      ? `${name}, row ${place[0]}, column ${place[1]} sees ${app.layer.exact === false ? "at most " : ""}${describeBox(box)}`
      : `A unit of ${name} sees the whole photo`;
  }
  function sayPlace() { app.say(told.textContent); }

  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  app.addKey(Object.keys(STEPS), "move the place; in the mosaic, the unit", (event) => {
    if (!app.layer.rows.length) return false;
    const [row, column] = app.shownPlace();
    const [down, right] = STEPS[event.key];
    const { rows, columns } = app.layer;
    app.set({ place: [clamp(row + down, 0, rows.length - 1), clamp(column + right, 0, columns.length - 1)] });
    sayPlace();
    return true;
  });
  app.addKey(["m", "Escape"], "the unit's strongest place", () => {
    app.set({ place: null });
    sayPlace();
  });
  const stepPhoto = (step) => app.set({ photo: (app.state.photo + step + app.start.photos.length) % app.start.photos.length, place: app.state.place });
  app.addKey(["p", "P"], "the next photo, the one before", (event) => stepPhoto(event.key === "p" ? 1 : -1));

  async function showPhoto() {
    const { net, photo } = app.state;
    const mine = app.current("photo");
    const answer = await app.ask({ ask: "photo", net, photo }, "photo");
    if (!mine()) return;
    const { error, image, name } = answer.fields;
    refusal.hidden = !error;
    refusal.textContent = sayRefusal(answer.fields);
    if (error) return;
    canvas.setAttribute("aria-label", `${name}, as the net sees it`);
    await app.drawPicture(canvas, app.read(answer, image, "bytes"));
    keepCrisp(canvas);
  }

  function showBox() {
    const place = app.shownPlace();
    chosen.hidden = !place && app.layer.rows.length > 0;
    if (!chosen.hidden) frameBox(chosen, boxOf(app.layer, place, app.net.input), app.net.input);
    chosen.classList.toggle("of-strongest", !app.state.place);
    stage.setAttribute("aria-label", `Photo ${app.photo.name}. Arrow keys move the place of ${app.layer.name}.`);
    tell(place);
  }

  // small pictures of the photos that are in sight, drawn one after another once the page has what it
  // was opened for
  const inSight = new Set(); // numbers of photos whose pictures are wanted
  const drawn = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) inSight[isIntersecting ? "add" : "delete"](Number(target.dataset.photo));
    app.idle("thumbs", fillStrip);
  });
  function buildStrip() {
    watcher.disconnect();
    inSight.clear();
    drawn.clear();
    strip.hidden = app.start.photos.length < 2;
    strip.replaceChildren(...app.start.photos.map((photo, index) => make("li", { data: { photo: index } },
      make("button", { type: "button", class: "thumb stage", title: photo.name, aria_label: `Photo ${photo.name}`, on: { click: () => app.set({ photo: index }) } },
        make("canvas")))));
    for (const item of strip.children) watcher.observe(item);
  }
  async function fillStrip() {
    const mine = app.current("thumbs");
    const { net } = app.state;
    for (const index of [...inSight].sort((a, b) => a - b)) {
      if (drawn.has(index)) continue;
      const answer = await app.ask({ ask: "photo", net, photo: index }, "thumbs");
      if (!mine()) return;
      if (answer.fields.error) continue;
      drawn.add(index);
      await app.drawPicture(strip.children[index].querySelector("canvas"), app.read(answer, answer.fields.image, "bytes"));
    }
  }
  function markStrip() {
    [...strip.children].forEach((item, index) => item.firstChild.setAttribute("aria-pressed", String(index === app.state.photo)));
  }

  app.on(({ changed }) => {
    const [height, width] = app.net.input;
    if (changed.has("net")) {
      stage.style.setProperty("--ratio", width / height);
      buildStrip();
    }
    if (changed.has("net") || changed.has("photo")) {
      showPhoto();
      markStrip();
    }
    showHover(null);
    showBox();
  });
  app.onMaps(showBox); // where a unit is strongest, its maps tell
  app.refreshPhotos = () => { buildStrip(); markStrip(); }; // after an upload
});
