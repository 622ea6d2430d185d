// One timeline per node over one axis, and below it the whole run in small.

const lanes = document.getElementById("lanes");
const overview = document.getElementById("overview");
const tip = make("div", { class: "tip", role: "tooltip" });
tip.hidden = true;
lanes.append(tip);

const HEAD = 52;
const LANE = 46;
let gutter = 84;
let width = 0;
let shownNodes = [];
// Where signs stand: x, y, and which events.
let spots = [];
let marker = null;

const x = (at) => gutter + ((at - view.from) / (view.to - view.from)) * (width - gutter - 8);
const timeAt = (px) => view.from + ((px - gutter) / (width - gutter - 8)) * (view.to - view.from);

function step(span, most) {
  const power = 10 ** Math.floor(Math.log10(span / most));
  return [1, 2, 5, 10].map((n) => n * power).find((s) => span / s <= most);
}

function axis(svg, height) {
  const span = view.to - view.from;
  const every = step(span, Math.max(2, (width - gutter) / 90));
  for (let n = Math.ceil(view.from / every); n * every <= view.to; n += 1) {
    const at = x(n * every);
    svg.append(draw("line", { class: "grid", x1: at, x2: at, y1: HEAD - 8, y2: height }));
    const text = draw("text", { class: "tick mid", x: at, y: HEAD - 13 }, showTime(n * every, every * 4));
    if (at > gutter + 14 && at < width - 24) svg.append(text);
  }
  if (view.from < 0 && view.to > 0) {
    svg.append(draw("line", { class: "zero", x1: x(0), x2: x(0), y1: HEAD - 8, y2: height }));
  }
}

function clip(a, b) {
  return [Math.max(x(Math.max(a, view.from)), gutter), Math.min(x(Math.min(b, view.to)), width - 8)];
}

const overlaps = (span) => span.b >= view.from && span.a <= view.to;

function titled(element, text) {
  element.append(draw("title", {}, text));
  return element;
}

function band(svg, one, y) {
  const [a, b] = clip(one.a, one.b);
  const wide = Math.max(b - a, 0.75);
  const words = `${nodes[one.n].name}: ${one.t}, ${showLength(one.b - one.a)}`;
  svg.append(
    titled(draw("rect", { class: `band s-${one.s}`, x: a, y: y + 17, width: wide, height: 18, rx: Math.min(2, wide / 2) }), words),
  );
  if (wide > one.t.length * 7 + 6) {
    svg.append(draw("text", { class: `label s-${one.s}`, x: a + 5, y: y + 30 }, one.t));
  }
}

function checkpoint(svg, mark, y) {
  const [a, b] = clip(mark.a, mark.b);
  const stop = Math.min(Math.max(x(mark.x), a), b);
  const since = (at) => (at === null ? "not seen" : `+${showLength(at - mark.a)}`);
  const words =
    `${nodes[mark.n].name}, epoch ${mark.e}: stood still ${showLength(mark.x - mark.a)}, staged ${since(mark.s)}, ` +
    `replicated ${since(mark.r)}, ${mark.ok ? "committed " + since(mark.b) : "never committed"}`;
  const box = draw("g", { class: mark.ok ? "mark" : "mark lost" });
  box.append(draw("rect", { class: "overlap", x: a, y: y + 17, width: Math.max(b - a, 1.5), height: 18 }));
  box.append(draw("rect", { class: "stop", x: a, y: y + 17, width: Math.max(stop - a, 1.5), height: 18 }));
  for (const at of [mark.s, mark.r]) {
    if (at !== null && b - a > 12) {
      box.append(draw("line", { class: "phase", x1: x(at), x2: x(at), y1: y + 17, y2: y + 35 }));
    }
  }
  if (b - a > 9 * String(mark.e).length + 6) {
    box.append(draw("text", { class: "epoch", x: (a + b) / 2, y: y + 30 }, mark.e));
  }
  svg.append(titled(box, words));
}

