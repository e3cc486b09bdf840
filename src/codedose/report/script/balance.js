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
  show(node, traces, layout({
    xaxis: axis({ ...FROM_ZERO, zerolinecolor: ink("--ink"), showgrid: false, range: [-reach, reach] }), yaxis: { ...rowAxis(places), showgrid: true },
    shapes: [upright(data.largeSmd), upright(-data.largeSmd)],
  }), rows.map(({ quantity, arm, draw, smd }) => ({ quantity, arm, draw, smd })));
}
