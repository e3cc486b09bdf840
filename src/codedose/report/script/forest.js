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
  Plotly.react(node, [trace], layout({
    xaxis: axis({ ...FROM_ZERO, zerolinecolor: ink("--ink"), title: { text: esc(`${chosen.contrast}, percentage points`), font: { size: 12 } } }),
    yaxis: rowAxis(rows), shapes: between(rows), margin: { l: 34, r: 12, t: 8, b: 44 },
  }), CONFIG);
}
