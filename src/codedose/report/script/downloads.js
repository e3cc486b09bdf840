/* What a figure shows, as a file: its rows as CSV, its drawing as SVG. Nothing leaves the page for it. */

/* A spreadsheet takes a text that starts so for a formula (as build.py does for the tables). */
const FORMULA = /^[=+\-@\t\r]/;

function csvField(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(+value.toPrecision(6)); // as the page holds them (figures.py, tidy)
  if (typeof value !== "string") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

function csv(rows) {
  const head = Object.keys(rows[0] ?? {});
  return [head, ...rows.map((row) => head.map((name) => row[name]))].map((line) => line.map(csvField).join(",")).join("\n") + "\n";
}

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* The figure as it stands, on paper of its own colour. */
async function saveDrawing(node, name) {
  const figure = { data: node.data, layout: { ...node.layout, paper_bgcolor: ink("--paper") }, config: CONFIG };
  const size = { width: node.clientWidth, height: node.clientHeight };
  save(`${name}.svg`, "image/svg+xml", await Plotly.toImage(figure, { format: "svg", imageDataOnly: true, ...size }));
}

function fileName(node) {
  const of = node.dataset.of ? `-${node.dataset.of.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 40)}` : "";
  return `codedose-${node.dataset.plot}${of}`;
}

function addDownloads(node) {
  const bar = make("p", "", "downloads");
  const label = node.getAttribute("aria-label").split(". ")[0];
  const button = (name, act) => {
    const one = make("button", name);
    one.type = "button";
    one.setAttribute("aria-label", `${name}: ${label}`);
    one.addEventListener("click", () => {
      if (!drawn.has(node)) draw(node);
      act();
    });
    bar.append(one);
  };
  button("CSV", () => save(`${fileName(node)}.csv`, "text/csv", csv(drawn.get(node))));
  button("SVG", () => saveDrawing(node, fileName(node)));
  node.closest("figure").append(bar);
}
