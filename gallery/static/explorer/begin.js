"use strict";

// The first state: what the link says, and for the rest the deepest layer that has maps and its
// strongest unit on the first photo.
(() => {
  async function begin(app, linked) {
    const state = { net: 0, photo: 0, ...linked };
    const { layers } = app.start.nets[state.net];
    if (state.layer === undefined) {
      const last = layers.findLastIndex((layer) => layer.rows.length);
      state.layer = last < 0 ? layers.length - 1 : last;
    }
    if (state.unit === undefined) {
      const maps = await app.ask({ ask: "maps", net: state.net, photo: state.photo, layer: state.layer });
      if (!maps.fields.error) {
        const values = app.read(maps, maps.fields.values, "f4");
        state.unit = values.indexOf(Math.max(...values));
      }
    }
    return { unit: 0, place: null, ...state };
  }

  Object.assign(vizcnnExplorer, { begin });
})();
