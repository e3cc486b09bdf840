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
