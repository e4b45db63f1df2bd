"use strict";

// Answers of a running program, which served this page: vizcnn explore --serve. The source is that
// of sources.js, and
//   ask(question, purpose)      purpose: a short text, what the answer is for; of several questions
//                               that wait for the same purpose the program answers the newest, and
//                               the others get fields.superseded
//   upload(file)                a photo's file; fields are its entry of `start` and its `number`
//   frame(question, file)       a question without `photo`, of a camera's picture that nobody keeps
//   watch(listener)             listener(lost) when the program is gone, or answers again
(() => {
  const { make, refuse, refuseSize, register } = vizcnnExplorer;
  const PAUSES = [0, 300, 1000]; // milliseconds before each try
  const ENDED = "The program that answers this page does not answer any more.";
  const AGAIN = "Start vizcnn explore --serve again and open the address that it prints; this page's link, from # on, works there too.";

  function makeLiveSource() {
    const [, token] = location.pathname.split("/");
    const self = crypto.getRandomValues(new Uint32Array(2)).join(""); // tells windows apart
    const watching = new Set();
    let lost = false;

    function tell(now) {
      if (now === lost) return;
      lost = now;
      for (const listener of watching) listener(lost);
    }

    async function send(name, body) {
      for (const pause of lost ? [0] : PAUSES) {
        if (pause) await new Promise((resolve) => setTimeout(resolve, pause));
        try {
          const reply = await fetch(`api/${name}`, { method: "POST", headers: { "X-Vizcnn-Token": token }, body });
          if (reply.status === 404) break; // another program has the port now
          const answer = vizcnnExplorer.unpack(await reply.arrayBuffer());
          tell(false);
          return answer;
        } catch { /* the connection ended: perhaps only this one */ }
      }
      tell(true);
      return refuse(ENDED, watching.size ? "" : AGAIN); // else the notice says it, once for the page
    }

    const name = (question, purpose) => ({ ...question, ...(purpose && { for: `${self} ${purpose}` }) });
    const ask = (question, purpose) => send("ask", JSON.stringify(name(question, purpose)));

    async function upload(file) {
      return refuseSize(file) ?? send("photo", pack({ name: file.name || "photo" }, file));
    }
    const frame = (question, file) => send("frame", pack(name(question, "camera"), file));

    const watch = (listener) => { watching.add(listener); };
    return { live: true, ask, upload, frame, watch };
  }

  // As replies are: a length in four bytes, little end first, JSON, and what it speaks of.
  function pack(fields, file) {
    const text = new TextEncoder().encode(JSON.stringify(fields));
    const length = new DataView(new ArrayBuffer(4));
    length.setUint32(0, text.length, true);
    return new Blob([length.buffer, text, file]);
  }

  // Says that the program has ended, once for the whole page, and asks anew when it is back.
  register((app) => {
    if (!app.source.watch) return;
    const again = make("button", { type: "button", class: "tool", text: "Try again", on: { click: () => app.source.ask({ ask: "start" }) } });
    const notice = make("div", { class: "ended", role: "alert", hidden: true });
    app.root.querySelector(".frame").append(notice);
    app.source.watch((lost) => {
      notice.hidden = !lost;
      // an alert is read out when it gets its text
      notice.replaceChildren(...(lost ? [make("p", { text: `${ENDED} ${AGAIN}` }), again] : []));
      if (!lost) app.renew();
    });
  });

  Object.assign(vizcnnExplorer, { makeLiveSource });
})();
