"use strict";
/* Cards of answers. Everything that a model has written is set as text, so that markup in it shows as text. */

const PAGE = 12;
const WORST = 1; /* points on 1-5 from which on an error is among the worst */

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "text") made.textContent = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawing(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const rated = (value) => (value === null ? "unreadable" : value.toFixed(2));
const error = (answer) => (answer.rating === null || answer.mos === null || !answer.on_scale ? null
  : answer.rating - answer.mos);

const NO_CHANGE = 0.01; // as the findings have it
const FILTERS = [
  ["all", () => true, (answer) => 0],
  ["worst errors", (answer) => Math.abs(error(answer)) >= WORST, (answer) => -Math.abs(error(answer))],
  ["looking helped", (answer) => answer.gain !== null && answer.gain > NO_CHANGE, (answer) => -answer.gain],
  ["looking hurt", (answer) => answer.gain !== null && answer.gain < -NO_CHANGE, (answer) => answer.gain],
  ["unreadable", (answer) => answer.unreadable > 0, (answer) => -answer.unreadable],
  ["not well formed", (answer) => !answer.formed, (answer) => 0],
  ["looked closer", (answer) => answer.cropped, (answer) => 0],
  ["did not look", (answer) => !answer.cropped, (answer) => 0],
];

function matches(answer, words) {
  const text = [answer.id, answer.truth || "", ...answer.steps.map((step) => step.text || "")].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

/* The picture with the boxes looked at (solid), those given as evidence (dotted) and the region known to be damaged
   (dashed). */
function viewOf(answer, picture) {
  if (!picture) return element("div", { class: "view quiet", text: "There is no picture of this image here." });
  const view = element("div", { class: "view" }, element("img", { src: picture.source, alt: answer.id,
    width: picture.width, height: picture.height, style: "height:auto" }));
  const over = drawing("svg", { viewBox: `0 0 ${picture.width} ${picture.height}`, preserveAspectRatio: "none" });
  const box = (x1, y1, x2, y2, more) => over.append(drawing("rect", Object.assign({ x: x1, y: y1, width: x2 - x1,
    height: y2 - y1, fill: "none", "vector-effect": "non-scaling-stroke" }, more)));
  if (answer.region) {
    const [x1, y1, x2, y2] = answer.region;
    box(x1 * picture.width, y1 * picture.height, x2 * picture.width, y2 * picture.height,
      { stroke: "#fff", "stroke-width": 2, "stroke-dasharray": "5 4", class: "truth" });
  }
  for (const step of answer.steps) {
    for (const look of step.boxes) box(...look, { stroke: "#e8590c", "stroke-width": 3, class: "look" });
  }
  for (const { box: edges } of answer.evidence) {
    const fractions = edges.every((edge) => edge >= 0 && edge <= 1);
    const [x1, y1, x2, y2] = fractions ? edges.map((edge, place) => edge * (place % 2 ? picture.height : picture.width))
      : edges;
    if (x1 < x2 && y1 < y2) box(x1, y1, x2, y2, { stroke: "#d000d0", "stroke-width": 3, "stroke-dasharray": "2 4",
      class: "evidence" });
  }
  view.append(over);
  return view;
}

function cropsOf(answer, picture) {
  const column = element("div", { class: "crops" });
  for (const step of answer.steps) {
    for (const look of step.boxes) if (picture) column.append(cropOf(look, picture));
    for (const reason of step.refused) column.append(element("span", { class: "quiet", text: `refused: ${reason}` }));
  }
  return column.childNodes.length ? column : null;
}

function cropOf(look, picture) {
  const [x1, y1, x2, y2] = look, width = x2 - x1, height = y2 - y1;
  const own = picture.crops[look.join(",")];
  if (own) return element("img", { class: "crop", src: own, alt: "crop" });
  const x = picture.width > width ? (100 * x1) / (picture.width - width) : 0;
  const y = picture.height > height ? (100 * y1) / (picture.height - height) : 0;
  return element("div", { class: "crop", role: "img", "aria-label": "crop",
    style: `aspect-ratio:${width}/${height};background-image:url("${picture.source}");` +
      `background-size:${(100 * picture.width) / width}% ${(100 * picture.height) / height}%;` +
      `background-position:${x}% ${y}%` });
}

/* Ratings along the way on a line from 1 to 5, the opinion score below it. The filled one counts: of several answers
   their mean. */
function trackOf(answer) {
  const track = drawing("svg", { class: "track", viewBox: "0 0 400 40" });
  const at = (value) => 10 + (Math.max(1, Math.min(5, value)) - 1) * 95;
  track.append(drawing("line", { x1: 10, x2: 390, y1: 20, y2: 20, stroke: "#ced4da", "stroke-width": 2 }));
  for (const value of [1, 2, 3, 4, 5]) {
    track.append(drawing("line", { x1: at(value), x2: at(value), y1: 17, y2: 23, stroke: "#adb5bd" }));
  }
  if (answer.mos !== null) {
    if (answer.std) track.append(drawing("line", { x1: at(answer.mos - answer.std), x2: at(answer.mos + answer.std),
      y1: 28, y2: 28, stroke: PEOPLE, "stroke-width": 3, opacity: 0.35 }));
    track.append(drawing("path", { d: `M${at(answer.mos)} 22 l6 12 h-12 z`, fill: PEOPLE, class: "mos" }));
  }
  const ratings = answer.steps.map((step) => step.rating).filter((value) => value !== null);
  ratings.forEach((value, index) => {
    const last = index === ratings.length - 1 && answer.trajectories === 1 && answer.rating !== null;
    if (index < ratings.length - 1) track.append(drawing("line", { x1: at(value), x2: at(ratings[index + 1]), y1: 20, y2: 20, stroke: OWN,
      "stroke-width": 3 }));
    track.append(drawing("circle", { cx: at(value), cy: 20, r: last ? 7 : 5, fill: last ? OWN : "#fff", stroke: OWN,
      "stroke-width": 2, class: "rating" }));
  });
  if (answer.trajectories > 1 && answer.rating !== null) track.append(drawing("circle", { cx: at(answer.rating), cy: 20,
    r: 7, fill: OWN, stroke: OWN, "stroke-width": 2, class: "rating" }));
  return track;
}

function wayOf(answer) {
  const told = (step) => (step.rating !== null ? step.rating.toFixed(2) : step.looks ? "a look" : step.why);
  const way = answer.steps.map(told).join(" → ");
  const several = answer.trajectories > 1;
  const line = element("div", { class: "way" },
    several ? `rating ${rated(answer.rating)}, the mean; first answer ${way}` : `rating ${way}`);
  if (answer.mos !== null) line.append(`, people ${answer.mos.toFixed(2)}`);
  if (answer.gain !== null && Math.abs(answer.gain) > NO_CHANGE) {
    const helped = answer.gain > 0;
    line.append(", ", element("span", { class: helped ? "helped" : "hurt",
      text: `looking ${helped ? "helped" : "hurt"} by ${Math.abs(answer.gain).toFixed(2)}` }));
  }
  if (answer.expected !== null) line.append(`, expected ${answer.expected.toFixed(2)}`);
  if (several) line.append(element("div", { class: "quiet",
    text: `${answer.trajectories} answers: ${answer.ratings.map((value) => value.toFixed(2)).join(", ")}` +
      (answer.unreadable ? `, ${answer.unreadable} unreadable` : "") }));
  return line;
}

function cardOf(answer, picture) {
  const card = element("article", { class: "card" }, element("h4", { text: answer.id }));
  const looks = element("div", { class: "looks" }, viewOf(answer, picture));
  const crops = cropsOf(answer, picture);
  if (crops) looks.append(crops);
  card.append(looks, ...(answer.on_scale ? [trackOf(answer)] : []), wayOf(answer));
  if (answer.truth) card.append(element("div", { class: "quiet", text: `known: ${answer.truth}` }));
  if (answer.evidence.length) card.append(element("div", { class: "quiet",
    text: `evidence: ${answer.evidence.map((one) => one.said).join(", ")}` }));
  answer.steps.forEach((step, index) => {
    const about = [`turn ${index + 1}`, step.looks ? "looks closer" : rated(step.rating)];
    if (step.tokens) about.push(`${step.tokens} tokens${step.cut ? ", cut at the limit" : ""}`);
    if (step.why && !step.looks) about.push(step.why);
    card.append(element("details", {}, element("summary", { text: about.join(", ") }),
      element("pre", { text: step.text === null ? "The text has no room here; predictions.jsonl has it." : step.text })));
  });
  return card;
}

function makeGallery(data) {
  const cards = document.getElementById("cards"), more = document.getElementById("more");
  const search = document.getElementById("search"), shown = document.getElementById("shown");
  const state = { judged: data.judged[0], filter: FILTERS[1], found: [], count: PAGE };
  const extend = () => {
    const next = state.found.slice(cards.childNodes.length, state.count);
    cards.append(...next.map((answer) => cardOf(answer, data.pictures[answer.key])));
    shown.textContent = `${cards.childNodes.length} of ${state.found.length} images of ${state.judged.name} shown`;
    more.hidden = state.count >= state.found.length;
  };
  const refresh = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const [, keeps, order] = state.filter;
    state.found = state.judged.answers.filter((answer) => keeps(answer) && matches(answer, words))
      .sort((a, b) => order(a) - order(b));
    state.count = PAGE;
    cards.replaceChildren();
    extend();
  };
  more.addEventListener("click", () => { state.count += 2 * PAGE; extend(); });
  search.addEventListener("input", refresh);
  const buttons = choices(document.getElementById("filters"), FILTERS.map(([name]) => name), (index) => {
    state.filter = FILTERS[index];
    refresh();
  });
  return {
    show(judged) {
      state.judged = judged;
      const counts = FILTERS.map(([, keeps]) => judged.answers.filter(keeps).length);
      buttons.label((index) => `${FILTERS[index][0]} (${counts[index]})`);
      buttons.press(counts[FILTERS.indexOf(state.filter)] ? FILTERS.indexOf(state.filter) : 0);
    },
    open(answer) {
      search.value = "";
      buttons.press(0);
      state.found = [answer, ...state.found.filter((other) => other !== answer)];
      cards.replaceChildren();
      extend();
      cards.firstChild.classList.add("marked");
      cards.firstChild.querySelectorAll("details").forEach((part) => { part.open = true; });
      document.getElementById("gallery").scrollIntoView({ behavior: "smooth" });
    },
  };
}

/* Buttons of which one is pressed. */
function choices(place, names, chosen) {
  const buttons = names.map((name, index) => {
    const button = element("button", { type: "button", "aria-pressed": "false", text: name });
    button.addEventListener("click", () => press(index));
    return button;
  });
  const press = (index) => {
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(place === index)));
    chosen(index);
  };
  place.append(...buttons);
  return { press, label(text) { buttons.forEach((button, index) => { button.textContent = text(index); }); } };
}
