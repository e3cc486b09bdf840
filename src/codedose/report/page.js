"use strict";
/* Draws the figures and the reply browser from the page's JSON blocks.

Every text from the data reaches the page through textContent, or through esc() where Plotly reads
markup in labels; nothing here builds HTML or code from text. */

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const byId = (id) => document.getElementById(id);

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/* Tables travel by column (figures.py, packed); here they become rows again. */
function unpack(table) {
  const columns = Object.entries(table.columns).map(([name, column]) => [name, valuesOf(column)]);
  return Array.from({ length: table.height }, (_, at) =>
    Object.fromEntries(columns.map(([name, values]) => [name, values[at]])));
}

function valuesOf(column) {
  if (Array.isArray(column)) return column;
  return column.codes.map((code) => (code === null ? null : column.levels[code]));
}

const data = read("data");
const accuracies = unpack(data.accuracies);
const effects = unpack(data.effects);
const chosen = { reading: data.reading, backbone: null, contrast: data.contrasts[0] ?? data.primary };

/* ---- words and colours */

/* Plotly takes <a>, <b>, <br> in labels for markup and decodes entities: with these three escaped,
what a reader sees is the text itself. */
function esc(text, longest = 60) {
  const plain = String(text).replace(/[\u0000-\u001f\u2028\u2029]/g, " ");
  const short = plain.length > longest ? plain.slice(0, longest - 1) + "…" : plain;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const shown = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits).replace("-", "−"));
const signed = (value, digits = 1) => (value === null ? "–" : (value > 0 ? "+" : "") + shown(value, digits));
const percent = (value) => (value === null ? null : 100 * value);
const distinct = (values) => [...new Set(values)].sort();
const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon"];
const GLYPHS = ["●", "■", "◆", "▲", "✚", "★", "⬢"];
const tuned = data.arms.filter((arm) => arm !== data.untuned);
const armNumber = (arm) => tuned.indexOf(arm) % SYMBOLS.length;
const armClass = (arm) => (arm === data.untuned ? "untuned" : `arm-${armNumber(arm)}`);
const armColour = (arm) => ink(arm === data.untuned ? "--untuned" : `--arm-${armNumber(arm)}`);
const armSymbol = (arm) => (arm === data.untuned ? "line-ns-open" : SYMBOLS[armNumber(arm)]);
const armGlyph = (arm) => (arm === data.untuned ? "╌╌" : GLYPHS[armNumber(arm)]);

/* ---- plots */

const CONFIG = { displayModeBar: false, responsive: true, showTips: false };

function axis(more = {}) {
  return {
    fixedrange: true, zeroline: false, gridcolor: ink("--rule"), linecolor: ink("--rule"),
    tickfont: { size: 11 }, automargin: true, ...more,
  };
}

const FROM_ZERO = { rangemode: "tozero", zeroline: true, zerolinewidth: 1 };

function layout(more = {}) {
  return {
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", showlegend: false, dragmode: false, hovermode: "closest",
    font: { family: "system-ui, sans-serif", size: 12, color: ink("--quiet") },
    hoverlabel: { bgcolor: ink("--panel"), bordercolor: ink("--rule"), font: { color: ink("--ink"), size: 12 } },
    margin: { l: 34, r: 8, t: 8, b: 30 }, xaxis: axis(), yaxis: axis(), ...more,
  };
}

const hasInterval = (row) => row.low !== null && row.high !== null;

function whiskers(rows, of) {
  return {
    type: "data", symmetric: false, thickness: 1.5, width: 4,
    array: rows.map((row) => (hasInterval(row) ? of(row.high) - of(row.centre) : NaN)),
    arrayminus: rows.map((row) => (hasInterval(row) ? of(row.centre) - of(row.low) : NaN)),
  };
}

/* A line across the plot; it lies under the grid, so no grid line may stand at the same place. */
function upright(at) {
  return { type: "line", layer: "below", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: ink("--quiet"), width: 1, dash: "dash" } };
}

const overDraws = (row) => row.draw === null && row.seed === null;

