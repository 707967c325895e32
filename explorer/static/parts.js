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

let ids = 0;

// A control under its label. It shows state[key], and page.set({key: value}) is called with a new one.
function field(label, control, { wide, out } = {}) {
  control.id ||= `c${++ids}`;
  return el("div", { class: wide ? "field wide" : "field" },
    el("label", { for: control.id }, label, out ? " " : null, out), control);
}

export function textField(page, key, label, { live = false } = {}) {
  const input = el("input", { type: "text", value: page.state[key], maxlength: 2000, spellcheck: "false", autocomplete: "off" });
  input.addEventListener(live ? "input" : "change", () => page.set({ [key]: input.value }));
  return field(label, input, { wide: true });
}

export function numberField(page, key, label, { low, high, step = 1 }) {
  const input = el("input", { type: "number", value: page.state[key], min: low, max: high, step });
  input.addEventListener("change", () => page.set({ [key]: input.value }));
  return field(label, input);
}

export function slider(page, key, label, { low, high, step, show = (v) => v }) {
  const input = el("input", { type: "range", min: low, max: high, step, value: page.state[key] });
  const out = el("output", {}, show(page.state[key]));
  input.addEventListener("input", () => { out.textContent = show(input.value); page.set({ [key]: input.value }); });
  return field(label, input, { out });
}

export function choice(page, key, label, options) {
  const select = el("select", { onchange: () => page.set({ [key]: select.value }) },
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

// A line for what went wrong, read out by screen readers; show(problem) and clear() it.
export function errorLine() {
  const line = el("p", { class: "error", role: "alert" });
  line.show = (problem) => { if (problem.name !== "AbortError") line.textContent = problem.message; };
  line.clear = () => { line.textContent = ""; };
  return line;
}

const NAMES = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };
export const visible = (char) => NAMES[char] ?? char;
export const spoken = (char) => ({ " ": "space", "\n": "line end" })[char] ?? char;
