// Reach: what a prediction depends on: a TCN's tree of dilations, and the gradient of every model.

import { Panel, byKeys, el, spoken, svg, textField, visible } from "../parts.js";

class Model extends Panel {
  constructor(page, index) {
    super(page, index, ["tcn", "lstm", "transformer"]);
    this.drawing = el("div", { class: "scroll" });
    this.choose = byKeys(this.drawing, `model ${index + 1}: the character whose prediction is followed back`, (at) => page.set({ at }));
    this.node.append(this.drawing);
  }

  async ask() {
    const { text, at } = this.page.state, found = await this.get("reach/gradient", { text, at });
    if (!found) return;
    const measured = `measured here: ${found.measured} of ${found.at + 1} characters`;
    this.about.textContent = `${found.formula}${found.field ? ` = ${found.field}` : ""}; ${measured}`;
    this.choose(found.text.length, Number(this.page.state.at), `${spoken(found.text[found.at])}, character ${found.at + 1} of ${found.text.length}; ${measured}`);
    this.draw(found);
  }

  draw({ text, at, gradient, tree, field }) {
    const scrolled = this.drawing.scrollLeft, step = 9, row = 22, x = (place) => 6 + step * (place + 0.5);
    const rows = tree ? tree.length : 0, top = tree ? 12 : 0, bottom = top + rows * row, bars = 70;
    const letters = bottom + bars + 16;
    const drawing = svg("svg", { width: text.length * step + 12, height: letters + 6, "aria-hidden": "true" });
    tree?.slice(0, -1).forEach((level, depth) => { // an edge for every tap of every place
      const next = new Set(tree[depth + 1].from);
      let d = "";
      for (const place of level.from) for (let tap = 0; tap < level.taps; tap++) {
        const other = place - tap * level.dilation;
        if (next.has(other)) d += `M${x(place)} ${top + depth * row}L${x(other)} ${top + (depth + 1) * row}`;
      }
      drawing.append(svg("path", { d, class: "edge" }));
      drawing.append(...level.from.map((place) => svg("circle", { cx: x(place), cy: top + depth * row, r: 2, class: "node" })));
    });
    const logs = gradient.map((value) => (value > 0 ? Math.log10(value) : -Infinity));
    const high = Math.max(...logs), low = high - 5;
    logs.forEach((value, place) => {
      const height = Math.max(0, (value - low) / (high - low)) * bars;
      drawing.append(svg("rect", { x: x(place) - step / 2 + 1, y: bottom + bars - height, width: step - 2, height: Number.isFinite(value) ? Math.max(1, height) : 0, class: "bar" }));
    });
    if (field && at - field + 1 > 0) {
      const edge = x(at - field + 1) - step / 2;
      drawing.append(svg("path", { d: `M${edge} ${bottom}V${letters}`, class: "limit" }));
    }
    text.forEach((char, place) => drawing.append(svg("text", { x: x(place), y: letters, class: place === at ? "letter now" : place < at ? "letter" : "letter later" }, visible(char))));
    const choose = (event) => {
      const place = Math.floor((event.clientX - drawing.getBoundingClientRect().left - 6) / step);
      if (place >= 0 && place < text.length) this.page.set({ at: place });
    };
    drawing.addEventListener("click", choose);
    drawing.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" && event.offsetY > bottom + bars) choose(event); });
    this.drawing.replaceChildren(drawing);
    const width = this.drawing.clientWidth, seen = x(at) > scrolled && x(at) < scrolled + width;
    this.drawing.scrollLeft = scrolled && seen ? scrolled : x(at) - width + 30;
  }
}

async function open(page) {
  const models = page.state.runs.split(",").slice(0, 3).map((_, index) => new Model(page, index));
  const back = el("button", { type: "button", onclick: () => move(-1) }, "One earlier");
  const on = el("button", { type: "button", onclick: () => move(1) }, "One later");
  let waiting = 0;
  function move(by) { page.set({ at: Math.max(0, Number(page.state.at) + by) }); }
  page.room.append(
    el("h2", {}, "How far back it reaches"),
    el("p", { class: "lead" }, "A bar is how much the likeliest next character depends on that earlier one: the gradient of its log-probability, " +
      "on a logarithmic scale over five powers of ten. Move along the letters to choose the output. " +
      "A TCN’s tree shows the ways from its inputs; beyond the dashed line the formula says: nothing."),
    el("div", { class: "controls" }, textField(page, "text", "Text (empty: one it has not seen)"), back, on),
    el("div", { class: "stack" }, models.map((model) => model.node)));
  await Promise.all(models.map((model) => model.ask()));
  return {
    update() {
      clearTimeout(waiting);
      waiting = setTimeout(() => models.forEach((model) => model.ask()), 30);
    },
    close() { clearTimeout(waiting); models.forEach((model) => model.stop()); },
  };
}

export default { name: "reach", title: "Reach", defaults: { runs: "tcn,lstm,transformer", text: "", at: "150" }, open };