/* Rows pooled over backbones have neither backbone nor family; with one backbone its own rows may have to do. */
function rowsFor(rows, backbone) {
  if (backbone !== null) return rows.filter((row) => row.backbone === backbone);
  const pooled = rows.filter((row) => row.backbone === null && row.family === null);
  return pooled.length || backbones.length > 1 ? pooled : rows.filter((row) => row.backbone !== null);
}

const backbones = distinct(accuracies.map((row) => row.backbone).filter((name) => name !== null));
/* The top of every accuracy axis, equal in all panels and readings, so that they can be compared. */
const highest = Math.min(100, 10 * Math.ceil(10 * accuracies
  .filter((row) => overDraws(row) || row.backbone !== null)
  .reduce((top, row) => Math.max(top, row.accuracy, overDraws(row) ? row.high ?? 0 : 0), 0.1)));

/* One panel: the mean line with its intervals, every run as a faint dot, the untuned backbone dashed. */
function drawDose(node) {
  const here = accuracies.filter((row) =>
    row.view === node.dataset.view && row.of === node.dataset.of && row.reading === chosen.reading);
  const means = rowsFor(here.filter(overDraws), chosen.backbone);
  const runs = here.filter((row) => row.draw !== null && row.backbone !== null
    && (chosen.backbone === null || row.backbone === chosen.backbone));
  const arms = means.filter((row) => row.arm !== data.untuned && row.share !== null).sort((a, b) => a.share - b.share);
  const before = means.filter((row) => row.arm === data.untuned);
  const traces = [...before.map(untunedLine), runDots(runs.filter((row) => row.share !== null)), meanLine(arms)];
  Plotly.react(node, traces, layout({
    xaxis: axis({ range: [-8, 108], tickvals: distinctShares(arms), ticksuffix: " %" }),
    yaxis: axis({ range: [-2, highest + 2], nticks: 5 }),
  }), CONFIG);
}

const distinctShares = (rows) => [...new Set(rows.map((row) => percent(row.share)))];

function untunedLine(row) {
  const text = esc(`before tuning: ${shown(percent(row.accuracy))} %`);
  return {
    type: "scatter", mode: "lines", x: [-8, 108], y: [percent(row.accuracy), percent(row.accuracy)],
    line: { color: ink("--untuned"), dash: "dash", width: 1.5 }, hoverinfo: "text", hovertext: [text, text],
  };
}

/* Runs stand a little to the left of their arm's mean, which would hide them. */
const BESIDE = 3.5;

function runDots(rows) {
  return {
    type: "scatter", mode: "markers", x: rows.map((row) => percent(row.share) - BESIDE), y: rows.map((row) => percent(row.accuracy)),
    marker: { color: rows.map((row) => armColour(row.arm)), size: 7, opacity: 0.35 }, hoverinfo: "text",
    hovertext: rows.map((row) => esc(`${row.arm}, ${row.backbone}, draw ${row.draw}, seed ${row.seed}: ${shown(percent(row.accuracy))} %`, 160)),
  };
}

function meanLine(rows) {
  const told = rows.map((row) => ({ ...row, centre: row.accuracy }));
  return {
    type: "scatter", mode: "lines+markers", x: told.map((row) => percent(row.share)), y: told.map((row) => percent(row.accuracy)),
    line: { color: ink("--ink"), width: 1.5 }, error_y: { ...whiskers(told, percent), color: ink("--ink") },
    marker: { color: told.map((row) => armColour(row.arm)), symbol: told.map((row) => armSymbol(row.arm)), size: 9 },
    hoverinfo: "text", hovertext: told.map((row) => esc(accuracyText(row), 160)),
  };
}

function accuracyText(row) {
  const span = !hasInterval(row) ? "no interval" : `${shown(percent(row.low))} to ${shown(percent(row.high))}`;
  return `${row.arm}: ${shown(percent(row.accuracy))} % (${span}), ${row.n_items} items, ${row.n_draws} draws`;
}

/* Rows from top to bottom in the page's order: overall, domains, tasks. */
function placed(rows) {
  return data.places.map((place) => rows.filter((row) => row.view === place.view && row.of === place.of)).flat();
}

const nameOf = (place) => (place.view === "overall" ? "all tasks" : place.of);

