// Filters, intervals, keys; and who hears of what.

function toggles(label, names, hidden, picture) {
  const buttons = names.map((name, n) =>
    make(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "true",
        title: "click: show or hide; double click: this alone",
        onclick: () => {
          if (!hidden.delete(n)) hidden.add(n);
          changed("filter");
        },
        ondblclick: () => {
          names.forEach((_, other) => (other === n ? hidden.delete(other) : hidden.add(other)));
          changed("filter");
        },
      },
      ...picture(n),
      name,
    ),
  );
  const all = make("button", { type: "button", class: "all", onclick: () => { hidden.clear(); changed("filter"); } }, "all");
  listeners.push((what) => {
    if (what !== "filter") return;
    buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(!hidden.has(n))));
    all.disabled = hidden.size === 0;
  });
  return make("div", { class: "toggles", role: "group", "aria-label": label }, make("span", {}, label), ...buttons, all);
}

const seenGroups = new Set(events.map((event) => event[GROUP]));
const groupChips = toggles("kinds", data.groups, view.hiddenGroups, (n) => [signAlone(n)]);
[...groupChips.querySelectorAll(".chip")].forEach((chip, n) => {
  chip.dataset.group = data.groups[n];
  chip.hidden = !seenGroups.has(n);
});
const nodeChips = toggles("nodes", nodes.map((node) => node.name), view.hiddenNodes, () => []);
[...nodeChips.querySelectorAll(".chip")].forEach((chip, n) => { chip.dataset.node = nodes[n].name; });

const search = make("input", {
  type: "search",
  placeholder: "find in events and consoles",
  "aria-label": "find in events and consoles",
  oninput: () => { view.query = search.value.trim().toLowerCase(); changed("filter"); },
});

const shownTime = make("output", { class: "shown", "aria-live": "polite" });
const button = (text, label, act) => make("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
const spans = data.spans.map((span) => make("button", { type: "button", class: "span", onclick: () => setTime(span.a, span.b) }, span.t));
const time = make(
  "div",
  { class: "toggles", role: "group", "aria-label": "interval" },
  make("span", {}, "interval"),
  ...spans,
  button("−", "zoom out", () => zoom(2)),
  button("+", "zoom in", () => zoom(0.5)),
  button("←", "earlier", () => pan(-0.5)),
  button("→", "later", () => pan(0.5)),
  shownTime,
);
document.getElementById("tools").append(search, nodeChips, groupChips, time);

const keys = {
  ArrowLeft: () => pan(-0.2),
  ArrowRight: () => pan(0.2),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => setTime(whole.from, whole.to),
  Escape: () => select(-1),
};
lanes.addEventListener("keydown", (event) => {
  const act = keys[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});

const states = [
  ["boot", "boot"], ["join", "join"], ["idle", "ready"], ["compute", "runs a rank"], ["recover", "recovery"], ["dead", "dead"],
];
const legend = document.getElementById("legend");
for (const [state, words] of states) legend.append(make("span", {}, make("i", { class: `key s-${state}` }), words));
legend.append(
  make("span", {}, make("i", { class: "key stop" }), "checkpoint: rank stands still"),
  make("span", {}, make("i", { class: "key overlap" }), "and computes on until the commit"),
  make("span", {}, make("i", { class: "key trouble" }), "link or machine disturbed"),
  make("span", {}, "drag to choose an interval, Ctrl + wheel zooms, double click shows everything"),
);

listeners.push((what) => {
  if (what === "filter" || what === "time") {
    sift(what);
    drawLanes();
    listEvents();
    listConsoles();
    const length = view.to - view.from;
    shownTime.textContent = `${showTime(view.from)} to ${showTime(view.to)} (${showLength(length)})`;
  }
  if (what === "selected") showSelected();
  if (what === "hovered") highlightRow();
  if (what === "selected" || what === "hovered") drawMarker();
});

new ResizeObserver(() => {
  list.probe();
  console_.probe();
  if (lanes.clientWidth !== width) drawLanes();
  list.show();
  console_.show();
}).observe(lanes);

// On paper there is no scrolling: as many rows as are bearable.
const PRINTED = 400;
addEventListener("beforeprint", () => {
  list.draw(0, Math.min(inside.length, PRINTED));
  list.space.style.height = `${Math.min(inside.length, PRINTED) * list.height}px`;
});
addEventListener("afterprint", () => list.show());

document.getElementById("copy")?.addEventListener("click", async (event) => {
  const text = document.getElementById("replay").textContent;
  try {
    await navigator.clipboard.writeText(text);
    event.target.textContent = "copied";
  } catch {
    // Pages from files may not write there: mark it, so that one key is enough.
    getSelection().selectAllChildren(document.getElementById("replay"));
    event.target.textContent = "marked";
  }
});

changed("filter");
