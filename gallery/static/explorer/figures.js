"use strict";

// Figures for slides and papers: pictures side by side over lines that say what they are; as PNG, and
// as SVG whose pictures keep their pixels and whose text stays text.
//
//   figure = { panels: [{ title, image: canvas, box?: [top, left, bottom, right] }], lines: [text] }
(() => {
  const PANEL = 512, GAP = 24, MARGIN = 24; // pixels
  const TITLE = { size: 20, bold: true }, TEXT = { size: 16, bold: false };
  const LEADING = 1.45;
  const FAMILY = "Helvetica, Arial, sans-serif";
  const INK = "#1a1c1f", PAPER = "#ffffff", STAGE = "#808080", MARK = "#ffb000";

  let ruler = null; // a canvas that measures text
  const fontOf = ({ size, bold }) => `${bold ? "bold " : ""}${size}px ${FAMILY}`;
  function measure(text, style) {
    ruler ??= document.createElement("canvas").getContext("2d");
    ruler.font = fontOf(style);
    return ruler.measureText(text).width;
  }

  // Breaks a line at spaces, and where there are none, anywhere: paths and commands are long.
  function wrap(text, style, width) {
    const lines = [];
    let line = "";
    for (const word of text.split(" ")) {
      const longer = line ? `${line} ${word}` : word;
      if (measure(longer, style) <= width) { line = longer; continue; }
      if (line) lines.push(line);
      line = word;
      while (measure(line, style) > width && line.length > 1) {
        let count = line.length;
        while (count > 1 && measure(line.slice(0, count), style) > width) count--;
        lines.push(line.slice(0, count));
        line = line.slice(count);
      }
    }
    return [...lines, line];
  }

  // Where everything goes; both writers follow it. Pictures are enlarged by whole pixels.
  function lay({ panels, lines }) {
    const width = Math.max(panels.length, 2) * (PANEL + GAP) - GAP + 2 * MARGIN;
    const inner = width - 2 * MARGIN;
    const titles = panels.map(({ title }) => wrap(title, TITLE, PANEL));
    const tall = Math.max(...titles.map((some) => some.length)) * TITLE.size * LEADING;
    const top = MARGIN + tall + 8;
    const texts = [];
    titles.forEach((some, index) => some.forEach((text, row) => texts.push({
      text, ...TITLE, x: MARGIN + index * (PANEL + GAP), y: MARGIN + TITLE.size * (1 + row * LEADING) })));
    let y = top + PANEL + 12;
    for (const text of lines.flatMap((line) => wrap(line, TEXT, inner))) {
      y += TEXT.size * LEADING;
      texts.push({ text, ...TEXT, x: MARGIN, y: Math.round(y) });
    }
    const places = panels.map(({ image, box }, index) => {
      const longer = Math.max(image.width, image.height);
      const scale = longer > PANEL ? PANEL / longer : Math.floor(PANEL / longer);
      const [w, h] = [image.width * scale, image.height * scale];
      const stage = { x: MARGIN + index * (PANEL + GAP), y: top, width: PANEL, height: PANEL };
      const at = { x: stage.x + Math.round((PANEL - w) / 2), y: stage.y + Math.round((PANEL - h) / 2), width: w, height: h };
      const mark = box && { x: at.x + box[1] * scale, y: at.y + box[0] * scale, width: (box[3] - box[1]) * scale, height: (box[2] - box[0]) * scale };
      return { image, stage, at, mark };
    });
    return { width, height: Math.round(y + MARGIN), places, texts };
  }

  function drawFigure(figure) {
    const { width, height, places, texts } = lay(figure);
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.fillStyle = PAPER;
    pen.fillRect(0, 0, width, height);
    pen.imageSmoothingEnabled = false;
    for (const { image, stage, at, mark } of places) {
      pen.fillStyle = STAGE;
      pen.fillRect(stage.x, stage.y, stage.width, stage.height);
      pen.drawImage(image, at.x, at.y, at.width, at.height);
      if (!mark) continue;
      // black beside it, so that it shows on photos of its own colour
      for (const [colour, line] of [["#000000", 5], [MARK, 3]]) {
        Object.assign(pen, { strokeStyle: colour, lineWidth: line });
        pen.strokeRect(mark.x, mark.y, mark.width, mark.height);
      }
    }
    pen.fillStyle = INK;
    for (const { text, x, y, ...style } of texts) {
      pen.font = fontOf(style);
      pen.fillText(text, x, y);
    }
    return canvas;
  }

  const SVG = "http://www.w3.org/2000/svg";
  function makeSvg(tag, settings, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(settings)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function writeSvg(figure) {
    const { width, height, places, texts } = lay(figure);
    const rectangle = ({ x, y, width, height }, settings) => makeSvg("rect", { x, y, width, height, ...settings });
    const root = makeSvg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FAMILY, fill: INK },
      makeSvg("title", {}, figure.panels.map(({ title }) => title).join(" · ")),
      makeSvg("desc", {}, figure.lines.join("\n")),
      rectangle({ x: 0, y: 0, width, height }, { fill: PAPER }));
    for (const { image, stage, at, mark } of places) {
      root.append(rectangle(stage, { fill: STAGE }));
      // pixels stay pixels: the first is what most programs know, the second what others do
      root.append(makeSvg("image", { ...at, href: image.toDataURL("image/png"), style: "image-rendering: pixelated; image-rendering: -moz-crisp-edges" }));
      for (const [colour, line] of mark ? [["#000000", 5], [MARK, 3]] : []) root.append(rectangle(mark, { fill: "none", stroke: colour, "stroke-width": line }));
    }
    for (const { text, size, bold, x, y } of texts) root.append(makeSvg("text", { x, y, "font-size": size, ...(bold ? { "font-weight": "bold" } : {}) }, text));
    return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(root)}\n`;
  }

  async function encodeFigure(figure, kind) {
    if (kind === "svg") return new Blob([writeSvg(figure)], { type: "image/svg+xml" });
    const canvas = drawFigure(figure);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  // Gives the user a file: by a link that is there for a moment only.
  function saveFile(root, blob, name) {
    const address = URL.createObjectURL(blob);
    const link = vizcnnExplorer.make("a", { href: address, download: name, hidden: true });
    root.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  // What file systems take everywhere.
  const nameFile = (parts, kind) => `${parts.map((part) => String(part).replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "")).join("_").slice(0, 120)}.${kind}`;

  Object.assign(vizcnnExplorer, { encodeFigure, saveFile, nameFile });
})();