function rowAxis(places) {
  return axis({
    tickvals: places.map((_, at) => at), ticktext: places.map((place) => esc(nameOf(place), 26)),
    range: [places.length - 0.4, -0.6], showgrid: false,
  });
}

/* Lines between overall, domains and tasks. */
function between(rows) {
  const borders = rows.map((row, at) => at).filter((at) => at && rows[at].view !== rows[at - 1].view);
  return borders.map((at) => ({
    type: "line", layer: "below", xref: "paper", x0: 0, x1: 1, y0: at - 0.5, y1: at - 0.5, line: { color: ink("--quiet"), width: 1, dash: "dot" },
  }));
}

function fit(node, rows) {
  node.style.height = `${Math.max(190, 60 + 24 * rows)}px`;
}

function drawForest(node) {
  const rows = placed(rowsFor(effects.filter((row) =>
    row.reading === chosen.reading && row.contrast === chosen.contrast), chosen.backbone))
    .filter((row) => row.estimate !== null).map((row) => ({ ...row, centre: row.estimate }));
  fit(node, rows.length);
  const same = (value) => value;
  const trace = {
    type: "scatter", mode: "markers", x: rows.map((row) => row.estimate), y: rows.map((_, at) => at),
    marker: { color: ink("--accent"), opacity: 1, line: { width: 0 }, size: rows.map((row) => (row.view === "overall" ? 12 : 8)), symbol: rows.map((row) => (row.view === "task" ? "circle" : "diamond") + (hasInterval(row) ? "" : "-open")) },
    error_x: { ...whiskers(rows, same), color: ink("--accent") }, hoverinfo: "text",
    hovertext: rows.map((row) => esc(`${nameOf(row)}: ${signed(row.estimate)} (${hasInterval(row) ? `${signed(row.low)} to ${signed(row.high)}` : "no interval"})`, 160)),
  };
  Plotly.react(node, [trace], layout({
    xaxis: axis({ ...FROM_ZERO, zerolinecolor: ink("--ink"), title: { text: esc(`${chosen.contrast}, percentage points`), font: { size: 12 } } }),
    yaxis: rowAxis(rows), shapes: between(rows), margin: { l: 34, r: 12, t: 8, b: 44 },
  }), CONFIG);
}

function drawExtraction(node) {
  const here = rowsFor(accuracies.filter((row) => overDraws(row) && row.reading === chosen.reading), chosen.backbone);
  const places = data.places.filter((place) => here.some((row) => row.view === place.view && row.of === place.of));
  fit(node, places.length);
  const traces = data.arms.map((arm) => {
    const rows = here.filter((row) => row.arm === arm);
    return {
      type: "scatter", mode: "markers", x: rows.map((row) => percent(row.answered)),
      y: rows.map((row) => places.findIndex((place) => place.view === row.view && place.of === row.of)),
      marker: { color: armColour(arm), symbol: armSymbol(arm), size: 10, opacity: 0.85, line: { width: arm === data.untuned ? 2 : 0 } },
      hoverinfo: "text", hovertext: rows.map((row) => esc(`${nameOf(row)}, ${arm}: answered ${shown(percent(row.answered))} %, cut ${shown(percent(row.truncated))} %`, 160)),
    };
  });
  Plotly.react(node, traces, layout({
    xaxis: axis({ range: [-3, 103], ticksuffix: " %" }), yaxis: { ...rowAxis(places), showgrid: true }, shapes: between(places),
  }), CONFIG);
}

