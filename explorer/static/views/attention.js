// Attention: every head of a layer as arcs over the text and as a matrix, models side by side.

import { Panel, byKeys, el, slider, spoken, svg, textField, visible } from "../parts.js";

const POSITIONS = { none: "no positions", learned: "learned positions", sinusoidal: "sinusoidal positions", rotary: "rotary positions" };

class Model extends Panel {
  constructor(page, index) {
    super(page, index, ["transformer"]);
    this.arcs = el("div", { class: "scroll" });
    this.choose = byKeys(this.arcs, `model ${index + 1}: arcs from one character to those it looks at`, (at) => page.set({ at }));
    this.heads = el("div", { class: "heads" });
    this.node.append(this.arcs, this.heads);
  }

  async ask() {
    const { text, layer } = this.page.state, found = await this.get("attention/heads", { text, layer });
    if (found) { this.found = found; this.draw(); }
    else if (!this.aborter.signal.aborted) { this.arcs.replaceChildren(); this.heads.replaceChildren(); }
  }

  draw() {
    const { text, heads, positions, window, layers, back } = this.found, { state } = this.page;
    this.about.textContent = `${POSITIONS[positions]}, a window of ${window} characters, ${layers} layers of ${heads.length} heads`;
    const head = Math.min(Number(state.head), heads.length) - 1;
    const at = state.at === "" ? text.length - 1 : Math.min(Number(state.at), text.length - 1);
    const weights = heads[head][at], most = weights.indexOf(Math.max(...weights));
    this.choose(text.length, at, `${spoken(text[at])}, character ${at + 1} of ${text.length}; ` +
      `head ${head + 1} looks most at ${spoken(text[most])}, ${at - most} back, with ${Math.round(weights[most] / 10)} percent`);
    this.arcs.replaceChildren(this.drawArcs(text, heads[head][at], at, window));
    this.arcs.scrollLeft = 11 * at - this.arcs.clientWidth * 0.9;
    this.heads.replaceChildren(...heads.map((weights, n) => {
      const canvas = el("canvas", { width: text.length, height: text.length, "aria-hidden": "true" });
      paint(canvas, weights, at);
      return el("button", { type: "button", class: "matrix", "aria-pressed": String(n === head), onclick: (event) => {
        const box = canvas.getBoundingClientRect(), row = Math.floor((event.clientY - box.top) / box.height * text.length);
        this.page.set({ head: n + 1, ...(event.detail && row >= 0 && row < text.length ? { at: row } : {}) });
      } }, canvas, el("small", {}, `head ${n + 1}: ${back[n]} back`));
    }));
  }

  drawArcs(text, weights, at, window) {
    const step = 11, width = text.length * step + 10, height = 90;
    const x = (place) => 5 + step * (place + 0.5);
    const drawing = svg("svg", { width, height: height + 24, "aria-hidden": "true" });
    const first = Math.max(0, at - window + 1);
    drawing.append(svg("rect", { x: x(first) - step / 2, y: height + 18, width: (at - first + 1) * step, height: 3, class: "window" }));
    weights.forEach((weight, place) => {
      if (weight < 5 || place === at) return;
      const far = x(at) - x(place), top = height - Math.min(height - 4, 12 + far * 0.35);
      drawing.append(svg("path", { d: `M${x(at)} ${height}C${x(at)} ${top} ${x(place)} ${top} ${x(place)} ${height}`, class: "arc",
        "stroke-width": (0.6 + Math.sqrt(weight) / 7).toFixed(2), "stroke-opacity": Math.min(1, 0.1 + Math.sqrt(weight) / 20).toFixed(2) }));
    });
    text.forEach((char, place) => {
      const letter = svg("text", { x: x(place), y: height + 13, class: place === at ? "letter now" : "letter" }, visible(char));
      letter.addEventListener("click", () => this.page.set({ at: place }));
      drawing.append(letter);
    });
    return drawing;
  }
}

function paint(canvas, weights, at) {
  const T = weights.length, ink = canvas.getContext("2d"), image = ink.createImageData(T, T);
  const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue("--accent").match(/\w\w/g).map((part) => parseInt(part, 16));
  weights.forEach((row, t) => row.forEach((weight, s) => {
    const place = 4 * (t * T + s), strength = Math.sqrt(weight / 1000);
    image.data.set([r, g, b, s > t ? 0 : Math.round(255 * (t === at ? 0.15 + 0.85 * strength : strength))], place);
  }));
  ink.putImageData(image, 0, 0);
}

async function open(page) {
  const models = page.state.runs.split(",").slice(0, 4).map((_, index) => new Model(page, index));
  page.room.append(
    el("h2", {}, "Who looks at whom"),
    el("p", { class: "lead" }, "Each row of a matrix is a character, and how much it looks at those before it. " +
      "Click a row, or a letter, to see it as arcs; the line below the text is the window."),
    el("div", { class: "controls" }, textField(page, "text", "Text (empty: one it has not seen)"),
      slider(page, "layer", "Layer", { low: 1, high: 6, step: 1 }),
      slider(page, "head", "Head", { low: 1, high: 8, step: 1 })),
    el("div", { class: "columns" }, models.map((model) => model.node)));
  await Promise.all(models.map((model) => model.ask()));
  return {
    update(changed) {
      const anew = changed.includes("text") || changed.includes("layer");
      for (const model of models) if (anew || changed.includes("runs")) model.ask(); else if (model.found) model.draw();
    },
    close() { models.forEach((model) => model.stop()); },
  };
}

export default { name: "attention", title: "Attention", defaults: { runs: "transformer,transformer_tinyshakespeare", text: "", layer: "1", head: "1", at: "" }, open };
