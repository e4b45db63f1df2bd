"use strict";

// The quiz: draws the order of questions, shows them, keeps the answers, and says the score. Runs
// from disk, and sends nothing. QUIZ is in quiz-data.js, find and findAll in gallery.js.

const quiz = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(QUIZ), (letter) => letter.charCodeAt(0))));
const SIDES = ["left", "right"];

// Mulberry32 (T. Ettinger): the same seed gives the same order in every browser.
function makeRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
function shuffle(items, random) {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
}

// Conditions go round the units, from another one on with each seed: a player has each about as
// often, and of players with seeds in a row each unit. So it is with the sides.
function drawTrials(seed) {
  const random = makeRandom(seed);
  const count = quiz.units.length;
  const sides = shuffle(quiz.units.map((_, number) => SIDES[number % 2]), random);
  return shuffle([...Array(count).keys()], random).map((number) => ({
    number,
    unit: quiz.units[number],
    condition: quiz.conditions[(number + seed) % quiz.conditions.length],
    exciting: sides[number],
  }));
}

// `#player=12` numbers players, so that conditions are balanced over a lecture hall; else by chance.
function drawSeed() {
  const asked = /^#player=(\d{1,9})$/.exec(location.hash);
  return asked ? Number(asked[1]) : crypto.getRandomValues(new Uint32Array(1))[0] % 1e9;
}
function drawName() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

let game = null; // { seed, player, answers: [{ chosen, seconds }] }
let trials = [];
let began = 0;

// A page that is loaded again goes on where it was, where the browser lets pages keep something.
const KEPT = `vizcnn-quiz-${quiz.quiz}`;
function keep() {
  try { sessionStorage.setItem(KEPT, JSON.stringify(game)); } catch { /* a reload begins anew */ }
}
function recallGame() {
  try { return JSON.parse(sessionStorage.getItem(KEPT)); } catch { return null; }
}

