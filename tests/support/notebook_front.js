// A page of a notebook: anywidget's model, whose messages a test carries (notebook_front.py).
import widget from "./widget.js";

class Model {
  constructor(state) { Object.assign(this, { state, changes: {}, listeners: new Map(), sent: [] }); }
  get(name) { return this.state[name]; }
  set(name, value) {
    if (JSON.stringify(this.state[name]) === JSON.stringify(value)) return;
    this.state[name] = this.changes[name] = value;
    this.tell(`change:${name}`);
  }
  save_changes() {
    if (Object.keys(this.changes).length) this.sent.push({ data: { method: "update", state: this.changes }, buffers: [] });
    this.changes = {};
  }
  send(content, callbacks, buffers = []) {
    const texts = buffers.map((one) => btoa(String.fromCharCode(...new Uint8Array(one))));
    this.sent.push({ data: { method: "custom", content }, buffers: texts });
  }
  on(name, listener) { this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]); }
  off(name, listener) { this.listeners.set(name, (this.listeners.get(name) ?? []).filter((one) => one !== listener)); }
  tell(name, ...values) { for (const listener of this.listeners.get(name) ?? []) listener(...values); }
  receive({ method, state, content }, texts) {
    if (method === "custom") this.tell("msg:custom", content, texts.map(view));
    if (method === "update") for (const [name, value] of Object.entries(state)) {
      this.state[name] = value;
      this.tell(`change:${name}`);
    }
  }
}

// a view that begins where no number may, as one of a message of several parts does
function view(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const buffer = new ArrayBuffer(bytes.length + 1);
  new Uint8Array(buffer, 1).set(bytes);
  return new DataView(buffer, 1);
}

window.model = new Model(await (await fetch("state.json")).json());
window.show = async () => {
  const el = document.createElement("div");
  const rendered = widget.render({ model: window.model, el });
  document.querySelector("main").append(el); // later, as notebooks do it
  el.remove_view = await rendered;
};
window.isReady = true;
window.show();
