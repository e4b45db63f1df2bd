"use strict";

// The unit's picture as a file, and what repeats it as text: link, command, Python.
vizcnnExplorer.register((app) => {
  const { make, boxOf, sayRefusal, decodePicture, encodeFigure, saveFile, nameFile, findParts, ofPicture, askEvidence, titlePicture, describePicture, writeCommand, writePython } = vizcnnExplorer;

  const told = make("p", { class: "saving-told", role: "status" });
  const shownText = make("textarea", { class: "saving-text", readonly: true, rows: "2", hidden: true, aria_label: "Copied text", spellcheck: "false" });

  function tell(text, copied = "") {
    told.textContent = text;
    shownText.hidden = !copied;
    shownText.value = copied;
  }

  async function putIntoClipboard(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { // refused, or a browser that has it on secure pages only
      shownText.hidden = false;
      shownText.value = text;
      shownText.select();
      try { return document.execCommand("copy"); } catch { return false; }
    }
  }
  async function copy(what, { text, why }) {
    if (!text) { tell(why); return; }
    const focused = document.activeElement;
    const done = await putIntoClipboard(text);
    tell(done ? `${what} copied:` : `${what}, to be copied from here:`, text);
    if (done) focused?.focus?.({ preventScroll: true });
    else shownText.select();
  }

  const linkOf = (shown) => ({ text: `${location.href.replace(/#.*/, "")}${shown}` });
  const copyLink = () => copy("Link", linkOf(app.writeLink()));
  const copyCommand = () => copy("Command", writeCommand(app, ofPicture(app, app.state)));
  const copyPython = () => copy("Python", writePython(app, ofPicture(app, app.state)));

  async function makeFigure(shown) {
    const entry = await askEvidence(app, shown, "save");
    if (entry.error) return entry;
    const { net, photo, layer } = findParts(app, shown);
    const seen = await app.ask({ ask: "photo", net: shown.net, photo: shown.photo }, "save photo");
    const panels = [{ title: titlePicture(app, shown), image: await decodePicture(entry.bytes) }];
    if (!seen.fields.error) {
      const image = await decodePicture(app.read(seen, seen.fields.image, "bytes"));
      const box = entry.place?.length ? entry.box : boxOf(layer, null, net.input);
      panels.unshift({ title: `${photo.name}, as the net sees it`, image, box });
    }
    const { text } = writeCommand(app, shown);
    return { panels, lines: [...describePicture(app, shown, entry), ...(text ? [text] : [])] };
  }

  // Used for the pins as well: figure, or { error }, and the words of the file's name.
  async function save(kind, making, words) {
    const figure = await making;
    if (figure.error) { tell(sayRefusal(figure)); return; }
    const name = nameFile(words, kind);
    saveFile(app.root, await encodeFigure(figure, kind), name);
    tell(`Saved as ${name}.`);
  }
  function savePicture(kind) {
    const shown = ofPicture(app, app.state);
    const { net, layer, photo } = findParts(app, shown);
    return save(kind, makeFigure(shown), [net.key, layer.name, shown.unit, photo.name, shown.method]);
  }
  app.saveFigure = save;

  const button = (text, label, click) => make("button", { type: "button", class: "tool", text, title: label, on: { click } });
  app.addPane("save", (pane) => pane.append(
    make("h3", { text: "Keep and repeat" }),
    make("div", { class: "saving-tools", role: "group", aria_label: "Save the picture" },
      button("PNG", "Save the picture with its caption as PNG", () => savePicture("png")),
      button("SVG", "Save the picture with its caption as SVG", () => savePicture("svg")),
      app.links ? button("Copy link", "Copy a link to what is shown", copyLink) : null,
      button("Copy command", "Copy the command that repeats the picture", copyCommand),
      button("Copy Python", "Copy the lines of Python that repeat the picture", copyPython)),
    told, shownText));
  app.addKey("S", "save the picture as PNG", () => { savePicture("png"); });
  app.addKey("c", "copy the command that repeats the picture", () => { copyCommand(); });
  app.addKey("y", "copy the Python that repeats the picture", () => { copyPython(); });
  if (app.links) app.addKey("l", "copy a link to what is shown", () => { copyLink(); });

  app.on(({ changed }) => { if (changed.size) tell(""); });
});
