// The parts that views are made of.

// el("button", { class: "first", onclick }, "Play"): an element with attributes, listeners and children.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  set(node, attributes);
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  set(node, attributes);
  node.append(...children.flat());
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
}

// Tells whether a control has nothing to choose from: in the static edition, where one value of it was recorded.
const isFixed = (page, key) => (page.offers?.(key)?.size ?? Infinity) < 2;

let ids = 0;

// A control under its label. It shows state[key], and page.set({key: value}) is called with a new one.
function field(label, control, { wide, out } = {}) {
  control.id ||= `c${++ids}`;
  return el("div", { class: wide ? "field wide" : "field" },
    el("label", { for: control.id }, label, out ? " " : null, out), control);
}

export function textField(page, key, label, { live = false } = {}) {
  const input = el("input", { type: "text", value: page.state[key], maxlength: 2000, spellcheck: "false", autocomplete: "off", disabled: isFixed(page, key) });
  input.addEventListener(live ? "input" : "change", () => page.set({ [key]: input.value }));
  return field(label, input, { wide: true });
}

export function numberField(page, key, label, { low, high, step = 1 }) {
  const input = el("input", { type: "number", value: page.state[key], min: low, max: high, step, disabled: page.offers?.(key) != null });
  input.addEventListener("change", () => page.set({ [key]: input.value }));
  return field(label, input);
}

export function slider(page, key, label, { low, high, step, show = (v) => v }) {
  const offered = isFixed(page, key) ? [low, high] : [...page.offers?.(key) ?? [low, high]].map(Number);
  const input = el("input", { type: "range", min: Math.min(...offered), max: Math.max(...offered), step, value: page.state[key], disabled: isFixed(page, key) });
  const out = el("output", {}, show(page.state[key]));
  input.addEventListener("input", () => { out.textContent = show(input.value); page.set({ [key]: input.value }); });
  return field(label, input, { out });
}

export function choice(page, key, label, options) {
  const select = el("select", { disabled: isFixed(page, key), onchange: () => page.set({ [key]: select.value }) },
    options.map((o) => (typeof o === "string" ? { value: o, label: o } : o)).map((o) =>
      el("option", { value: o.value, selected: o.value === String(page.state[key]) }, o.label)));
  return field(label, select);
}

// All runs of these kinds, every epoch of them, as options of a choice.
export function runOptions(page, kinds) {
  return page.runs.filter((run) => kinds.includes(run.kind)).flatMap((run) =>
    [{ value: run.name, label: run.name },
      ...run.epochs.filter((e) => e !== "best").map((e) => ({ value: `${run.name}@${e}`, label: `${run.name}, epoch ${e}` }))]);
}

// One of several models side by side: its choice, and a line for what went wrong. state.runs names them all.
export class Panel {
  constructor(page, index, kinds) {
    Object.assign(this, { page, index });
    const own = { ...page, state: { run: this.run }, set: ({ run }) => page.set({ runs: page.state.runs.split(",").with(index, run).join(",") }) };
    this.about = el("p", { class: "note number" });
    this.error = errorLine();
    this.header = el("header", {}, choice(own, "run", `Model ${index + 1}`, runOptions(page, kinds)));
    this.node = el("section", { class: "sheet" }, this.header, this.about, this.error);
  }

  get run() { return this.page.state.runs.split(",")[this.index]; }

  // Asks about this model, and about nothing that was asked before; null where that went wrong.
  async get(path, asked, options = {}) {
    this.stop();
    this.aborter = new AbortController();
    try {
      const found = await this.page.source.get(path, { run: this.run, ...asked }, { signal: this.aborter.signal, ...options });
      this.error.clear();
      return found;
    } catch (problem) { this.error.show(problem); return null; }
  }

  stop() { this.aborter?.abort(); }
}

// Lets the keys choose a character of the text that a node shows: arrows, Page Up and Page Down by ten, Home and End.
// To a screen reader it is a slider. The function that comes back says how long the text is, what is chosen, and in words.
export function byKeys(node, label, choose) {
  let last = 0, at = 0;
  set(node, { tabindex: "0", role: "slider", "aria-label": label, "aria-valuemin": 0, "aria-valuenow": 0 });
  node.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageDown: at - 10, PageUp: at + 10, Home: 0, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    at = Math.max(0, Math.min(last, to)); // here: the next key may come before the answer to this one
    choose(at);
  });
  return (count, place, words) => {
    last = count - 1; at = place;
    set(node, { "aria-valuemax": last, "aria-valuenow": Math.max(0, at), "aria-valuetext": words });
  };
}

// A line for what went wrong, read out by screen readers; show(problem) and clear() it.
export function errorLine() {
  const line = el("p", { class: "error", role: "alert" });
  line.show = (problem) => { if (problem.name !== "AbortError") line.textContent = problem.message; };
  line.clear = () => { line.textContent = ""; };
  return line;
}

const NAMES = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };
export const visible = (char) => NAMES[char] ?? char;
const SPOKEN = { " ": "space", "\n": "line end", "\t": "tab", ".": "full stop", ",": "comma", "“": "opening quote", "”": "closing quote", "’": "apostrophe" };
export const spoken = (char) => SPOKEN[char] ?? char;

// Paints the pictures of an answer (explorer/pictures.py) beside and below one another; grey ones in the canvas's colour.
export function paint(canvas, { shape: [N, C, H, W], pixels }, columns = N) {
  const bytes = Uint8Array.from(atob(pixels), (byte) => byte.charCodeAt(0)), size = H * W;
  canvas.width = columns * W;
  canvas.height = Math.ceil(N / columns) * H;
  const ink = getComputedStyle(canvas).color.match(/\d+/g) ?? [0, 0, 0];
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  for (let n = 0; n < N; n++) for (let place = 0; place < size; place++) {
    const row = Math.floor(n / columns) * H + Math.floor(place / W), from = n * C * size + place;
    const to = 4 * (row * canvas.width + (n % columns) * W + place % W);
    for (let c = 0; c < 3; c++) image.data[to + c] = C === 3 ? bytes[from + c * size] : ink[c];
    image.data[to + 3] = C === 3 ? 255 : bytes[from];
  }
  context.putImageData(image, 0, 0);
  canvas.dispatchEvent(new Event("drawn"));
}

// Makes a function that runs `task` again and again as it is called, but never twice at once: while it runs, all
// calls together are one, so that of the places a mouse has been only the last is asked for.
export function latest(task) {
  let running = false, again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try { while (again) { again = false; await task(); } } finally { running = false; }
  };
}
