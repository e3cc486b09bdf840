/* One panel: the mean line with its intervals, every run as a faint dot, the untuned backbone dashed. */
function drawDose(node) {
  const here = accuracies.filter((row) =>
    row.view === node.dataset.view && row.of === node.dataset.of && row.reading === chosen.reading);
  const means = rowsFor(here.filter(overDraws), chosen.backbone);
  const runs = here.filter((row) => row.draw !== null && row.backbone !== null
    && (chosen.backbone === null || row.backbone === chosen.backbone));
  const arms = means.filter((row) => row.arm !== data.untuned && row.share !== null).sort((a, b) => a.share - b.share);
  const before = means.filter((row) => row.arm === data.untuned);
  const shares = arms.map((row) => row.share);
  const fit = rowsFor(fits.filter((row) => row.view === node.dataset.view && row.of === node.dataset.of
    && row.reading === chosen.reading && row.share >= Math.min(...shares) && row.share <= Math.max(...shares)), chosen.backbone);
  const dots = runs.filter((row) => row.share !== null);
  const traces = [...fitted(fit), ...before.map(untunedLine), runDots(dots), meanMarks(arms, fit.length === 0)];
  show(node, traces, layout({
    xaxis: axis({ range: [-8, 108], tickvals: distinctShares(arms), ticktext: distinctShares(arms).map((share) => `${+share.toFixed(1)} %`) }),
    yaxis: axis({ range: [-2, highest + 2], nticks: 5 }),
  }), [
    ...means.map((row) => doseRow("mean", row)), ...dots.map((row) => doseRow("run", row)),
    ...fit.map((row) => doseRow("curve", { ...row, accuracy: row.estimate })),
  ]);
}

const fits = unpack(data.fits);

const doseRow = (what, row) => ({
  what, view: row.view, of: row.of, reading: row.reading, backbone: row.backbone, arm: row.arm ?? null,
  "share, %": percent(row.share), draw: row.draw ?? null, seed: row.seed ?? null, "accuracy, %": percent(row.accuracy),
  "low, %": what === "run" ? null : percent(row.low), "high, %": what === "run" ? null : percent(row.high),
});

/* The curve as a thin line over the band of its limits, where it has any. */
function fitted(rows) {
  const banded = rows.filter(hasInterval);
  const back = [...banded].reverse();
  const band = {
    type: "scatter", mode: "lines", fill: "toself", line: { width: 0 }, fillcolor: ink("--band"), hoverinfo: "skip",
    x: [...banded, ...back].map((row) => percent(row.share)),
    y: [...banded.map((row) => percent(row.high)), ...back.map((row) => percent(row.low))],
  };
  const line = {
    type: "scatter", mode: "lines", x: rows.map((row) => percent(row.share)), y: rows.map((row) => percent(row.estimate)),
    line: { color: ink("--quiet"), width: 1.5, shape: "spline" }, hoverinfo: "text",
    hovertext: rows.map((row) => esc(`fitted at ${shown(percent(row.share), 0)} %: ${shown(percent(row.estimate))} %`)),
  };
  return [...(banded.length ? [band] : []), ...(rows.length ? [line] : [])];
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

/* The means with their intervals; joined by straight lines where no curve was fitted. */
function meanMarks(rows, joined) {
  const told = rows.map((row) => ({ ...row, centre: row.accuracy }));
  return {
    type: "scatter", mode: joined ? "lines+markers" : "markers", x: told.map((row) => percent(row.share)), y: told.map((row) => percent(row.accuracy)),
    line: { color: ink("--ink"), width: 1.5 }, error_y: { ...whiskers(told, percent), color: ink("--ink") },
    marker: { color: told.map((row) => armColour(row.arm)), symbol: told.map((row) => armSymbol(row.arm)), size: 9 },
    hoverinfo: "text", hovertext: told.map((row) => esc(accuracyText(row), 160)),
  };
}

function accuracyText(row) {
  const span = !hasInterval(row) ? "no interval" : `${shown(percent(row.low))} to ${shown(percent(row.high))}`;
  return `${row.arm}: ${shown(percent(row.accuracy))} % (${span}), ${row.n_items} items, ${row.n_draws} draws`;
}
