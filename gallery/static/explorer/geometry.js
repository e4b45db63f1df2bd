"use strict";

// Places of a layer and pixels of the photo. A layer of `start` has, for each row and column of its
// maps, where the receptive fields begin and end inside the photo; one without maps sees all of it.
(() => {
  function boxOf(layer, place, input) {
    if (!place || !layer.rows.length) return [0, 0, ...input];
    const [top, bottom] = layer.rows[place[0]];
    const [left, right] = layer.columns[place[1]];
    return [top, left, bottom, right];
  }

  // Middles of the uncut fields: one cut at one edge only has its other edge and its size; the fields
  // of a layer lie evenly, so the rest follow from these.
  function middles(spans, size, length) {
    const known = [];
    spans.forEach(([start, stop], index) => {
      if (start > 0) known.push([index, start + size / 2]);
      else if (stop < length) known.push([index, stop - size / 2]);
    });
    const even = (index) => (index + 0.5) * length / spans.length;
    if (known.length < 2) return spans.map((_, index) => even(index));
    const [first, last] = [known[0], known[known.length - 1]];
    const step = (last[1] - first[1]) / (last[0] - first[0]);
    const exact = new Map(known);
    return spans.map((_, index) => exact.get(index) ?? first[1] + step * (index - first[0]));
  }

  const found = new WeakMap(); // layer -> middles of its rows and columns
  function middlesOf(layer, input) {
    if (!found.has(layer)) {
      found.set(layer, [middles(layer.rows, layer.field[0], input[0]), middles(layer.columns, layer.field[1], input[1])]);
    }
    return found.get(layer);
  }

  function nearest(values, wanted) {
    let best = 0;
    values.forEach((value, index) => { if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = index; });
    return best;
  }

  // The place whose field lies around a point of the photo, [y, x] in pixels; null where there are none.
  function placeAt(layer, point, input) {
    if (!layer.rows.length) return null;
    const [rows, columns] = middlesOf(layer, input);
    return [nearest(rows, point[0]), nearest(columns, point[1])];
  }
  function pointOf(layer, place, input) {
    if (!place || !layer.rows.length) return null;
    const [rows, columns] = middlesOf(layer, input);
    return [rows[place[0]], columns[place[1]]];
  }

  // Lays an element over a box of pixels of what it lies on, whatever size that is shown at.
  function frameBox(element, [top, left, bottom, right], [height, width]) {
    element.style.top = `${100 * top / height}%`;
    element.style.left = `${100 * left / width}%`;
    element.style.width = `${100 * (right - left) / width}%`;
    element.style.height = `${100 * (bottom - top) / height}%`;
  }

  const describeBox = ([top, left, bottom, right]) =>
    `${bottom - top} × ${right - left} px: rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1}`;

  Object.assign(vizcnnExplorer, { boxOf, placeAt, pointOf, frameBox, describeBox });
})();
