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
  show(node, traces, layout({
    xaxis: axis({ range: [-3, 103], ticksuffix: " %" }), yaxis: { ...rowAxis(places), showgrid: true }, shapes: between(places),
  }), here.map((row) => ({
    view: row.view, of: row.of, reading: row.reading, backbone: row.backbone, arm: row.arm, "answered, %": percent(row.answered), "cut, %": percent(row.truncated),
  })));
}
