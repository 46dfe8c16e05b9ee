"use strict";
/* Puts the page of several runs together; a run has one colour in all charts. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const colorOf = new Map(DATA.runs.map((run, index) => [run.name, COLORS[index % COLORS.length]]));

function drawCorrelations(place) {
  const traces = ["srcc", "plcc"].map((key, index) => {
    const runs = DATA.runs.filter((run) => typeof run.figures[key] === "number");
    const ends = runs.map((run) => run.figures[`${key}_interval`]);
    const side = (end, sign) => ends.map((found, n) => (found && typeof found === "object"
      ? sign * (found[end] - runs[n].figures[key]) : 0));
    return { type: "scatter", mode: "markers", name: key === "plcc" ? "PLCC, raw" : "SRCC",
      x: runs.map((run) => DATA.runs.indexOf(run) + 0.16 * (index - 0.5)), y: runs.map((run) => run.figures[key]),
      error_y: { type: "data", symmetric: false, array: side("high", 1), arrayminus: side("low", -1), thickness: 1.3 },
      marker: { size: 9, color: COLORS[index] }, hovertemplate: "%{y:.3f}" };
  });
  draw(place, traces, layout("SRCC and PLCC", axis("", { tickvals: DATA.runs.map((_, index) => index),
    ticktext: DATA.runs.map((run) => plain(run.name)) }), axis("correlation")));
}

function drawPoints(place, run) {
  const number = typeof run.figures.srcc === "number" ? run.figures.srcc.toFixed(3) : "undefined";
  const scale = run.on_scale ? { range: [0.9, 5.1] } : {};
  draw(place, [
    { type: "scatter", mode: "lines", x: [1, 5], y: [1, 5], hoverinfo: "skip", visible: run.on_scale,
      line: { color: "#868e96", width: 1, dash: "dot" }, showlegend: false },
    { type: "scatter", mode: "markers", x: run.points.map((p) => p[0]), y: run.points.map((p) => p[1]), showlegend: false,
      marker: { size: 5, color: colorOf.get(run.name), opacity: 0.55 }, hovertemplate: "MOS %{x:.2f}, rating %{y:.2f}<extra></extra>" },
  ], layout(`${plain(run.name)}: SRCC ${number}`, axis("mean opinion score", { range: [0.9, 5.1] }), axis("rating", scale)));
}

function showCharts(place) {
  if (!DATA.charts.length) return place.append(element("p", { class: "quiet", text: "These runs have logged no training." }));
  const spots = DATA.charts.map(() => element("div", { class: "chart" }));
  place.append(element("div", { class: "charts small" }, ...spots.map((spot) => element("figure", {}, spot))));
  spots.forEach((spot, index) => drawLines(spot, DATA.charts[index], (series) => ({ color: colorOf.get(series.name) })));
}

function showDisagreed(place) {
  if (!DATA.disagreed.length) return place.append(element("p", { class: "quiet", text: "No image has ratings from 1 to 5 by two runs." }));
  const head = ["image", "", "people", ...DATA.runs.map((run) => run.name)].map((text) => element("th", { text }));
  const body = element("tbody", {});
  for (const row of DATA.disagreed) {
    const picture = DATA.pictures[row.key];
    const view = element("td", {});
    if (picture) view.append(element("img", { src: picture.source, alt: row.id, height: 90 }));
    body.append(element("tr", {}, view, element("th", { scope: "row", text: row.id }),
      element("td", { text: row.mos.toFixed(2) }),
      ...row.ratings.map((value) => element("td", { text: typeof value === "number" ? value.toFixed(2) : value }))));
  }
  place.append(element("table", {}, element("thead", {}, element("tr", {}, ...head)), body));
}

drawCorrelations(document.getElementById("correlations"));
const spots = DATA.runs.map(() => element("div", { class: "chart" }));
document.getElementById("scatters").append(...spots.map((spot) => element("figure", {}, spot)));
spots.forEach((spot, index) => drawPoints(spot, DATA.runs[index]));
showCharts(document.getElementById("training"));
showDisagreed(document.getElementById("rows"));
document.body.dataset.ready = "true";
