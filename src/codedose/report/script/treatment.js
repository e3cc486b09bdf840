/* One row a text: what tuning did to its loss or, where the backbone was not asked before, the loss itself.
In a row the arms stand below each other, so that equal losses do not hide one another. */
function drawTreatment(node) {
  const all = unpack(data.losses).filter((row) => row.backbone === node.dataset.of);
  const before = new Map(all.filter((row) => row.arm === data.untuned).map((row) => [row.label, row.loss]));
  const rows = all.filter((row) => row.arm !== data.untuned && (!before.size || before.has(row.label)))
    .map((row) => ({ ...row, by: row.loss - (before.get(row.label) ?? 0) }));
  const texts = data.labels.filter((label) => rows.some((row) => row.label === label));
  const arms = tuned.filter((arm) => rows.some((row) => row.arm === arm));
  const height = (row) => texts.indexOf(row.label) + 0.7 * ((arms.indexOf(row.arm) + 0.5) / arms.length - 0.5);
  fit(node, 0.9 * texts.length * arms.length);
  const words = (row) => `${before.size ? signed(row.by, 3) : shown(row.by, 3)} (loss ${shown(row.loss, 3)})`;
  const traces = arms.flatMap((arm) => {
    const own = rows.filter((row) => row.arm === arm);
    return [lossDots(own, height, words), lossMeans(own, height, words)];
  });
  const what = before.size ? "change of the loss, nats per token" : "loss, nats per token";
  show(node, traces, layout({
    xaxis: axis({ ...(before.size ? { rangemode: "tozero" } : {}), nticks: 7, title: { text: what, font: { size: 12 } } }),
    yaxis: rowAxis(texts.map((text) => ({ view: "task", of: text }))),
    shapes: [...beneath(texts), ...(before.size ? [{ ...upright(0), line: { color: ink("--untuned"), dash: "dash", width: 1.5 } }] : [])],
    margin: { l: 34, r: 12, t: 8, b: 44 },
  }), rows.map(({ backbone, arm, draw, seed, label, loss, by }) => ({ backbone, arm, draw, seed, text: label, loss, change: before.size ? by : null })));
}

function lossDots(rows, height, words) {
  return {
    type: "scatter", mode: "markers", x: rows.map((row) => row.by), y: rows.map(height),
    marker: { color: rows.map((row) => armColour(row.arm)), size: 6, opacity: 0.35 }, hoverinfo: "text",
    hovertext: rows.map((row) => esc(`${row.label}, ${row.arm}, draw ${row.draw}, seed ${row.seed}: ${words(row)}`, 160)),
  };
}

function lossMeans(rows, height, words) {
  const own = data.labels.map((label) => rows.filter((row) => row.label === label)).filter((some) => some.length);
  const mean = (some, name) => average(some.map((row) => row[name]));
  const means = own.map((some) => ({ ...some[0], by: mean(some, "by"), loss: mean(some, "loss") }));
  return {
    type: "scatter", mode: "markers", x: means.map((row) => row.by), y: means.map(height),
    marker: { color: means.map((row) => armColour(row.arm)), symbol: means.map((row) => armSymbol(row.arm)), size: 10 },
    hoverinfo: "text", hovertext: means.map((row) => esc(`${row.label}, ${row.arm}: ${words(row)}`, 160)),
  };
}
