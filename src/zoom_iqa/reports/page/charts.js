"use strict";
/* Charts of a page. Text is given to the library as data, never as markup: names pass through `plain`. */

const COLORS = ["#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#1864ab", "#a17500", "#495057"];
const BAR = 34; // pixels right of a chart, in which its buttons stand: above it they would cover the title
const OWN = "#0b7285", PEOPLE = "#d9480f", QUIET = "#adb5bd";

/* Plotly reads a little HTML in labels: the signs that begin it are written as entities. */
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function axis(title, more) {
  return Object.assign({ title: { text: title, font: { size: 12 } }, gridcolor: "#edf1f5", zerolinecolor: "#dde3e9",
    linecolor: "#dde3e9", automargin: true, exponentformat: "e" }, more); // 1e-4, not 100µ
}

function layout(title, x, y, more) {
  return Object.assign({
    title: { text: title, font: { size: 14 }, x: 0.01, xanchor: "left", y: 0.98, yanchor: "top" }, xaxis: x, yaxis: y,
    margin: { l: 52, r: BAR, t: 58, b: 40 }, font: { family: "system-ui, DejaVu Sans, sans-serif", size: 12 },
    paper_bgcolor: "#fff", plot_bgcolor: "#fff", legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", font: { size: 11 } },
    hoverlabel: { align: "left" }, modebar: { orientation: "v" },
  }, more);
}

const SETTINGS = { responsive: true, displaylogo: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };

function draw(place, traces, look) {
  place.classList.remove("nothing");
  place.replaceChildren();
  Plotly.newPlot(place, traces, look, SETTINGS);
}

function nothing(place, text) {
  Plotly.purge(place);
  place.classList.add("nothing");
  place.textContent = text;
}

function drawScatter(place, judged, open) {
  const rated = judged.answers.filter((answer) => answer.rating !== null && answer.mos !== null);
  if (!rated.length) return nothing(place, "No answer has a rating that could be read.");
  const points = { type: "scatter", mode: "markers", x: rated.map((a) => a.mos), y: rated.map((a) => a.rating),
    marker: { size: 7, color: rated.map((a) => (a.cropped ? OWN : QUIET)), opacity: 0.7,
      line: { width: 0.5, color: "#fff" } }, hoverinfo: "none", showlegend: false };
  const traces = judged.on_scale ? [{ type: "scatter", mode: "lines", x: [1, 5], y: [1, 5], hoverinfo: "skip",
    line: { color: "#868e96", width: 1, dash: "dot" }, showlegend: false }, points] : [points];
  for (const [name, color] of [["looked closer", OWN], ["did not", QUIET]]) {
    traces.push({ type: "scatter", mode: "markers", x: [null], y: [null], name, marker: { color, size: 8 } });
  }
  const scale = judged.on_scale ? { range: [0.9, 5.1] } : {};
  const figure = judged.figures;
  const number = (value) => (typeof value === "number" ? value.toFixed(3) : "undefined");
  draw(place, traces, layout(`${plain(judged.name)}: SRCC ${number(figure.srcc)}, raw PLCC ${number(figure.plcc)}`,
    axis("mean opinion score", { range: [0.9, 5.1] }), axis("rating", scale), { hovermode: "closest" }));
  const picked = (event) => event.points.find((point) => point.data.hoverinfo === "none");
  place.on("plotly_hover", (event) => {
    const point = picked(event);
    if (point) showTip(rated[point.pointIndex], event.event);
  });
  place.on("plotly_unhover", hideTip);
  place.on("plotly_click", (event) => {
    const point = picked(event);
    hideTip();
    if (point) open(rated[point.pointIndex]);
  });
}

function drawResiduals(place, judged) {
  if (!judged.on_scale) return nothing(place, "Ratings are on a scale of their own, so they have no error on 1-5.");
  const rated = judged.answers.filter((answer) => answer.rating !== null && answer.mos !== null);
  if (!rated.length) return nothing(place, "No answer has a rating that could be read.");
  const bins = residualBins(rated);
  draw(place, [
    { type: "scatter", mode: "markers", x: rated.map((a) => a.mos), y: rated.map((a) => a.rating - a.mos),
      marker: { size: 5, color: QUIET, opacity: 0.5 }, hoverinfo: "skip", showlegend: false },
    { type: "scatter", mode: "lines+markers", x: bins.map((b) => b.centre), y: bins.map((b) => b.mean),
      error_y: { type: "data", array: bins.map((b) => b.deviation), color: OWN, thickness: 1.3 },
      line: { color: OWN }, marker: { size: 9 }, customdata: bins.map((b) => b.count), showlegend: false,
      hovertemplate: "MOS about %{x:.2f}<br>mean error %{y:+.2f}<br>%{customdata} images<extra></extra>" },
  ], layout("Error by opinion score", axis("mean opinion score", { range: [0.9, 5.1] }), axis("rating - MOS", {
    zeroline: true, zerolinewidth: 1.5 })));
}