function trouble(svg, one, y) {
  const [a, b] = clip(one.a, one.b);
  svg.append(
    titled(draw("rect", { class: "trouble", x: a, y: y + 38, width: Math.max(b - a, 2), height: 4 }), `${nodes[one.n].name}: ${one.t}, ${showLength(one.b - one.a)}`),
  );
}

// Signs of one node; those too close share one, which tells of the most telling.
function signs(svg, node, all, y) {
  const places = new Map();
  for (const n of all) {
    const place = Math.round(x(events[n][AT]) / 11);
    const at = places.get(place);
    if (!at) places.set(place, { n, count: 1, all: [n] });
    else {
      at.count += 1;
      if (at.all.length < 8) at.all.push(n);
      if (events[n][GROUP] < events[at.n][GROUP]) at.n = n;
    }
  }
  for (const spot of places.values()) {
    const [px, py] = [Math.max(x(events[spot.n][AT]), gutter + 4), y + 8];
    const class_ = `sign g${events[spot.n][GROUP]}${spot.count > 1 ? " many" : ""}`;
    const path = sign(events[spot.n][GROUP], { transform: `translate(${px} ${py})`, class: class_, "data-event": spot.n });
    svg.append(path);
    spots.push({ ...spot, x: px, y: py, node });
  }
}

function flags(svg, height) {
  let free = [gutter, gutter];
  for (const blow of data.blows) {
    if (!isInside(blow.at) || (blow.n !== null && view.hiddenNodes.has(blow.n)) || view.hiddenGroups.has(0)) continue;
    const at = x(blow.at);
    svg.append(titled(draw("line", { class: blow.ends ? "blow ends" : "blow", x1: at, x2: at, y1: HEAD - 8, y2: height }), `${showTime(blow.at)}: ${blow.t}`));
    const length = blow.t.length * 6 + 8;
    const left = Math.max(gutter, Math.min(at - 4, width - length));
    const row = free.findIndex((end) => end <= left);
    if (row < 0) continue;
    free[row] = left + length;
    const text = blow.t.length * 6 > width - gutter ? `${blow.t.slice(0, Math.floor((width - gutter) / 6.5) - 1)}…` : blow.t;
    svg.append(draw("text", { class: blow.ends ? "flag ends" : "flag", x: left, y: 11 + row * 12 }, text));
  }
}

function drawLanes() {
  width = lanes.clientWidth;
  if (width === 0) return;
  gutter = width < 520 ? 40 : 84;
  shownNodes = nodes.map((_, n) => n).filter((n) => !view.hiddenNodes.has(n));
  const height = HEAD + shownNodes.length * LANE + 4;
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Timelines" });
  svg.append(hatch());
  spots = [];
  axis(svg, height);
  const of = nodes.map(() => []);
  for (const n of inside) of[events[n][NODE]].push(n);
  shownNodes.forEach((n, row) => {
    const y = HEAD + row * LANE;
    const lane = draw("g", { class: "lane", "data-node": nodes[n].name });
    lane.append(draw("line", { class: "rule", x1: 0, x2: width, y1: y + LANE - 1, y2: y + LANE - 1 }));
    const room = width < 520 ? 5 : 11;
    const name = nodes[n].name.length > room ? `${nodes[n].name.slice(0, room - 1)}…` : nodes[n].name;
    lane.append(titled(draw("text", { class: "name", x: 2, y: y + 24 }, name), nodes[n].name));
    if (gutter > 60) lane.append(draw("text", { class: "role", x: 2, y: y + 37 }, nodes[n].role));
    data.bands.filter((b) => b.n === n && overlaps(b)).forEach((b) => band(lane, b, y));
    if (!view.hiddenGroups.has(4)) marksOf(n).forEach((m) => (m.length > 1 ? crowd(lane, m, y) : checkpoint(lane, m[0], y)));
    if (!view.hiddenGroups.has(5)) data.troubles.filter((t) => t.n === n && overlaps(t)).forEach((t) => trouble(lane, t, y));
    signs(lane, n, of[n], y);
    svg.append(lane);
  });
  flags(svg, height);
  marker = draw("g", { class: "marker" });
  svg.append(marker);
  lanes.querySelector("svg")?.remove();
  lanes.prepend(svg);
  drawMarker();
  drawOverview();
}