function drawBalance(node) {
  const rows = unpack(data.balance).filter((row) => row.smd !== null && !data.dose.includes(row.quantity));
  const quantities = distinct(rows.map((row) => row.quantity));
  fit(node, quantities.length);
  const traces = tuned.map((arm) => {
    const own = rows.filter((row) => row.arm === arm);
    return {
      type: "scatter", mode: "markers", x: own.map((row) => row.smd), y: own.map((row) => quantities.indexOf(row.quantity)),
      marker: { color: armColour(arm), symbol: armSymbol(arm), size: 9, opacity: 0.75 }, hoverinfo: "text",
      hovertext: own.map((row) => esc(`${row.quantity}, ${arm}, draw ${row.draw}: ${shown(row.smd, 2)}`, 160)),
    };
  });
  const reach = 1.1 * rows.reduce((most, row) => Math.max(most, Math.abs(row.smd)), 1.5 * data.largeSmd);
  const places = quantities.map((quantity) => ({ view: "task", of: quantity }));
  Plotly.react(node, traces, layout({
    xaxis: axis({ ...FROM_ZERO, zerolinecolor: ink("--ink"), showgrid: false, range: [-reach, reach] }), yaxis: { ...rowAxis(places), showgrid: true },
    shapes: [upright(data.largeSmd), upright(-data.largeSmd)],
  }), CONFIG);
}

/* One row a text: what tuning did to its loss or, where the backbone was not asked before, the loss itself.
In a row the arms stand below each other, so that equal losses do not hide one another. */
function drawTreatment(node) {
  const all = unpack(data.losses).filter((row) => row.backbone === node.dataset.of);
  const before = new Map(all.filter((row) => row.arm === data.untuned).map((row) => [row.label, row.loss]));
  const rows = all.filter((row) => row.arm !== data.untuned && (!before.size || before.has(row.label)))
    .map((row) => ({ ...row, by: row.loss - (before.get(row.label) ?? 0) }));
  const texts = data.labels.filter((label) => rows.some((row) => row.label === label));
  const arms = tuned.filter((arm) => rows.some((row) => row.arm === arm));
  const height = (row) => texts.indexOf(row.label) + 0.7 * ((arms.indexOf(row.arm) + 0.5) / arms.length - 0.5);
  fit(node, 0.9 * texts.length * arms.length);
  const words = (row) => `${before.size ? signed(row.by, 3) : shown(row.by, 3)} (loss ${shown(row.loss, 3)})`;
  const traces = arms.flatMap((arm) => {
    const own = rows.filter((row) => row.arm === arm);
    return [lossDots(own, height, words), lossMeans(own, height, words)];
  });
  const what = before.size ? "change of the loss, nats per token" : "loss, nats per token";
  Plotly.react(node, traces, layout({
    xaxis: axis({ ...(before.size ? { rangemode: "tozero" } : {}), nticks: 7, title: { text: what, font: { size: 12 } } }),
    yaxis: rowAxis(texts.map((text) => ({ view: "task", of: text }))),
    shapes: [...beneath(texts), ...(before.size ? [{ ...upright(0), line: { color: ink("--untuned"), dash: "dash", width: 1.5 } }] : [])],
    margin: { l: 34, r: 12, t: 8, b: 44 },
  }), CONFIG);
}

const beneath = (rows) => rows.slice(1).map((_, at) => ({
  type: "line", layer: "below", xref: "paper", x0: 0, x1: 1, y0: at + 0.5, y1: at + 0.5, line: { color: ink("--rule"), width: 1 },
}));

function lossDots(rows, height, words) {
  return {
    type: "scatter", mode: "markers", x: rows.map((row) => row.by), y: rows.map(height),
    marker: { color: rows.map((row) => armColour(row.arm)), size: 6, opacity: 0.35 }, hoverinfo: "text",
    hovertext: rows.map((row) => esc(`${row.label}, ${row.arm}, draw ${row.draw}, seed ${row.seed}: ${words(row)}`, 160)),
  };
}

function lossMeans(rows, height, words) {
  const own = data.labels.map((label) => rows.filter((row) => row.label === label)).filter((some) => some.length);
  const mean = (some, name) => average(some.map((row) => row[name]));
  const means = own.map((some) => ({ ...some[0], by: mean(some, "by"), loss: mean(some, "loss") }));
  return {
    type: "scatter", mode: "markers", x: means.map((row) => row.by), y: means.map(height),
    marker: { color: means.map((row) => armColour(row.arm)), symbol: means.map((row) => armSymbol(row.arm)), size: 10 },
    hoverinfo: "text", hovertext: means.map((row) => esc(`${row.label}, ${row.arm}: ${words(row)}`, 160)),
  };
}