/* Means and standard deviations of errors in half points of the opinion score. */
function residualBins(rated) {
  const bins = new Map();
  for (const answer of rated) {
    const place = Math.min(7, Math.floor((answer.mos - 1) / 0.5));
    bins.set(place, [...(bins.get(place) || []), answer.rating - answer.mos]);
  }
  return [...bins.entries()].sort((a, b) => a[0] - b[0]).map(([place, errors]) => {
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const square = errors.reduce((sum, error) => sum + (error - mean) ** 2, 0);
    return { centre: 1.25 + 0.5 * place, mean, count: errors.length,
      deviation: errors.length > 1 ? Math.sqrt(square / (errors.length - 1)) : 0 };
  });
}

function drawHistogram(place, judged) {
  const [rating, mos] = judged.histograms;
  if (!Array.isArray(rating)) return nothing(place, "Ratings are on a scale of their own.");
  const centres = mos.map((_, index) => 1.125 + 0.25 * index);
  const ratio = (value) => (typeof value === "number" ? value.toFixed(2) : "undefined");
  draw(place, [
    { type: "bar", x: centres, y: mos, name: `opinion scores, ${ratio(judged.figures.unique_mos_ratio)} distinct an image`,
      marker: { color: PEOPLE, opacity: 0.6 } },
    { type: "bar", x: centres, y: rating, name: `ratings, ${ratio(judged.figures.unique_score_ratio)} distinct an image`,
      marker: { color: OWN, opacity: 0.75 } },
  ], layout("Ratings and opinion scores", axis("score", { range: [1, 5] }), axis("images"), { barmode: "group", bargap: 0.08 }));
}

function drawExpected(place, judged) {
  const found = judged.expected;
  if (!found && !judged.on_scale) return nothing(place, "A method with a scale of its own has no expected ratings.");
  if (!found) return nothing(place, "There are no expected ratings. Evaluate with samples_per_image=8 to see how far single answers lie from their mean.");
  const number = (value) => (value === null ? "undefined" : value.toFixed(3));
  draw(place, [
    { type: "scatter", mode: "lines", x: [1, 5], y: [1, 5], hoverinfo: "skip", showlegend: false,
      line: { color: "#868e96", width: 1, dash: "dot" } },
    { type: "scatter", mode: "markers", x: found.pairs.map((p) => p[0]), y: found.pairs.map((p) => p[1]),
      marker: { size: 6, color: OWN, opacity: 0.6 }, showlegend: false,
      hovertemplate: "expected %{x:.2f}<br>first %{y:.2f}<extra></extra>" },
  ], layout(`SRCC: first answer ${number(found.srcc[0])}, expected rating ${number(found.srcc[1])}`,
    axis("expected rating"), axis("first answer")));
}

/* Figures over steps. Few steps have markers: a figure logged once has no line. The legend takes no room from the plot. */
function drawLines(place, chart, lineOf) {
  const traces = chart.series.map((series, index) => ({ type: "scatter",
    mode: series.steps.length < 40 ? "lines+markers" : "lines", x: series.steps, y: series.values,
    name: plain(series.name), line: { width: 1.7, ...lineOf(series, index) }, marker: { size: 4 } }));
  const entry = 44 + 6.5 * Math.max(...chart.series.map((series) => series.name.length));
  const columns = Math.max(1, Math.floor((place.clientWidth - 52 - BAR) / entry));
  const top = Math.max(58, 42 + 16 * Math.ceil(traces.length / columns));
  place.style.height = `${212 + top}px`;
  draw(place, traces, layout(plain(chart.title), axis(""), axis(plain(chart.unit)),
    { hovermode: "x unified", showlegend: true, margin: { l: 52, r: BAR, t: top, b: 30 } }));
}

function drawCurves(place, chart) {
  drawLines(place, chart, (series, index) => ({ color: COLORS[index % COLORS.length],
    dash: index < COLORS.length ? "solid" : "dot" }));
}
