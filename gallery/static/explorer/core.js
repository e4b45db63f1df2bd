"use strict";

// The explorer's one global. Every other file adds to it, in the order of explorer_files.py; a page
// loads them as classic scripts, which is all that browsers allow on disk, and a notebook's widget
// joins them to a module. So nothing stands outside of a function but this.
const vizcnnExplorer = {
  parts: [],

  // A part of the page: install(app) is called once for each mounted explorer, when its nets and
  // photos are known. It adds panes, keys and listeners (see app.js).
  register(install) {
    vizcnnExplorer.parts.push(install);
  },
};

(() => {
  // make("button", { class: "tool", text: "Keys", aria_haspopup: "dialog", on: { click } }, ...children):
  // text never becomes markup, and there are no style attributes, which the page's policy refuses.
  function make(tag, settings = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(settings)) {
      if (value === null || value === undefined) continue;
      if (name === "text") element.textContent = value;
      else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      else if (name === "data") Object.assign(element.dataset, value);
      else if (typeof value === "boolean") element.toggleAttribute(name, value);
      else element.setAttribute(name.replaceAll("_", "-"), value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // Identifiers that labels point to: a document may hold several explorers.
  let identifiers = 0;
  const makeId = (name) => `vizcnn-explorer-${name}-${++identifiers}`;

  // Four digits, as the galleries show; what JavaScript has of a float32 is exact.
  function showNumber(value, digits = 4) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    return (size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)))).replace("-", "−");
  }
  const showShare = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;
  // Why there is nothing to show, in a line: of an answer's fields.
  const sayRefusal = ({ error, way_out }) => [error, way_out].filter(Boolean).join(" ");
  // Small pictures keep their pixels' edges.
  const CRISP_BELOW = 48;
  const keepCrisp = (canvas) => canvas.classList.toggle("crisp", Math.max(canvas.width, canvas.height) < CRISP_BELOW);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  Object.assign(vizcnnExplorer, { make, makeId, showNumber, showShare, sayRefusal, keepCrisp, clamp });
})();
