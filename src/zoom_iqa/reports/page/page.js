"use strict";
/* Puts the page together: one evaluation is looked at at a time, the last one at first. */

const DATA = JSON.parse(document.getElementById("data").textContent);

function showTip(answer, event) {
  const tip = document.getElementById("tip"), picture = DATA.pictures[answer.key];
  tip.replaceChildren();
  if (picture) tip.append(element("img", { src: picture.source, alt: "", width: picture.width, height: picture.height }));
  tip.append(element("b", { text: answer.id }));
  tip.append(element("p", { text: `rating ${rated(answer.rating)}, people ${answer.mos.toFixed(2)}` +
    (answer.expected === null ? "" : `, expected ${answer.expected.toFixed(2)}`) }));
  if (answer.truth) tip.append(element("p", { class: "quiet", text: `known: ${answer.truth}` }));
  const text = answer.steps[answer.steps.length - 1].text;
  if (text) tip.append(element("p", { text: text.slice(0, 400) }));
  tip.hidden = false;
  tippedAt = scrollY;
  const left = event.clientX + 320 > innerWidth ? event.clientX - 316 : event.clientX + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY - 60, innerHeight - tip.offsetHeight - 8))}px`;
}

/* A tip belongs to a place on the screen: it goes when the page moves on. */
let tippedAt = 0;
addEventListener("scroll", () => { if (Math.abs(scrollY - tippedAt) > 20) hideTip(); }, { passive: true });

function hideTip() {
  document.getElementById("tip").hidden = true;
}

function showTraining(place) {
  if (!DATA.stages.length) place.append(element("p", { class: "quiet", text: "This run has logged no training." }));
  for (const stage of DATA.stages) {
    place.append(element("h3", { text: `${stage.name}, by step` }));
    const spots = stage.charts.map(() => element("div", { class: "chart" }));
    place.append(element("div", { class: "charts small" }, ...spots.map((spot) => element("figure", {}, spot))));
    spots.forEach((spot, index) => drawCurves(spot, stage.charts[index]));
  }
}

function showRollouts(place) {
  if (!DATA.rollouts.length) return place.append(element("p", { class: "quiet", text: "This run has kept no rollouts." }));
  place.append(element("p", { class: "quiet", text: "The best and the worst of some steps, with their reward terms." }));
  const terms = [...new Set(DATA.rollouts.flatMap((rollout) => Object.keys(rollout.rewards)))];
  const head = ["step", "image", "MOS", "rating", ...terms, "answer"];
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { text })))));
  const body = element("tbody", {});
  for (const rollout of DATA.rollouts) {
    const cells = [rollout.step, rollout.id, rollout.mos === null ? "" : rollout.mos.toFixed(2),
      rollout.rating === null ? rollout.why : rollout.rating.toFixed(2),
      ...terms.map((term) => (term in rollout.rewards ? rollout.rewards[term].toFixed(3) : ""))];
    const text = element("td", { class: "text" }, element("details", {}, element("summary", { text: "text" }),
      element("pre", { text: rollout.texts.join("\n\n") })));
    body.append(element("tr", {}, ...cells.map((cell, place) => element(place === 1 ? "th" : "td", { text: cell })), text));
  }
  table.append(body);
  place.append(element("div", { class: "scroll" }, table));
}

const gallery = makeGallery(DATA);
const chosen = choices(document.getElementById("judged"), DATA.judged.map((judged) => judged.name), (index) => {
  const judged = DATA.judged[index];
  drawScatter(document.getElementById("scatter"), judged, gallery.open);
  drawResiduals(document.getElementById("residuals"), judged);
  drawHistogram(document.getElementById("histogram"), judged);
  drawExpected(document.getElementById("expected"), judged);
  gallery.show(judged);
});
chosen.press(DATA.judged.length - 1);
showTraining(document.getElementById("training"));
showRollouts(document.getElementById("rollouts"));
document.body.dataset.ready = "true";