function makeElement(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
function makeImage(file, text, crisp = false) {
  const image = makeElement("img", "", crisp ? "crisp" : "");
  image.src = file;
  image.alt = text;
  return image;
}
function makeCell(photo, text, crisp) {
  const cell = makeElement("li");
  cell.append(makeImage(photo.file, text, crisp));
  if (photo.box) {
    const field = makeElement("span", "", "field");
    ["top", "left", "height", "width"].forEach((side, at) => { field.style[side] = `${photo.box[at]}%`; });
    cell.append(field);
  }
  return cell;
}

function show(id) {
  for (const part of ["intro", "trial", "end"]) find(`#${part}`).hidden = part !== id;
  root.classList.toggle("asking", id === "trial");
  scrollTo(0, 0);
}

function listFiles({ unit, condition }) {
  const photos = [...unit.exciting, ...unit.calm, ...unit.asked].map((photo) => photo.file);
  return [...photos, ...(unit.pictures[condition.key] ?? [])];
}

function showTrial() {
  const at = game.answers.length;
  const { unit, condition, exciting } = trials[at];
  const pictures = unit.pictures[condition.key];
  const name = `unit ${unit.unit} of ${unit.layer}`;
  show("trial");
  find("#steps").value = at;
  find("#step").textContent = `${at + 1} of ${trials.length}`;
  find("#ask").textContent = `Which new photo excites ${name}?`;
  find(".board").classList.toggle("pictured", Boolean(pictures));
  find(".pictures").hidden = !pictures;
  find("#legend").hidden = !pictures;
  find("#legend").textContent = condition.legend;
  find("#pictures-title").textContent = condition.heading;
  find("#exciting").replaceChildren(...unit.exciting.map((photo, place) => makeCell(photo, `Photo ${place + 1} that excites it`, quiz.crisp)));
  find("#calm").replaceChildren(...unit.calm.map((photo, place) => makeCell(photo, `Photo ${place + 1} that does not excite it`, quiz.crisp)));
  find("#pictures").replaceChildren(...(pictures ?? []).map((file, place) => makeCell({ file }, `Projection of exciting photo ${place + 1}`, unit.crisp)));
  for (const side of SIDES) {
    const image = find(`#${side} img`);
    image.src = unit.asked[side === exciting ? 0 : 1].file;
    image.classList.toggle("crisp", quiz.crisp);
  }
  find("#back").disabled = at === 0;
  find("#stop").disabled = at === 0;
  find("#told").textContent = `Question ${at + 1} of ${trials.length}, ${condition.title}`;
  find("#ask").focus({ preventScroll: true });
  began = performance.now();
  const next = trials[at + 1]; // its pictures are there when it is asked
  if (next) for (const file of listFiles(next)) new Image().src = file;
}

function choose(side) {
  const seconds = Math.round((performance.now() - began) / 10) / 100;
  game.answers.push({ chosen: side, seconds });
  keep();
  if (game.answers.length < trials.length) showTrial();
  else showEnd();
}
function goBack() {
  if (!game.answers.length) return;
  game.answers.pop();
  keep();
  showTrial();
}
function switchSize() {
  const large = find("#trial").classList.toggle("enlarged");
  find("#larger").setAttribute("aria-pressed", String(large));
}

function listAnswers() {
  return game.answers.map((answer, at) => ({ ...trials[at], ...answer, right: answer.chosen === trials[at].exciting }));
}
const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

function makeScore(title, answers) {
  const right = answers.filter((answer) => answer.right).length;
  const [low, high] = quiz.intervals[answers.length][right];
  const row = makeElement("div", "", "score");
  const scale = makeElement("div", "", "scale");
  scale.setAttribute("aria-hidden", "true");
  const span = makeElement("span", "", "span");
  span.style.left = `${100 * low}%`;
  span.style.width = `${100 * (high - low)}%`;
  const dot = makeElement("span", "", "dot");
  dot.style.left = `${100 * right / answers.length}%`;
  scale.append(span, dot);
  row.append(
    makeElement("p", title),
    scale,
    makeElement("p", `${right} of ${answers.length} right (${percent(right / answers.length)}); 95 % interval ${percent(low)} to ${percent(high)}`, "quiet"),
  );
  return row;
}

function makeAnswer(answer) {
  const { unit } = answer;
  const item = makeElement("li");
  item.append(makeElement("p", `${answer.right ? "✓ Right" : "✗ Wrong"}: unit ${unit.unit} of ${unit.layer}`));
  const two = makeElement("div", "", "two");
  for (const side of SIDES) {
    const photo = unit.asked[side === answer.exciting ? 0 : 1];
    const figure = makeElement("figure", "", side === answer.chosen ? "chosen" : "");
    const stage = makeElement("span", "", "stage");
    stage.append(makeImage(photo.file, side === "left" ? "Photo A" : "Photo B", quiz.crisp));
    const words = [`${photo.value}: ${side === answer.exciting ? "excites it" : "does not"}`, ...(side === answer.chosen ? ["your choice"] : [])];
    const caption = makeElement("figcaption", words.join(", "));
    caption.append(makeElement("span", photo.name, "photo-name"));
    figure.append(stage, caption);
    two.append(figure);
  }
  item.append(two, makeElement("p", `${answer.condition.title}; ${answer.seconds.toFixed(1)} s`, "quiet"));
  return item;
}

function showEnd() {
  const answers = listAnswers();
  const right = answers.filter((answer) => answer.right).length;
  find("#end-title").textContent = `${right} of ${answers.length} right`;
  const groups = quiz.conditions.map((condition) => [condition.title, answers.filter((answer) => answer.condition === condition)]);
  const rows = [["all questions", answers], ...(quiz.conditions.length > 1 ? groups : [])];
  const note = makeElement("p", "The line in the middle is guessing. Bars are exact 95 % intervals (Clopper & Pearson): with so few questions of one person they are wide.", "quiet");
  find("#scores").replaceChildren(...rows.filter(([, some]) => some.length).map(([title, some]) => makeScore(title, some)), note);
  find("#answers").replaceChildren(...answers.map(makeAnswer));
  find("#saved").textContent = "";
  show("end");
  find("#end-title").focus({ preventScroll: true });
}

function writeResult() {
  return JSON.stringify({
    kind: "vizcnn-quiz-answers",
    vizcnn: quiz.vizcnn,
    quiz: quiz.quiz,
    title: quiz.title,
    player: game.player,
    seed: game.seed,
    conditions: quiz.conditions.map(({ key, title }) => ({ key, title })),
    answers: listAnswers().map((answer) => ({
      layer: answer.unit.layer,
      unit: answer.unit.unit,
      condition: answer.condition.key,
      exciting: answer.exciting,
      chosen: answer.chosen,
      seconds: answer.seconds,
    })),
  }, null, 1);
}
function saveResult() {
  const link = makeElement("a");
  link.href = URL.createObjectURL(new Blob([writeResult()], { type: "application/json" }));
  link.download = `vizcnn-quiz-${quiz.quiz.slice(0, 6)}-${game.player}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  find("#saved").textContent = `Saved as ${link.download}`;
}
async function copyResult() {
  const text = makeElement("pre", writeResult());
  find("#end").append(text); // older browsers give pages from disk no clipboard, but what is selected
  getSelection().selectAllChildren(text);
  const copied = await copySelected(text.textContent);
  if (copied) text.remove();
  find("#saved").textContent = copied ? "Copied" : "Selected below: press Ctrl+C";
}

function begin(former) {
  game = former ?? { seed: drawSeed(), player: drawName(), answers: [] };
  trials = drawTrials(game.seed);
  if (game.answers.length < trials.length) showTrial();
  else showEnd();
}

function pressQuizKey(event) {
  if (find("#trial").hidden || find("dialog[open]") || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = { ArrowLeft: () => choose("left"), a: () => choose("left"), ArrowRight: () => choose("right"), b: () => choose("right"), Backspace: goBack, z: switchSize };
  if (!Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
}

document.addEventListener("DOMContentLoaded", () => {
  const former = recallGame();
  if (former?.answers?.length) {
    find("#resume").hidden = false;
    find("#resume").textContent = former.answers.length < quiz.units.length ? `Go on with question ${former.answers.length + 1}` : "See my answers";
    find("#start").textContent = "Start again";
  }
  const actions = {
    start: () => begin(null),
    resume: () => begin(former),
    // the second click of a double one is no answer to the next question
    left: (event) => { if (event.detail < 2) choose("left"); },
    right: (event) => { if (event.detail < 2) choose("right"); },
    back: goBack,
    larger: switchSize,
    stop: showEnd,
    save: saveResult,
    copy: copyResult,
    again: () => begin(null),
  };
  for (const [id, action] of Object.entries(actions)) find(`#${id}`).addEventListener("click", action);
  document.addEventListener("keydown", pressQuizKey);
});
