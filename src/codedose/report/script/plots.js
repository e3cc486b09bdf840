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

/* Draws, and keeps the rows that are drawn: the figure's CSV holds these. */
function show(node, traces, look, rows) {
  drawn.set(node, rows);
  Plotly.react(node, traces, look, CONFIG);
}

const drawn = new Map();

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
