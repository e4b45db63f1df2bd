"use strict";

// The feature maps of a layer on a photo, read out of an answer to `maps`, and drawn.
(() => {
  const { read } = vizcnnExplorer;
  const parsed = new WeakMap(); // answer -> its maps

  function readMaps(answer) {
    if (!parsed.has(answer)) {
      const { fields } = answer;
      const [height, width] = fields.size.length ? fields.size : [1, 1];
      const here = fields.here && {
        count: fields.here.count,
        units: read(answer, fields.here.units, "u2"),
        values: read(answer, fields.here.values, "f4"),
      };
      parsed.set(answer, {
        units: fields.units, height, width, here,
        bytes: read(answer, fields.bytes, "u1"),
        lows: read(answer, fields.lows, "f4"),
        highs: read(answer, fields.highs, "f4"),
        places: read(answer, fields.places, "u2"),
        values: read(answer, fields.values, "f4"),
      });
    }
    return parsed.get(answer);
  }

  // Units by their largest value on the photo, the strongest first, of equal ones the lower.
  const strongestUnits = (maps, count) =>
    [...maps.values.keys()].sort((a, b) => maps.values[b] - maps.values[a] || a - b).slice(0, count);
  const strongestUnit = (maps) => maps.values.indexOf(Math.max(...maps.values));
  const strongestPlace = (maps, unit) => [maps.places[2 * unit], maps.places[2 * unit + 1]];

  // A unit's value at a place: exact at its strongest and among the strongest units of a place, else
  // as near as a byte tells.
  function valueAt(maps, unit, place) {
    const [row, column] = place ?? [0, 0];
    const [bestRow, bestColumn] = strongestPlace(maps, unit);
    if (row === bestRow && column === bestColumn) return { value: maps.values[unit], exact: true };
    const index = row * maps.width + column;
    if (maps.here) {
      const from = index * maps.here.count;
      const rank = maps.here.units.subarray(from, from + maps.here.count).indexOf(unit);
      if (rank >= 0) return { value: maps.here.values[from + rank], exact: true };
    }
    const share = maps.bytes[unit * maps.height * maps.width + index] / 255;
    return { value: maps.lows[unit] + share * (maps.highs[unit] - maps.lows[unit]), exact: false };
  }

  // The strongest units at a place, strongest first; where there is no place, of the whole layer.
  function strongestAt(maps, place, most) {
    const [row, column] = place ?? [0, 0];
    if (!maps.here) return [];
    const from = (row * maps.width + column) * maps.here.count;
    const count = Math.min(maps.here.count, maps.units, most);
    return Array.from({ length: count }, (_, rank) => ({ unit: maps.here.units[from + rank], value: maps.here.values[from + rank] }));
  }

  // Colours of values: black is zero; magma's way up, blue below. Each is told apart in grey, too.
  const UP = [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191]];
  const DOWN = [[0, 0, 4], [10, 32, 70], [18, 70, 128], [40, 120, 178], [96, 176, 220], [190, 230, 255]];
  function ramp(stops, share) {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const index = Math.min(Math.floor(at), stops.length - 2);
    return stops[index].map((from, channel) => Math.round(from + (at - index) * (stops[index + 1][channel] - from)));
  }
  const pack = ([red, green, blue]) => (255 << 24 | blue << 16 | green << 8 | red) >>> 0; // typed arrays of all our browsers: little end first
  const UPS = Uint32Array.from({ length: 256 }, (_, index) => pack(ramp(UP, index / 255)));
  const DOWNS = Uint32Array.from({ length: 256 }, (_, index) => pack(ramp(DOWN, index / 255)));

  // A table from a unit's bytes to colours, where `most` is the value that is brightest.
  const table = new Uint32Array(256);
  function fillTable(low, high, most) {
    const span = (high - low) / 255;
    for (let byte = 0; byte < 256; byte++) {
      const share = most > 0 ? (low + byte * span) / most : 0;
      table[byte] = share < 0 ? DOWNS[Math.min(255, Math.round(-share * 255))] : UPS[Math.min(255, Math.round(share * 255))];
    }
    return table;
  }
  const ownMost = (maps, unit) => Math.max(maps.highs[unit], -maps.lows[unit]);
  // single values, each of which would be its own brightest
  const isSingle = (maps) => maps.height * maps.width === 1;
  const layerMost = (maps) => { let most = 0; for (let unit = 0; unit < maps.units; unit++) most = Math.max(most, ownMost(maps, unit)); return most; };

  // One unit's map on a canvas of its size.
  function drawMap(canvas, maps, unit, most = ownMost(maps, unit)) {
    const { height, width } = maps;
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = fillTable(maps.lows[unit], maps.highs[unit], most);
    const from = unit * height * width;
    for (let index = 0; index < height * width; index++) pixels[index] = colours[maps.bytes[from + index]];
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // All units' maps beside each other on a canvas of their own, a sheet to draw mosaics from; larger
  // maps are thinned to so many pixels a side, which is all that a mosaic shows.
  const SHEET_SIDE = 64;
  function drawSheet(maps, most = null) {
    const { height, width, units } = maps;
    const step = Math.max(1, Math.ceil(Math.max(height, width) / SHEET_SIDE));
    const [tall, wide] = [Math.ceil(height / step), Math.ceil(width / step)];
    const columns = Math.ceil(Math.sqrt(units * tall / wide));
    const rows = Math.ceil(units / columns);
    const canvas = document.createElement("canvas");
    canvas.width = columns * wide;
    canvas.height = rows * tall;
    const image = new ImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let unit = 0; unit < units; unit++) {
      const colours = fillTable(maps.lows[unit], maps.highs[unit], most ?? ownMost(maps, unit));
      const from = unit * height * width;
      const corner = Math.floor(unit / columns) * tall * canvas.width + (unit % columns) * wide;
      const upward = maps.highs[unit] >= -maps.lows[unit];
      for (let row = 0; row < tall; row++) {
        for (let column = 0; column < wide; column++) {
          let byte = maps.bytes[from + row * step * width + column * step];
          // of the values that one pixel stands for the strongest is shown, else small peaks vanish
          for (let y = row * step; step > 1 && y < Math.min(row * step + step, height); y++) {
            for (let x = column * step; x < Math.min(column * step + step, width); x++) {
              const other = maps.bytes[from + y * width + x];
              if (upward ? other > byte : other < byte) byte = other;
            }
          }
          pixels[corner + row * canvas.width + column] = colours[byte];
        }
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return { canvas, columns, tall, wide };
  }

  // A bar of the colours, from the lowest to the highest.
  function drawScale(canvas, signed) {
    canvas.width = 256;
    canvas.height = 1;
    const image = new ImageData(256, 1);
    const pixels = new Uint32Array(image.data.buffer);
    for (let x = 0; x < 256; x++) pixels[x] = !signed ? UPS[x] : x < 128 ? DOWNS[255 - 2 * x] : UPS[2 * (x - 128)];
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  Object.assign(vizcnnExplorer, { readMaps, strongestUnits, strongestUnit, strongestPlace, valueAt, strongestAt, drawMap, drawSheet, drawScale, layerMost, isSingle });
})();
