"use strict";

// Where answers come from. A source is
//   { live: bool, ask(question, wanted) -> Promise<{ fields, bytes: Uint8Array }>,
//     key?(question) -> string, upload?(file) -> Promise<the same> }
// and never rejects for what it cannot do: it answers with fields.error, one line, and perhaps
// fields.way_out. Here is the source of a folder: a classic script for each answer.
(() => {
  const waiting = new Map(); // key -> what to call with the answer

  async function receive(key, text) {
    const finish = waiting.get(key);
    waiting.delete(key);
    if (!finish) return;
    try {
      finish(vizcnnExplorer.unpack(await inflate(decodeBase64(text))));
    } catch {
      finish(refuseDamaged(key));
    }
  }

  function inflate(bytes) {
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(plain).arrayBuffer();
  }

  function decodeBase64(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let index = 0; index < letters.length; index++) bytes[index] = letters.charCodeAt(index);
    return bytes;
  }

  const refuse = (error, way_out = "") => ({ fields: { error, way_out }, bytes: new Uint8Array() });
  const refuseDamaged = (key) => refuse(`data/${key}.js is missing or damaged.`, "Copy the folder again, or make it again.");

  // A photo's file that is too large to be sent; null of others. The program has the same bound.
  const LARGEST_UPLOAD = 16 * 2 ** 20;
  const refuseSize = (file) => file.size <= LARGEST_UPLOAD ? null : refuse(
    `${file.name || "The photo"} has ${(file.size / 2 ** 20).toFixed(1)} MB; at most 16 MB are taken.`, "Make it smaller first.");

  // The same name in Python: the question's name, then numbers of net, photo and layer, then the method
  // and the number of the part.
  function keyOf({ ask, net, photo, layer, method, part }) {
    return [ask, net, photo, layer, method, part].filter((part) => part !== undefined).join("-");
  }

  const SERVE = "vizcnn explore --serve answers it for any photo, place and unit.";

  function makeStaticSource(folder = "data/") {
    let asks = null; // names of questions that were answered ahead
    const loading = new Map(); // key -> promise

    function load(key) {
      if (!loading.has(key)) loading.set(key, loadScript(key).finally(() => loading.delete(key)));
      return loading.get(key);
    }
    function loadScript(key) {
      return new Promise((resolve) => {
        const script = document.createElement("script");
        const finish = (answer) => { script.remove(); resolve(answer); };
        waiting.set(key, finish);
        script.src = `${folder}${key}.js`;
        // a script that ran has been received; one that is cut off ends in no answer
        const fail = () => { if (waiting.delete(key)) finish(refuseDamaged(key)); };
        script.addEventListener("error", fail);
        script.addEventListener("load", fail);
        document.head.append(script);
      });
    }

    async function ask(question) {
      if (asks && !asks.includes(question.ask)) return refuse("This page was made ahead and has no answer to that.", SERVE);
      if (question.place) return refuse("Pictures made ahead are of each unit's strongest place.", SERVE);
      const answer = await load(keyOf(question));
      if (question.ask === "start") asks = answer.fields.asks ?? null;
      return answer;
    }
    return { live: false, ask, key: (question) => keyOf(question) + (question.place ? `@${question.place}` : "") };
  }

  Object.assign(vizcnnExplorer, { receive, keyOf, makeStaticSource, refuse, refuseSize });
})();
