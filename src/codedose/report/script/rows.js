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