// Checkpoints that begin too close to each other to be told apart are a crowd: one stretch, which says how many.
const CROWDED = 4;
function marksOf(node) {
  const crowds = [];
  let begun = -Infinity;
  for (const mark of data.marks) {
    if (mark.n !== node || !overlaps(mark)) continue;
    const at = x(mark.a);
    if (at - begun < CROWDED) crowds.at(-1).push(mark);
    else crowds.push([mark]);
    begun = at;
  }
  return crowds;
}

function crowd(svg, marks, y) {
  const [first, last] = [marks[0], marks.at(-1)];
  const longest = Math.max(...marks.map((mark) => mark.x - mark.a));
  const lost = marks.filter((mark) => !mark.ok).length;
  const words =
    `${nodes[first.n].name}: ${marks.length} checkpoints, epochs ${first.e} to ${last.e}, stood still at most ` +
    `${showLength(longest)}${lost ? `, ${lost} never committed` : ""}; zoom in for each`;
  const [a, b] = clip(first.a, Math.max(...marks.map((mark) => mark.b)));
  const box = draw("g", { class: lost ? "mark crowd lost" : "mark crowd", "data-count": marks.length });
  box.append(draw("rect", { class: "overlap", x: a, y: y + 17, width: Math.max(b - a, 1.5), height: 18 }));
  const text = `${marks.length} checkpoints`;
  if (b - a > text.length * 7 + 6) box.append(draw("text", { class: "epoch", x: (a + b) / 2, y: y + 30 }, text));
  svg.append(titled(box, words));
}

function hatch() {
  const defs = draw("defs");
  for (const [id, d] of [["hatch-dead", "M0 8L8 0M-2 2L2-2M6 10L10 6"], ["hatch-over", "M0 0L6 6M-2 4L2 8M4-2L8 2"]]) {
    const size = id === "hatch-dead" ? 8 : 6;
    const pattern = draw("pattern", { id, width: size, height: size, patternUnits: "userSpaceOnUse" });
    pattern.append(draw("path", { d, class: id }));
    defs.append(pattern);
  }
  return defs;
}

// The event that is looked at: a line through all lanes, and a ring around its sign.
function drawMarker() {
  if (!marker) return;
  marker.replaceChildren();
  for (const [n, class_] of [[view.selected, "chosen"], [view.hovered, "looked-at"]]) {
    if (n < 0 || !isInside(events[n][AT])) continue;
    const at = x(events[n][AT]);
    const row = shownNodes.indexOf(events[n][NODE]);
    marker.append(draw("line", { class: class_, x1: at, x2: at, y1: HEAD - 8, y2: HEAD + shownNodes.length * LANE }));
    if (row >= 0) marker.append(draw("circle", { class: class_, cx: at, cy: HEAD + row * LANE + 8, r: 8 }));
  }
}

