"use strict";

// The bar's choices: which net, which method.
vizcnnExplorer.register((app) => {
  const { make } = vizcnnExplorer;
  const heading = make("h1");
  const weights = make("p", { class: "quiet" });
  const nets = make("select", { on: { change: () => app.set({ net: Number(nets.value) }) } });
  const methods = make("select", { on: { change: () => app.set({ method: methods.value }) } });

  app.addPane("choices", (pane) => {
    nets.append(...app.start.nets.map(({ title, key }, index) => make("option", { value: index, text: title === key ? title : `${title} (${key})` })));
    pane.append(heading, weights, make("label", { hidden: app.start.nets.length < 2 }, "Net ", nets), make("label", {}, "Tiles by ", methods));
  });

  app.on(({ changed }) => {
    if (changed.has("net")) {
      heading.textContent = `What ${app.net.title} sees`;
      methods.replaceChildren(...app.net.methods.map(({ key, title }) => make("option", { value: key, text: title })));
      weights.textContent = weights.title = app.net.weights;
      nets.value = app.state.net;
      if (app.links) document.title = `${heading.textContent} – vizcnn`;
    }
    methods.value = app.state.method;
  });
});
