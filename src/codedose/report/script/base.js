"use strict";
/* Draws the figures and the reply browser from the page's JSON blocks.

Every text from the data reaches the page through textContent, or through esc() where Plotly reads
markup in labels; nothing here builds HTML or code from text. */

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const byId = (id) => document.getElementById(id);

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/* Tables travel by column (figures.py, packed); here they become rows again. */
function unpack(table) {
  const columns = Object.entries(table.columns).map(([name, column]) => [name, valuesOf(column)]);
  return Array.from({ length: table.height }, (_, at) =>
    Object.fromEntries(columns.map(([name, values]) => [name, values[at]])));
}

function valuesOf(column) {
  if (Array.isArray(column)) return column;
  return column.codes.map((code) => (code === null ? null : column.levels[code]));
}

const data = read("data");
const accuracies = unpack(data.accuracies);
const effects = unpack(data.effects);
const chosen = { reading: data.reading, backbone: null, contrast: data.contrasts[0] ?? data.primary };

/* ---- words and colours */

/* Plotly takes <a>, <b>, <br> in labels for markup and decodes entities: with these three escaped,
what a reader sees is the text itself. */
function esc(text, longest = 60) {
  const plain = String(text).replace(/[\u0000-\u001f\u2028\u2029\ufffe\uffff]/g, " ");
  const short = plain.length > longest ? plain.slice(0, longest - 1) + "…" : plain;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const shown = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits).replace("-", "−"));
const signed = (value, digits = 1) => (value === null ? "–" : (value > 0 ? "+" : "") + shown(value, digits));
const percent = (value) => (value === null ? null : 100 * value);
const distinct = (values) => [...new Set(values)].sort();
const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon"];
const GLYPHS = ["●", "■", "◆", "▲", "✚", "★", "⬢"];
const tuned = data.arms.filter((arm) => arm !== data.untuned);
const armNumber = (arm) => tuned.indexOf(arm) % SYMBOLS.length;
const armClass = (arm) => (arm === data.untuned ? "untuned" : `arm-${armNumber(arm)}`);
const armColour = (arm) => ink(arm === data.untuned ? "--untuned" : `--arm-${armNumber(arm)}`);
const armSymbol = (arm) => (arm === data.untuned ? "line-ns-open" : SYMBOLS[armNumber(arm)]);
const armGlyph = (arm) => (arm === data.untuned ? "╌╌" : GLYPHS[armNumber(arm)]);
