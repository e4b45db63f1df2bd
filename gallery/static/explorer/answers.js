"use strict";

// What an answer's bytes hold: arrays and pictures.
(() => {
  // From a file or a reply: the length of the JSON in four bytes, little end first, the JSON, and
  // what it points into.
  function unpack(buffer) {
    const end = 4 + new DataView(buffer).getUint32(0, true);
    const fields = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, end - 4)));
    return { fields, bytes: new Uint8Array(buffer, end) };
  }

  const ARRAYS = { u1: Uint8Array, u2: Uint16Array, f4: Float32Array };

  // read(answer, [offset, length], kind): kind is u1, u2 or f4 for an array, or bytes
  function read(answer, place, kind) {
    const [offset, length] = place;
    const { buffer, byteOffset } = answer.bytes;
    if (kind === "bytes") return new Uint8Array(buffer, byteOffset + offset, length);
    const Numbers = ARRAYS[kind];
    // a reply's content need not begin where numbers may
    if ((byteOffset + offset) % Numbers.BYTES_PER_ELEMENT) return new Numbers(buffer.slice(byteOffset + offset, byteOffset + offset + length));
    return new Numbers(buffer, byteOffset + offset, length / Numbers.BYTES_PER_ELEMENT);
  }

  const latest = new WeakMap(); // canvas -> the bytes that it is to show

  // Pictures come as bytes, never from addresses: those of files would lock the canvas.
  async function drawPicture(canvas, bytes) {
    latest.set(canvas, bytes);
    const bitmap = await createImageBitmap(new Blob([bytes]));
    if (latest.get(canvas) !== bytes) return false; // another one was asked for meanwhile
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    return true;
  }

  // Answers that were given lately, at most so many bytes of them.
  function makeMemory(budget) {
    const kept = new Map();
    let size = 0;
    return {
      get(key) {
        const answer = kept.get(key);
        if (answer) { kept.delete(key); kept.set(key, answer); }
        return answer;
      },
      put(key, answer) {
        size += answer.bytes.length - (kept.get(key)?.bytes.length ?? 0);
        kept.delete(key);
        kept.set(key, answer);
        for (const [oldest, { bytes }] of kept) {
          if (size <= budget || oldest === key) break;
          kept.delete(oldest);
          size -= bytes.length;
        }
      },
    };
  }

  Object.assign(vizcnnExplorer, { unpack, read, drawPicture, makeMemory });
})();