function drawTraining(node) {
  const cells = new Map();
  for (const row of unpack(data.curves)) {
    if (!cells.has(row.cell)) cells.set(row.cell, []);
    cells.get(row.cell).push(row);
  }
  const traces = [...cells.values()].map((rows) => {
    const { arm, backbone, draw, seed } = rows[0];
    return {
      type: "scatter", mode: "lines", x: rows.map((row) => row.step), y: rows.map((row) => row.loss),
      line: { color: armColour(arm), width: 1.5 }, opacity: 0.75, hoverinfo: "text",
      hovertext: rows.map((row) => esc(`${arm}, ${backbone}, draw ${draw}, seed ${seed}, step ${row.step}: ${shown(row.loss, 3)}`, 160)),
    };
  });
  Plotly.react(node, traces, layout({
    xaxis: axis({ title: { text: "step", font: { size: 12 } } }), yaxis: axis({ rangemode: "tozero" }),
    margin: { l: 34, r: 8, t: 8, b: 44 },
  }), CONFIG);
}

const DRAWERS = { treatment: drawTreatment, dose: drawDose, forest: drawForest, extraction: drawExtraction, balance: drawBalance, training: drawTraining };

function drawAll() {
  for (const node of document.querySelectorAll(".plot")) DRAWERS[node.dataset.plot](node);
}

/* ---- switches */

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => {
    const option = make("option", text);
    option.value = value;
    return option;
  }));
  select.parentElement.hidden = options.length < 2;
}

function drawLegend(node) {
  const arms = node.classList.contains("tuned") ? tuned : data.arms;
  const name = (arm) => (arm === data.untuned ? "before tuning" : arm);
  node.replaceChildren(...arms.map((arm) => make("span", `${armGlyph(arm)} ${name(arm)}`, armClass(arm))));
}

function chooseReading(reading) {
  chosen.reading = reading;
  for (const block of document.querySelectorAll("[data-reading]")) block.hidden = block.dataset.reading !== reading;
  drawAll();
}

