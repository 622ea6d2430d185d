// The run, what of it is shown, and whoever wants to hear of a change.

const data = JSON.parse(document.getElementById("data").textContent);
const [AT, NODE, GROUP, KIND, TEXT] = [0, 1, 2, 3, 4];
const events = data.events;
const nodes = data.nodes;

const view = {
  from: data.from,
  to: Math.max(data.to, data.from + 1e-6),
  hiddenNodes: new Set(),
  hiddenGroups: new Set(),
  query: "",
  // Indices in `events`.
  selected: -1,
  hovered: -1,
};
const whole = { from: view.from, to: view.to };

// Called with what changed: "filter", "time", "selected" or "hovered".
const listeners = [];
const changed = (what) => listeners.forEach((listener) => listener(what));

const isShown = (event) =>
  !view.hiddenNodes.has(event[NODE]) &&
  !view.hiddenGroups.has(event[GROUP]) &&
  (view.query === "" || wordsOf(event).includes(view.query));

// What is looked in; made when somebody looks.
function wordsOf(event) {
  event.words ??= `${nodes[event[NODE]].name} ${data.kinds[event[KIND]]} ${event[TEXT]}`.toLowerCase();
  return event.words;
}

// Events that pass the filter, at any time and in the interval: indices.
let passing = [];
let inside = [];
const isInside = (at) => at === null || (at >= view.from && at <= view.to);
function sift(what) {
  if (what === "filter") {
    passing = [];
    events.forEach((event, n) => isShown(event) && passing.push(n));
  }
  if (what === "filter" || what === "time") {
    inside = passing.filter((n) => isInside(events[n][AT]));
  }
}

function setTime(from, to) {
  const least = 20e-6;
  const most = whole.to - whole.from;
  let length = Math.min(Math.max(to - from, least), most);
  let begin = (from + to - length) / 2;
  begin = Math.min(Math.max(begin, whole.from), whole.to - length);
  // Sums of such numbers are a little off, and at both ends of a run there are events.
  view.from = length === most ? whole.from : begin;
  view.to = begin >= whole.to - length ? whole.to : begin + length;
  changed("time");
}

function zoom(factor, around = (view.from + view.to) / 2) {
  const left = (around - view.from) * factor;
  const right = (view.to - around) * factor;
  setTime(around - left, around + right);
}

function pan(part) {
  const by = (view.to - view.from) * part;
  setTime(view.from + by, view.to + by);
}

function select(n) {
  view.selected = n;
  changed("selected");
}

function hover(n) {
  if (view.hovered !== n) {
    view.hovered = n;
    changed("hovered");
  }
}

// With a sign, and as many digits as the interval calls for.
function showTime(at, span = view.to - view.from) {
  const digits = span > 60 ? 1 : span > 5 ? 2 : span > 0.5 ? 3 : span > 0.05 ? 4 : 6;
  return `${at < 0 ? "−" : ""}${Math.abs(at).toFixed(digits)} s`;
}

function showLength(seconds) {
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(1)} ms`;
  return `${seconds.toFixed(2)} s`;
}

// Elements by name, attributes and children; text is only ever text.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function draw(name, attributes = {}, text = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  return element;
}

// A sign for each group: told apart by shape, not by colour alone.
const SIGNS = [
  "M-5-5L5 5M5-5L-5 5", // faults: a cross
  "M0-6L6 5H-6Z", // detection: a triangle
  "M0-6L6 0L0 6L-6 0Z", // views: a diamond
  "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z", // recovery: a disc
  "M-4-4H4V4H-4Z", // checkpoints: a square
  "M-6 0H6M-6-3V3M6-3V3", // links: a cable
  "M-4-5L5 0L-4 5Z", // job: an arrow
  "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0Z", // start and end: a ring
];

function sign(group, attributes = {}) {
  return draw("path", { d: SIGNS[group], class: `sign g${group}`, ...attributes });
}

function signAlone(group) {
  const svg = draw("svg", { viewBox: "-8 -8 16 16", width: 14, height: 14, "aria-hidden": "true" });
  svg.append(sign(group));
  return svg;
}
