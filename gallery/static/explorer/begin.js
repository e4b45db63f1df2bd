"use strict";

// The first state: what the link says, and for the rest the deepest layer that has maps and its
// strongest unit on the first photo. The maps are there before anything is shown.
(() => {
  async function begin(app, linked) {
    const state = { net: 0, photo: 0, ...linked };
    const { layers } = app.start.nets[state.net];
    if (state.layer === undefined) {
      const last = layers.findLastIndex((layer) => layer.rows.length);
      state.layer = last < 0 ? layers.length - 1 : last;
    }
    const maps = await app.mapsOf({ net: state.net, photo: state.photo, layer: state.layer }, "maps");
    if (state.unit === undefined && !maps.error) state.unit = vizcnnExplorer.strongestUnit(maps);
    return { unit: 0, place: null, ...state };
  }

  Object.assign(vizcnnExplorer, { begin });
})();
