"use strict";

// The frame: a bar, three panes side by side (photo, net, unit), and what parts add below them. Panes
// that no part fills stay hidden. A part's pane has a place here and nowhere else.
(() => {
  const { make, makeId } = vizcnnExplorer;

  const PANES = {
    photo: ["photo", "camera", "fires", "classes", "hide"], // left: the photo; drop, paste, camera; grey square
    net: ["net", "elsewhere"], // middle: layers and feature maps; the other layers at the place
    unit: ["unit", "save", "facts"], // right: the unit; copy and save; filter, field, top-9
  };
  const TITLES = { photo: "The photo", net: "The net", unit: "The unit" };

  function layOut(app) {
    const pane = (name, settings = {}) => {
      const element = make("div", { class: `pane-${name}`, data: { pane: name }, hidden: true, ...settings });
      app.panes.set(name, element);
      return element;
    };
    const columns = Object.entries(PANES).map(([name, panes]) => {
      const title = makeId(name);
      const heading = make("h2", { id: title, class: "column-title", text: TITLES[name] });
      const section = make("section", { class: `column column-${name}`, aria_labelledby: title }, heading, ...panes.map((one) => pane(one)));
      return { section, name };
    });
    const bar = make("div", { class: "bar" }, pane("choices"), pane("tools", { hidden: false }));
    const notes = make("ul", { class: "notes" }, ...(app.start.notes ?? []).map((text) => make("li", { text })));
    const frame = make("div", { class: "frame" },
      bar,
      make("div", { class: "columns" }, ...columns.map(({ section }) => section)),
      pane("pins"), // below: two states, flicker, difference
      notes,
      // on a phone the panes lie below each other
      make("nav", { class: "jump", aria_label: "Panes" }, ...columns.map(({ section, name }) =>
        make("button", { type: "button", class: "tool", text: name, on: { click: () => section.scrollIntoView() } }))),
      pane("said", { hidden: false, class: "hidden", role: "status", aria_live: "polite" }),
    );
    // nothing is shown before there is something in it: else it would jump
    app.root.classList.add("opening");
    app.root.replaceChildren(frame);
    if (app.links) keepInSight(columns.map(({ section }) => section));
    app.root.tabIndex = -1; // a click beside everything keeps the keys here
    app.root.addEventListener("keydown", (event) => app.pressKey(event));
  }

  // What is said of a unit may be long: photo and net stay in sight beside it, a taller one by its end.
  function keepInSight(sections) {
    const place = () => { for (const section of sections) section.style.top = `${Math.min(0, innerHeight - section.offsetHeight)}px`; };
    const watcher = new ResizeObserver(place);
    for (const section of sections) watcher.observe(section);
    addEventListener("resize", place);
  }

  Object.assign(vizcnnExplorer, { layOut });
})();
