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
  show(node, [trace], layout({
    xaxis: axis({ ...FROM_ZERO, zerolinecolor: ink("--ink"), title: { text: esc(`${chosen.contrast}, percentage points`), font: { size: 12 } } }),
    yaxis: rowAxis(rows), shapes: between(rows), margin: { l: 34, r: 12, t: 8, b: 44 },
  }), rows.map((row) => effectRow("over draws, these items", row)));
}

const effectRow = (interval, row) => ({
  view: row.view, of: row.of, reading: row.reading, backbone: row.backbone, contrast: row.contrast, interval,
  estimate: row.estimate, low: row.low, high: row.high,
});

const NEUTRAL = ["--ink", "--accent", "--caution"]; // colours and symbols of series that are no arms
const NEUTRAL_SYMBOLS = ["circle", "square", "diamond"];

/* Several estimates in each place, one below the other; `series` is a list of [name, rows]. */
function drawBeside(node, series) {
  const all = series.flatMap(([, rows]) => rows);
  const places = data.places.filter((place) => all.some((row) => row.view === place.view && row.of === place.of));
  fit(node, 0.75 * places.length * series.length);
  const same = (value) => value;
  const traces = series.map(([name, rows], number) => {
    const told = rows.map((row) => ({ ...row, centre: row.estimate }));
    const place = (row) => places.findIndex((one) => one.view === row.view && one.of === row.of);
    return {
      type: "scatter", mode: "markers", x: told.map((row) => row.estimate),
      y: told.map((row) => place(row) + 0.7 * ((number + 0.5) / series.length - 0.5)),
      marker: { color: ink(NEUTRAL[number]), symbol: told.map((row) => NEUTRAL_SYMBOLS[number] + (hasInterval(row) ? "" : "-open")), size: 8, opacity: 1 },
      error_x: { ...whiskers(told, same), color: ink(NEUTRAL[number]) }, hoverinfo: "text",
      hovertext: told.map((row) => esc(`${nameOf(row)}, ${name}: ${signed(row.estimate)} (${hasInterval(row) ? `${signed(row.low)} to ${signed(row.high)}` : "no interval"})`, 160)),
    };
  });
  show(node, traces, layout({
    xaxis: axis({ ...FROM_ZERO, zerolinecolor: ink("--ink"), title: { text: esc(`${chosen.contrast}, percentage points`), font: { size: 12 } } }),
    yaxis: rowAxis(places), shapes: [...beneath(places), ...between(places)], margin: { l: 34, r: 12, t: 8, b: 44 },
  }), series.flatMap(([name, rows]) => rows.map((row) => effectRow(name, row))));
}

const beneath = (rows) => rows.slice(1).map((_, at) => ({
  type: "line", layer: "below", xref: "paper", x0: 0, x1: 1, y0: at + 0.5, y1: at + 0.5, line: { color: ink("--rule"), width: 1 },
}));

/* Rows of the chosen contrast and backbone that have an estimate. */
function chosenOf(rows, reading) {
  return rowsFor(rows.filter((row) => row.reading === reading && row.contrast === chosen.contrast && row.estimate !== null), chosen.backbone);
}

const bootstrap = unpack(data.bootstrap);

function drawCertainty(node) {
  drawBeside(node, [
    ["over draws, these items", chosenOf(effects, chosen.reading)],
    ["over draws and items, new items", chosenOf(bootstrap, chosen.reading)],
  ]);
}

function drawReadings(node) {
  drawBeside(node, data.readings.map((reading) => [reading, chosenOf(effects, reading)]));
}
