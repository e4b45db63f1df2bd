"use strict";

// A state as a link's fragment and back: #zfnet/conv5/37@photo3:5,2&method=own
(() => {
  // what names may hold and links too; "/", "@", ":" and "&" part a link
  const encode = (text) => encodeURIComponent(text).replace(/%20/g, "+");
  const decode = (text) => decodeURIComponent(text.replace(/\+/g, "%20"));

  const CORE = ["net", "photo", "layer", "unit", "place", "method"];

  // "own" is short for the own part of the first method
  const shortenMethod = (key, methods) => key === `${methods[0].key}-own` ? "own" : key;
  const lengthenMethod = (name, methods) => name === "own" ? `${methods[0].key}-own` : name;

  function writeLink(state, start) {
    const net = start.nets[state.net];
    const place = state.place ? `:${state.place.join(",")}` : "";
    let link = `#${encode(net.key)}/${encode(net.layers[state.layer].name)}/${state.unit}@${encode(start.photos[state.photo].key)}${place}`;
    if (state.method !== net.methods[0].key) link += `&method=${encode(shortenMethod(state.method, net.methods))}`;
    for (const [name, value] of Object.entries(state)) {
      if (!CORE.includes(name) && value) link += `&${encode(name)}=${encode(String(value))}`;
    }
    return link;
  }

  // What a fragment says and this page has; the rest is left out, so an old link still opens.
  function readLink(fragment, start) {
    const state = {};
    const [path, ...options] = fragment.replace(/^#/, "").split("&");
    try {
      const [unit, where] = path.split("@");
      const [net, layer, number] = (unit ?? "").split("/");
      const index = (list, test) => { const found = list.findIndex(test); return found < 0 ? undefined : found; };
      state.net = index(start.nets, (one) => one.key === decode(net ?? ""));
      if (state.net !== undefined) state.layer = index(start.nets[state.net].layers, (one) => one.name === decode(layer ?? ""));
      if (/^\d+$/.test(number ?? "")) state.unit = Number(number);
      if (where !== undefined) {
        const [photo, place] = where.split(":");
        state.photo = index(start.photos, (one) => one.key === decode(photo));
        state.place = /^\d+,\d+$/.test(place ?? "") ? place.split(",").map(Number) : null;
      }
      for (const option of options) {
        const [name, value] = option.split("=").map(decode);
        if (name === "method") state.method = lengthenMethod(value ?? "", start.nets[state.net ?? 0].methods);
        else if (name && !CORE.includes(name)) state[name] = value ?? "";
      }
    } catch { /* a link cut in the middle of a letter: what was read of it counts */ }
    return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== undefined));
  }

  Object.assign(vizcnnExplorer, { writeLink, readLink });
})();
