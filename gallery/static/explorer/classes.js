"use strict";

// What the net takes the photo for: the most probable classes as bars. Parts that change the photo
// (the grey square) show other probabilities by app.showProbabilities(numbers -> probability | null).
vizcnnExplorer.register((app) => {
  const { make, showShare } = vizcnnExplorer;
  const SHOWN = 5;
  const list = make("ol", { class: "predictions" });
  const title = make("h3", { text: "What the net takes it for" });
  app.addPane("classes", (pane) => pane.append(title, list));

  let classes = [];
  function show(other = null) {
    const rows = classes.slice(0, SHOWN);
    // rows stay, so that their bars move
    while (list.children.length < rows.length) list.append(make("li", {}, make("span", { class: "name" }), make("span", { class: "share" })));
    while (list.children.length > rows.length) list.lastChild.remove();
    rows.forEach(({ number, name, probability }, index) => {
      const share = other?.get(number) ?? probability;
      const item = list.children[index];
      item.style.setProperty("--share", share);
      item.dataset.class = number;
      item.firstChild.textContent = item.title = name;
      item.lastChild.textContent = other?.has(number) ? `${showShare(probability)} → ${showShare(share)}` : showShare(share);
    });
  }
  app.showProbabilities = show;

  app.on(async ({ changed }) => {
    if (!changed.has("net") && !changed.has("photo")) return;
    const mine = app.current("classes");
    const { net, photo } = app.state;
    const answer = await app.ask({ ask: "photo", net, photo }, "photo");
    if (!mine()) return;
    classes = answer.fields.classes ?? [];
    app.panes.get("classes").hidden = !classes.length;
    show();
  });
  // room for them from the beginning, where the net has classes
  if (app.start.nets.some((net) => net.classes)) list.append(...Array.from({ length: SHOWN }, () => make("li", {}, make("span", { class: "name", text: "\u00a0" }), make("span", { class: "share" }))));
  else app.panes.get("classes").hidden = true;
});
