/* Place by backbone, as coloured fields with their numbers: the bundle has no heat-map trace. */

const STRENGTHS = [0.1, 0.22, 0.36, 0.52, 0.7]; // how strong a field's colour is from each step of gain on

function fieldColour(estimate) {
  const depth = data.stepsOfGain.filter((step) => Math.abs(estimate) >= step).length;
  return `rgba(${ink(estimate > 0 ? "--gain" : "--loss")}, ${STRENGTHS[depth]})`;
}

function drawHeat(node) {
  const rows = effects.filter((row) => row.reading === chosen.reading && row.contrast === chosen.contrast
    && row.backbone !== null && row.estimate !== null);
  const places = data.places.filter((place) => rows.some((row) => row.view === place.view && row.of === place.of));
  const across = (row) => backbones.indexOf(row.backbone);
  const down = (row) => places.findIndex((place) => place.view === row.view && place.of === row.of);
  node.style.height = `${Math.max(190, 90 + 26 * places.length)}px`;
  const narrow = node.clientWidth / (backbones.length + 2) < 52; // pixels: too few for a decimal
  const clear = (row) => (hasInterval(row) && (row.low > 0 || row.high < 0) ? "*" : "");
  const words = {
    type: "scatter", mode: "text", x: rows.map(across), y: rows.map(down), text: rows.map((row) => signed(row.estimate, narrow ? 0 : 1) + clear(row)),
    textfont: { color: ink("--ink"), size: backbones.length > 4 ? 10 : 12 }, hoverinfo: "text",
    hovertext: rows.map((row) => esc(`${nameOf(row)}, ${row.backbone}: ${signed(row.estimate)} (${hasInterval(row) ? `${signed(row.low)} to ${signed(row.high)}` : "no interval"})`, 160)),
  };
  const fields = rows.map((row) => ({
    type: "rect", layer: "below", x0: across(row) - 0.49, x1: across(row) + 0.49, y0: down(row) - 0.47, y1: down(row) + 0.47,
    line: { width: 0 }, fillcolor: fieldColour(row.estimate),
  }));
  show(node, [words], layout({
    xaxis: axis({
      side: "top", showgrid: false, range: [-0.55, backbones.length - 0.45], tickvals: backbones.map((_, at) => at),
      ticktext: backbones.map((name) => esc(name, 18)),
    }),
    yaxis: rowAxis(places), shapes: [...fields, ...between(places)], margin: { l: 34, r: 8, t: 30, b: 8 },
  }), rows.map((row) => effectRow("over draws, these items", row)));
}
