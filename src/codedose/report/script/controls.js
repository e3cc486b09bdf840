const controls = unpack(data.controls);

/* "Code, draw 0 - draw 1" is about the arm Code. */
const armOfPair = (contrast) => contrast.slice(0, contrast.lastIndexOf(", draw "));

/* Every pair of draws in units of its own limit, so that one band holds for all. */
function drawControls(node) {
  const rows = rowsFor(controls.filter((row) => row.reading === chosen.reading && row.estimate !== null), chosen.backbone)
    .map((row) => ({ ...row, arm: armOfPair(row.contrast), ratio: row.estimate / row.high }));
  const places = data.places.filter((place) => rows.some((row) => row.view === place.view && row.of === place.of));
  fit(node, places.length);
  const traces = tuned.map((arm) => {
    const own = rows.filter((row) => row.arm === arm);
    return {
      type: "scatter", mode: "markers", x: own.map((row) => row.ratio),
      y: own.map((row) => places.findIndex((place) => place.view === row.view && place.of === row.of)),
      marker: {
        color: armColour(arm), symbol: armSymbol(arm), size: own.map((row) => (Math.abs(row.ratio) > 1 ? 13 : 9)), opacity: 0.7,
        line: { color: ink("--ink"), width: own.map((row) => (Math.abs(row.ratio) > 1 ? 2 : 0)) },
      },
      hoverinfo: "text",
      hovertext: own.map((row) => esc(`${nameOf(row)}, ${row.contrast}: ${signed(row.estimate)}, expected ${signed(row.low)} to ${signed(row.high)}`, 160)),
    };
  });
  const reach = 1.1 * rows.reduce((most, row) => Math.max(most, Math.abs(row.ratio)), 1.3);
  show(node, traces, layout({
    xaxis: axis({
      ...FROM_ZERO, zerolinecolor: ink("--ink"), showgrid: false, range: [-reach, reach], dtick: reach < 6 ? 1 : undefined,
      title: { text: "difference, in units of its limit", font: { size: 12 } },
    }),
    yaxis: { ...rowAxis(places), showgrid: true }, shapes: [upright(1), upright(-1), ...between(places)], margin: { l: 34, r: 12, t: 8, b: 44 },
  }), rows.map((row) => effectRow("expected of two draws of one arm", row)));
}
