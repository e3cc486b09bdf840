function drawTraining(node) {
  const cells = new Map();
  for (const row of unpack(data.curves)) {
    if (!cells.has(row.cell)) cells.set(row.cell, []);
    cells.get(row.cell).push(row);
  }
  const traces = [...cells.values()].map((rows) => {
    const { arm, backbone, draw, seed } = rows[0];
    return {
      type: "scatter", mode: "lines", x: rows.map((row) => row.step), y: rows.map((row) => row.loss),
      line: { color: armColour(arm), width: 1.5 }, opacity: 0.75, hoverinfo: "text",
      hovertext: rows.map((row) => esc(`${arm}, ${backbone}, draw ${draw}, seed ${seed}, step ${row.step}: ${shown(row.loss, 3)}`, 160)),
    };
  });
  show(node, traces, layout({
    xaxis: axis({ title: { text: "step", font: { size: 12 } } }), yaxis: axis({ rangemode: "tozero" }),
    margin: { l: 34, r: 8, t: 8, b: 44 },
  }), [...cells.values()].flat().map(({ backbone, arm, draw, seed, step, loss }) => ({ backbone, arm, draw, seed, step, loss })));
}
