"use strict";

// Pictures as numbers: decoded, laid one over the other, subtracted.
//
// A picture's bytes are grey levels of values: mid grey is 0, white is its limit, black minus that.
(() => {
  const MIDDLE = 127.5;

  function makeCanvas(width, height) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    return canvas;
  }

  async function decodePicture(bytes) {
    const bitmap = await createImageBitmap(new Blob([bytes]));
    const canvas = makeCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    return canvas;
  }

  // Where two pictures lie over each other, in pixels of the larger of the two inputs.
  //   picture = { box: [top, left, bottom, right], input: [height, width], photo: key }
  // On one photo each stays where it is; of different photos, and where the windows have nothing in
  // common, the middles come together.
  function findFrame(a, b) {
    const side = Math.max(...a.input, ...b.input);
    const pair = [a, b].map(({ box, input }) => {
      const scale = side / Math.max(...input);
      return { scale, box: box.map((edge) => edge * scale) };
    });
    const overlap = [0, 1].every((axis) => pair[0].box[axis] < pair[1].box[axis + 2] && pair[1].box[axis] < pair[0].box[axis + 2]);
    const together = a.photo === b.photo && overlap;
    if (!together) {
      for (const one of pair) {
        const [top, left, bottom, right] = one.box;
        one.box = [(top - bottom) / 2, (left - right) / 2, (bottom - top) / 2, (right - left) / 2];
      }
    }
    const edge = (index, choose) => choose(...pair.map(({ box }) => box[index]));
    const [top, left] = [Math.floor(edge(0, Math.min)), Math.floor(edge(1, Math.min))];
    const [bottom, right] = [Math.ceil(edge(2, Math.max)), Math.ceil(edge(3, Math.max))];
    const same = together && pair.every(({ box }) => box.every((value, index) => value === pair[0].box[index]));
    const words = [
      same ? "Both windows cover the same pixels."
        : together ? "Each window lies where it is in the photo; around it is mid grey."
          : `${a.photo === b.photo ? "The windows lie apart in the photo; here their middles" : "The middles of the windows"} lie over each other, and around them is mid grey.`,
      ...pair.map(({ scale }, index) => scale === 1 ? "" : `${"AB"[index]} is enlarged ${Number(scale.toFixed(2))} times, to the larger input.`),
    ].filter(Boolean);
    return {
      width: right - left, height: bottom - top, words: words.join(" "),
      at: pair.map(({ box }) => ({ x: box[1] - left, y: box[0] - top, width: box[3] - box[1], height: box[2] - box[0] })),
    };
  }

  // Two canvases of one size, each with a picture in its place.
  function layOver(a, b) {
    const frame = findFrame(a, b);
    const canvases = [a, b].map(({ canvas }, index) => {
      const laid = makeCanvas(frame.width, frame.height);
      const pen = laid.getContext("2d", { willReadFrequently: true });
      const { x, y, width, height } = frame.at[index];
      pen.fillStyle = "#808080";
      pen.fillRect(0, 0, frame.width, frame.height);
      // a window that lies between pixels goes to the nearest ones
      pen.drawImage(canvas, Math.round(x), Math.round(y), Math.round(width), Math.round(height));
      return laid;
    });
    return { canvases, words: frame.words };
  }

  // Signed values of a canvas as shares of its limit: three a pixel, -1 to 1.
  function readValues(canvas) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const values = new Float32Array(data.length / 4 * 3);
    for (let pixel = 0, index = 0; pixel < data.length; pixel += 4) {
      for (let colour = 0; colour < 3; colour++) {
        const level = data[pixel + colour];
        // a level on either side of the middle is the nearest that bytes have to zero
        values[index++] = Math.abs(level - MIDDLE) < 1 ? 0 : (level - MIDDLE) / MIDDLE;
      }
    }
    return values;
  }

  // The same picture as shares of a larger limit, for two on one scale.
  function dim(canvas, factor) {
    if (factor === 1) return canvas;
    const pen = canvas.getContext("2d");
    const image = pen.getImageData(0, 0, canvas.width, canvas.height);
    readValues(canvas).forEach((value, index) => {
      image.data[Math.floor(index / 3) * 4 + index % 3] = Math.round(MIDDLE + MIDDLE * value * factor);
    });
    pen.putImageData(image, 0, 0);
    return canvas;
  }

  // A minus B: a picture whose white is its largest difference, and what the two have in common.
  function subtract(a, b) {
    const [left, right] = [readValues(a), readValues(b)];
    let [product, first, second, limit] = [0, 0, 0, 0];
    const differences = left.map((value, index) => {
      const [one, other] = [value, right[index]];
      product += one * other;
      first += one * one;
      second += other * other;
      limit = Math.max(limit, Math.abs(one - other));
      return one - other;
    });
    const canvas = makeCanvas(a.width, a.height);
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(a.width, a.height);
    for (let pixel = 0, index = 0; pixel < image.data.length; pixel += 4) {
      for (let colour = 0; colour < 3; colour++) image.data[pixel + colour] = Math.round(MIDDLE + MIDDLE * (limit ? differences[index++] / limit : 0));
      image.data[pixel + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
    const cosine = first && second ? product / Math.sqrt(first * second) : null;
    return { canvas, limit, cosine };
  }

  Object.assign(vizcnnExplorer, { decodePicture, findFrame, layOver, dim, subtract });
})();
