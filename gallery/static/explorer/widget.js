"use strict";

// The explorer in a notebook: its questions and its state go through anywidget's model, which
// Jupyter, VS Code, Colab and marimo have alike. The other files joined before it, it ends the module
// (explorer_files.py).
const vizcnnWidget = (() => {
  const { make, mount, refuse, refuseSize } = vizcnnExplorer;
  const PATIENCE = 3000; // milliseconds
  const BUSY = "The notebook's kernel has not answered yet. It may be running another cell; if it was restarted, run this cell again.";

  // Questions as messages { id, question }, answers as { id, fields } and a buffer. A kernel answers
  // one after another whatever comes, so one is sent at a time: of those that wait for the same
  // purpose only the newest is wanted.
  function makeModelSource(model, tellSlow) {
    const self = crypto.getRandomValues(new Uint32Array(2)).join("-"); // answers go to all views
    const waiting = []; // { message, buffers, purpose, finish }
    let sent = null;
    let count = 0;
    let timer = 0;

    function sendNext() {
      sent = waiting.shift() ?? null;
      if (!sent) return;
      timer = setTimeout(tellSlow, PATIENCE, true);
      sent.message.id = `${self}-${++count}`;
      model.send(sent.message, undefined, sent.buffers);
    }
    function receive({ id, fields }, buffers) {
      if (id !== sent?.message.id) return;
      clearTimeout(timer);
      tellSlow(false);
      const { finish } = sent;
      sendNext();
      finish({ fields, bytes: copy(buffers?.[0]) });
    }
    function send(message, purpose, buffers = []) {
      return new Promise((finish) => {
        const task = { message, buffers, purpose, finish };
        const former = purpose ? waiting.findIndex((one) => one.purpose === purpose) : -1;
        if (former < 0) waiting.push(task);
        else waiting.splice(former, 1, task)[0].finish(supersede());
        if (!sent) sendNext();
      });
    }
    async function sendFile(message, purpose, file) {
      return refuseSize(file) ?? send(message, purpose, [await file.arrayBuffer()]);
    }
    model.on("msg:custom", receive);
    return {
      live: true,
      ask: (question, purpose) => send({ question }, purpose),
      upload: (file) => sendFile({ photo: { name: file.name || "photo" } }, undefined, file),
      frame: (question, file) => sendFile({ question }, "camera", file),
      close: () => { clearTimeout(timer); model.off("msg:custom", receive); },
    };
  }

  function supersede() {
    const answer = refuse("A newer question took its place.");
    return { ...answer, fields: { ...answer.fields, superseded: true } };
  }

  // A notebook's buffer is a view of a message, or a buffer, and numbers must begin where they may.
  function copy(buffer) {
    if (!buffer) return new Uint8Array();
    return ArrayBuffer.isView(buffer)
      ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).slice()
      : new Uint8Array(buffer.slice(0));
  }

  // A state by names, as Python has it, and by numbers, as the page has it; parts keep more in it.
  function nameState(state, start) {
    const net = start.nets[state.net];
    return { ...state, net: net.key, layer: net.layers[state.layer].name, photo: start.photos[state.photo].key };
  }
  function numberState(named, start) {
    const find = (list, name) => Math.max(0, list.findIndex((one) => (one.key ?? one.name) === name));
    const net = find(start.nets, named.net);
    return { ...named, net, layer: find(start.nets[net].layers, named.layer), photo: find(start.photos, named.photo) };
  }

  // Notebooks tell their theme each in its own way; all of them choose the text's colour by it.
  function takeTheme(el, root) {
    // before a notebook has put the element in, nothing of it is computed
    const { color } = getComputedStyle(el.isConnected ? el : document.body);
    const [red, green, blue] = color.match(/[\d.]+/g).map(Number);
    const theme = 0.3 * red + 0.6 * green + 0.1 * blue > 127 ? "dark" : "light";
    if (root.style.colorScheme !== theme) root.style.colorScheme = theme;
  }

  async function render({ model, el }) {
    const busy = make("p", { class: "vizcnn-explorer-busy", role: "status" });
    // keys are the explorer's while it has the focus: elsewhere they would add cells and delete them
    const root = make("div", { data: { lmSuppressShortcuts: "true" } });
    el.append(busy, root);
    el.addEventListener("keydown", (event) => event.stopPropagation());

    const source = makeModelSource(model, (slow) => { busy.textContent = slow ? BUSY : ""; });
    const themes = new MutationObserver(() => takeTheme(el, root));
    for (const element of [document.documentElement, document.body]) themes.observe(element, { attributes: true });
    const shown = new ResizeObserver(() => takeTheme(el, root));
    shown.observe(root);
    takeTheme(el, root);

    const choose = (start) => numberState(model.get("_page"), start);
    const app = await mount(root, source, { choose });
    if (app) {
      app.on(() => {
        model.set("_page", nameState(app.state, app.start));
        model.save_changes();
      });
      model.on("change:_page", follow);
    }
    async function follow() {
      const { photos } = app.start;
      if (!photos.some(({ key }) => key === model.get("_page").photo)) { // one that another view has sent
        const { fields } = await source.ask({ ask: "start" });
        photos.push(...fields.photos.slice(photos.length));
        app.refreshPhotos();
      }
      app.set(choose(app.start));
    }

    return () => {
      source.close();
      themes.disconnect();
      shown.disconnect();
      model.off("change:_page", follow);
    };
  }
  return { render };
})();

export default vizcnnWidget;
