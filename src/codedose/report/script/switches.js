const DRAWERS = {
  balance: drawBalance, treatment: drawTreatment, dose: drawDose, forest: drawForest, heat: drawHeat, certainty: drawCertainty,
  ranking: drawRanking, readings: drawReadings, extraction: drawExtraction, controls: drawControls, training: drawTraining,
};

const draw = (node) => DRAWERS[node.dataset.plot](node);

function inSight(node) {
  const box = node.getBoundingClientRect();
  return box.bottom > 0 && box.top < innerHeight;
}

const SLICE = 40; // milliseconds of drawing at a time, so that the page can be read meanwhile
let waiting = [];
let timer = 0;

/* What is in sight at once, the rest in slices; the root element says when all figures stand. */
function drawAll() {
  const plots = [...document.querySelectorAll(".plot")];
  const seen = plots.filter(inSight);
  document.documentElement.dataset.figures = "being drawn";
  seen.forEach(draw);
  waiting = plots.filter((node) => !seen.includes(node));
  clearTimeout(timer);
  timer = setTimeout(drawSlice);
}

function drawSlice() {
  const end = performance.now() + SLICE;
  while (waiting.length && performance.now() < end) draw(waiting.shift());
  if (waiting.length) timer = setTimeout(drawSlice);
  else document.documentElement.dataset.figures = "drawn";
}

function drawRest() {
  waiting.splice(0).forEach(draw);
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
  addEventListener("beforeprint", drawRest);
  for (const node of document.querySelectorAll(".plot")) addDownloads(node);
}