function drawOverview() {
  const wide = overview.clientWidth;
  const high = 30;
  const svg = draw("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}` });
  const length = whole.to - whole.from;
  const place = (at) => gutter + ((at - whole.from) / length) * (wide - gutter - 8);
  const counts = new Array(Math.max(1, Math.floor((wide - gutter - 8) / 3))).fill(0);
  for (const n of passing) {
    const bin = Math.floor(((events[n][AT] - whole.from) / length) * counts.length);
    counts[Math.min(Math.max(bin, 0), counts.length - 1)] += 1;
  }
  const most = Math.max(1, ...counts);
  counts.forEach((count, n) => {
    if (!count) return;
    const tall = 3 + (Math.sqrt(count / most) * (high - 6));
    svg.append(draw("rect", { class: "count", x: gutter + n * 3, y: high - 2 - tall, width: 2.2, height: tall }));
  });
  const [a, b] = [place(view.from), place(view.to)];
  svg.append(draw("rect", { class: "window", x: a, y: 1, width: Math.max(b - a, 3), height: high - 2, rx: 3 }));
  svg.append(draw("text", { class: "role", x: 2, y: 19 }, gutter > 60 ? "whole run" : "all"));
  overview.replaceChildren(svg);
  overview.place = (px) => whole.from + ((px - gutter) / (wide - gutter - 8)) * length;
}

const offset = (event, element) => event.clientX - element.getBoundingClientRect().left;

// Drag to choose an interval; a press that does not move chooses the event there.
let drag = null;
lanes.addEventListener("pointerdown", (event) => {
  const px = offset(event, lanes);
  if (event.button !== 0 || px < gutter) return;
  drag = { from: px, to: px, box: null };
});
lanes.addEventListener("pointermove", (event) => {
  const px = offset(event, lanes);
  if (!drag) return lookAt(px, event.clientY - lanes.getBoundingClientRect().top);
  drag.to = Math.min(Math.max(px, gutter), width - 8);
  if (Math.abs(drag.to - drag.from) < 4 && !drag.box) return;
  if (!drag.box) {
    // Only a drag takes the pointer, so that a press still reaches what it is on.
    lanes.setPointerCapture(event.pointerId);
    drag.box = draw("rect", { class: "brush", y: HEAD - 8, height: shownNodes.length * LANE + 8 });
    marker.append(drag.box);
  }
  drag.box.setAttribute("x", Math.min(drag.from, drag.to));
  drag.box.setAttribute("width", Math.abs(drag.to - drag.from));
});
lanes.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { from, to, box } = drag;
  drag = null;
  box?.remove();
  if (box && Math.abs(to - from) >= 4) setTime(timeAt(Math.min(from, to)), timeAt(Math.max(from, to)));
  else {
    const spot = near(from, event.clientY - lanes.getBoundingClientRect().top, 14);
    if (spot) select(spot.n);
  }
});
lanes.addEventListener("pointercancel", () => { drag?.box?.remove(); drag = null; });
lanes.addEventListener("pointerleave", () => { tip.hidden = true; if (!drag) hover(-1); });
lanes.addEventListener("dblclick", () => setTime(whole.from, whole.to));
lanes.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(offset(event, lanes)));
}, { passive: false });

function near(px, py, reach) {
  let best = null;
  for (const spot of spots) {
    const far = Math.hypot(spot.x - px, spot.y - py);
    if (far <= reach && (!best || far < best.far)) best = { ...spot, far };
  }
  return best;
}

function lookAt(px, py) {
  const spot = near(px, py, 10);
  hover(spot ? spot.n : -1);
  tip.hidden = !spot;
  if (!spot) return;
  tip.replaceChildren(...spot.all.map((n) => make("div", {}, make("b", {}, `${showTime(events[n][AT])} `), events[n][TEXT] || data.kinds[events[n][KIND]])));
  if (spot.count > spot.all.length) tip.append(make("div", {}, `and ${spot.count - spot.all.length} more`));
  const left = Math.min(Math.max(spot.x - 40, 0), Math.max(0, width - tip.offsetWidth - 2));
  tip.style.transform = `translate(${left}px, ${spot.y + 14}px)`;
}

overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  moveWindow(event);
});
overview.addEventListener("pointermove", (event) => {
  if (event.buttons) moveWindow(event);
});
function moveWindow(event) {
  const half = (view.to - view.from) / 2;
  const at = overview.place(offset(event, overview));
  setTime(at - half, at + half);
}