function startFigures() {
  for (const node of document.querySelectorAll(".legend")) drawLegend(node);
  for (const radio of document.querySelectorAll("input[name=reading]")) {
    radio.addEventListener("change", () => chooseReading(radio.value));
  }
  const all = backbones.length > 1 ? [["", "all, pooled"]] : [];
  fill(byId("backbone"), [...all, ...backbones.map((name, at) => [String(at), name])]);
  byId("backbone").addEventListener("change", (event) => {
    chosen.backbone = event.target.value === "" ? null : backbones[Number(event.target.value)];
    drawAll();
  });
  fill(byId("contrast"), data.contrasts.map((name, at) => [String(at), name === data.primary ? `${name} (primary)` : name]));
  byId("contrast").addEventListener("change", (event) => {
    chosen.contrast = data.contrasts[Number(event.target.value)];
    drawAll();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
}

/* ---- replies side by side */

const told = read("reply-data");
const tasks = data.places.filter((place) => place.view === "task").map((place) => place.of);
const items = unpack(told.items).sort((a, b) => tasks.indexOf(a.task) - tasks.indexOf(b.task));
const runOf = new Map(unpack(told.runs).map((run) => [run.cell, run]));
const replies = new Map();
for (const reply of unpack(told.replies)) {
  if (!replies.has(reply.item_id)) replies.set(reply.item_id, []);
  replies.get(reply.item_id).push({ ...reply, ...runOf.get(reply.cell) });
}

const runName = (run) => `draw ${run.draw}, seed ${run.seed}`;

/* The replies to one item by the chosen backbone, draw and sample, in the order of the arms. */
function repliesTo(item) {
  const backbone = byId("pick-backbone").value;
  const run = byId("pick-run").value;
  const sample = byId("pick-sample").value;
  return (replies.get(item.item_id) ?? [])
    .filter((reply) => reply.backbone === backbone && String(reply.sample) === sample
      && (reply.draw === null || runName(reply) === run))
    .sort((a, b) => data.arms.indexOf(a.arm) - data.arms.indexOf(b.arm));
}

/* Arms disagree where some are right and some are not; the untuned backbone is no arm. */
function disagree(item) {
  const own = repliesTo(item).filter((reply) => reply.arm !== data.untuned);
  const right = own.filter((reply) => reply[chosen.reading] === "right").length;
  return right > 0 && right < own.length;
}

function mentions(item, words) {
  const texts = [item.item_id, item.question, item.answer, ...repliesTo(item).flatMap((reply) => [reply.text, reply.forced_text])];
  return texts.some((text) => text !== null && text.toLowerCase().includes(words));
}

function matching() {
  const task = byId("pick-task").value;
  const words = byId("search").value.trim().toLowerCase();
  return items.filter((item) => (task === "" || item.task === task)
    && (!byId("disagree").checked || disagree(item)) && (!words || mentions(item, words)));
}

function listItems() {
  const picker = byId("pick-item");
  const before = picker.value;
  const found = matching();
  const options = found.map((item) => {
    const option = make("option", `${item.task}: ${item.question.slice(0, 80)}`);
    option.value = item.item_id;
    return option;
  });
  picker.replaceChildren(...options);
  if (found.some((item) => item.item_id === before)) picker.value = before;
  byId("found").textContent = `${found.length} of ${items.length} items; outcomes and disagreement under the ${chosen.reading} reading`;
  showCase();
}

function outcomes(reply) {
  const list = make("ul", "", "outcomes");
  for (const reading of data.readings) {
    const outcome = reply[reading];
    list.append(make("li", `${reading}: ${outcome === null ? "–" : outcome.replace("_", " ")}`, outcome === "right" ? "outcome-right" : ""));
  }
  return list;
}

function replyCard(reply) {
  const card = make("article", "", `reply ${armClass(reply.arm)}`);
  card.append(make("h4", reply.arm === data.untuned ? "before tuning" : reply.arm), outcomes(reply));
  const text = make("pre", reply.text, "texts");
  text.tabIndex = 0;
  card.append(text);
  if (reply.forced_text !== null) card.append(make("p", "Forced answer:", "quiet"), make("pre", reply.forced_text, "texts"));
  const facts = [`${reply.n_tokens} tokens`, reply.finish === "length" ? "cut at the limit" : "ended by itself", ...(reply.in_code ? ["in code"] : [])];
  card.append(make("p", facts.join(", "), "quiet"));
  return card;
}

function showCase() {
  const item = items.find((one) => one.item_id === byId("pick-item").value);
  if (!item) {
    byId("case").replaceChildren(make("p", "No item matches.", "quiet"));
    return;
  }
  const asked = make("div", "", "asked");
  const level = item.level === null ? "" : `, level ${item.level}`;
  asked.append(make("h3", item.task), make("p", `${item.domain}, ${item.origin}${level}, item ${item.item_id}`, "quiet"),
    make("p", item.question, "texts"), make("p", `Right answer: ${item.answer}`, "texts"));
  const arms = make("div", "", "arms");
  arms.append(...repliesTo(item).map(replyCard));
  byId("case").replaceChildren(asked, arms);
}

function step(by) {
  const picker = byId("pick-item");
  const count = picker.options.length;
  if (count) picker.selectedIndex = (picker.selectedIndex + by + count) % count;
  showCase();
}

function startReplies() {
  const runs = [...runOf.values()];
  const named = (values) => values.map((value) => [value, value]);
  fill(byId("pick-task"), [["", "all tasks"], ...named(tasks)]);
  fill(byId("pick-backbone"), named(distinct(runs.map((run) => run.backbone))));
  fill(byId("pick-run"), named(distinct(runs.filter((run) => run.draw !== null).map(runName))));
  fill(byId("pick-sample"), named(distinct([...replies.values()].flat().map((reply) => String(reply.sample)))));
  for (const id of ["pick-task", "pick-backbone", "pick-run", "pick-sample", "disagree"]) byId(id).addEventListener("change", listItems);
  for (const radio of document.querySelectorAll("input[name=reading]")) radio.addEventListener("change", listItems);
  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(listItems, 200);
  });
  byId("pick-item").addEventListener("change", showCase);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  listItems();
}

startFigures();
startReplies();
