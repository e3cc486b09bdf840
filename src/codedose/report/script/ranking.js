const ranks = unpack(data.ranks);

/* One row a place, the mean rank of each arm as its symbol. */
function drawRanking(node) {
  const here = ranks.filter((row) => row.reading === chosen.reading);
  const places = data.places.filter((place) => here.some((row) => row.view === place.view && row.of === place.of));
  fit(node, places.length);
  const traces = tuned.map((arm) => {
    const rows = here.filter((row) => row.arm === arm);
    return {
      type: "scatter", mode: "markers", x: rows.map((row) => row.rank),
      y: rows.map((row) => places.findIndex((place) => place.view === row.view && place.of === row.of)),
      marker: { color: armColour(arm), symbol: armSymbol(arm), size: 10, opacity: 0.85 }, hoverinfo: "text",
      hovertext: rows.map((row) => esc(`${nameOf(row)}, ${arm}: mean rank ${shown(row.rank, 2)} of ${row.judges} judges`, 160)),
    };
  });
  show(node, traces, layout({
    xaxis: axis({ range: [0.85, Math.max(tuned.length, 2) + 0.15], dtick: 1, title: { text: "mean rank, 1 the most accurate", font: { size: 12 } } }),
    yaxis: { ...rowAxis(places), showgrid: true }, shapes: between(places), margin: { l: 34, r: 12, t: 8, b: 44 },
  }), here.map(({ view, of, reading, arm, rank, judges }) => ({ view, of, reading, arm, "mean rank": rank, judges })));
}
