// Events as a list, and the consoles beside it. Only rows in sight are there.

class Rows {
  constructor(place, label, fill) {
    this.fill = fill;
    this.items = [];
    this.space = make("div", { class: "space" });
    this.box = make("div", { class: "rows", tabindex: "0", role: "listbox", "aria-label": label }, this.space);
    this.box.addEventListener("scroll", () => this.show());
    place.append(this.box);
    this.probe();
  }

  // How tall a row is: the style decides.
  probe() {
    this.height = parseFloat(getComputedStyle(this.box).getPropertyValue("--row")) || 26;
  }

  set(items) {
    this.items = items;
    this.show();
  }

  show() {
    this.space.style.height = `${this.items.length * this.height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 8);
    const last = Math.min(this.items.length, first + Math.ceil(this.box.clientHeight / this.height) + 16);
    this.draw(first, last);
  }

  draw(first, last) {
    const rows = [];
    for (let n = first; n < last; n += 1) {
      const row = this.fill(this.items[n]);
      row.style.transform = `translateY(${n * this.height}px)`;
      row.setAttribute("aria-setsize", this.items.length);
      row.setAttribute("aria-posinset", n + 1);
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
  }

  reveal(n) {
    const top = n * this.height;
    if (top < this.box.scrollTop || top + this.height > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top - this.box.clientHeight / 2;
    }
    this.show();
  }
}

const detail = make("div", { class: "detail", "aria-live": "polite" });
const list = new Rows(document.getElementById("events"), "Events", (n) => {
  const event = events[n];
  const row = make(
    "div",
    {
      class: `row g${event[GROUP]}`,
      role: "option",
      id: `event-${n}`,
      "data-event": n,
      "aria-selected": n === view.selected,
      title: event[TEXT],
    },
    make("span", { class: "at" }, event[AT].toFixed(4)),
    signAlone(event[GROUP]),
    make("span", { class: "node" }, nodes[event[NODE]].name),
    make("span", { class: "kind" }, data.kinds[event[KIND]]),
    make("span", { class: "text" }, event[TEXT]),
  );
  if (n === view.hovered) row.classList.add("looked-at");
  return row;
});
document.getElementById("events").append(detail);

list.box.addEventListener("click", (event) => {
  const row = event.target.closest("[data-event]");
  if (row) select(Number(row.dataset.event));
});
list.box.addEventListener("pointerover", (event) => {
  const row = event.target.closest("[data-event]");
  hover(row ? Number(row.dataset.event) : -1);
});
list.box.addEventListener("pointerleave", () => hover(-1));
list.box.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key];
  if (!by || inside.length === 0) return;
  event.preventDefault();
  const at = inside.indexOf(view.selected);
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), inside.length - 1);
  select(inside[next]);
});

function listEvents() {
  list.set(inside);
  const all = events.length;
  const count = inside.length === all ? `${all}` : `${inside.length} of ${all}`;
  document.getElementById("events-title").textContent = `Events (${count})`;
}

function showSelected() {
  const n = view.selected;
  const at = inside.indexOf(n);
  if (at >= 0) {
    list.reveal(at);
    list.box.setAttribute("aria-activedescendant", `event-${n}`);
  } else {
    list.show();
  }
  detail.replaceChildren();
  if (n < 0) return;
  const event = events[n];
  detail.append(
    make("b", {}, `${event[AT].toFixed(6)} s, ${nodes[event[NODE]].name}, ${data.kinds[event[KIND]]}`),
    make("p", {}, event[TEXT] || "–"),
    make("button", { type: "button", onclick: () => setTime(event[AT] - 0.25, event[AT] + 0.25) }, "half a second around it"),
    make("button", { type: "button", onclick: () => select(-1) }, "close"),
  );
}

function highlightRow() {
  for (const row of list.space.children) {
    row.classList.toggle("looked-at", Number(row.dataset.event) === view.hovered);
  }
}

// Lines of consoles and, in their time, what ranks printed.
const printed = data.kinds.indexOf("print");
const consoleLines = [];
for (const { n, head, left_out, tail } of data.consoles) {
  head.forEach(([at, text]) => consoleLines.push({ n, at, text }));
  if (left_out) consoleLines.push({ n, at: null, text: `… ${left_out} bytes are left out here: all is in console-${nodes[n].name}.log …`, note: true });
  tail.forEach(([at, text]) => consoleLines.push({ n, at, text }));
  for (const event of events) {
    if (event[NODE] === n && event[KIND] === printed) consoleLines.push({ n, at: event[AT], text: event[TEXT] });
  }
}

const consoleBox = document.getElementById("consoles");
let chosenConsole = -1;
const tabs = make("div", { class: "tabs", role: "group", "aria-label": "Console of" });
consoleBox.append(tabs);
const console_ = new Rows(consoleBox, "Console lines", (line) =>
  make(
    "div",
    { class: line.note ? "row line note" : "row line", role: "option", title: line.text },
    make("span", { class: "at" }, line.at === null ? "" : line.at.toFixed(3)),
    make("span", { class: "node" }, nodes[line.n].name),
    make("span", { class: "text" }, line.text),
  ),
);
const consoleNote = make("p", { class: "note" });
consoleBox.append(consoleNote);

function listConsoles() {
  const shown = data.consoles.map((c) => c.n).filter((n) => !view.hiddenNodes.has(n));
  if (!shown.includes(chosenConsole)) chosenConsole = -1;
  tabs.replaceChildren(
    ...[-1, ...shown].map((n) =>
      make(
        "button",
        { type: "button", "aria-pressed": n === chosenConsole, onclick: () => { chosenConsole = n; listConsoles(); } },
        n < 0 ? "all" : nodes[n].name,
      ),
    ),
  );
  const lines = consoleLines.filter(
    (line) =>
      !view.hiddenNodes.has(line.n) &&
      (chosenConsole < 0 || chosenConsole === line.n) &&
      (view.query === "" || line.text.toLowerCase().includes(view.query)) &&
      (line.at === null || isInside(line.at)),
  );
  console_.set(lines);
  const stamped = consoleLines.some((line) => line.at !== null);
  consoleNote.textContent =
    consoleLines.length === 0
      ? "The consoles said nothing."
      : stamped
        ? "Lines without a time are shown whatever the interval is."
        : "These lines carry no time stamps: they are shown whatever the interval is.";
}
