"use strict";

// The list of keys, and the keys that belong to no pane.
vizcnnExplorer.register((app) => {
  const { make, makeId } = vizcnnExplorer;
  const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", " ": "Space" };
  const title = makeId("keys");
  const list = make("dl");
  const dialog = make("dialog", { class: "keys", aria_labelledby: title },
    make("h2", { id: title, text: "Keys" }), list,
    make("form", { method: "dialog" }, make("button", { class: "tool", text: "Close" })));
  app.root.append(dialog);

  function showKeys() {
    list.replaceChildren(...app.keys.map(({ keys, label }) => make("div", {},
      make("dt", {}, ...keys.map((key) => make("kbd", { text: SHOWN[key] ?? key }))), make("dd", { text: label }))));
    dialog.showModal();
  }
  app.addTool(make("button", { type: "button", class: "tool", text: "Keys", aria_haspopup: "dialog", on: { click: showKeys } }));
  app.addKey("?", "this list", showKeys);
});
