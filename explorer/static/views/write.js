// Write: up to three models write on from one prompt, in step, with what they might have written.

import { Panel, choice, el, numberField, slider, spoken, textField, visible } from "../parts.js";

const KINDS = ["lstm", "tcn", "transformer"];
const PACES = { slow: 5, reading: 15, fast: 40, "all at once": Infinity };

// One model's text: what the server has sent of it, and how much of that is shown.
class Sheet extends Panel {
  constructor(page, index, view) {
    super(page, index, KINDS);
    Object.assign(this, { view, steps: [], prompt: "", done: false });
    this.title = el("h3", { class: "hidden" });
    this.nats = el("span", { class: "note number" });
    this.text = el("p", { class: "text written", tabindex: "0", role: "group" });
    this.bars = el("div", { class: "bars", role: "group" });
    this.header.prepend(this.title);
    this.header.append(this.nats);
    this.about.replaceWith(this.error);
    this.node.append(this.text, this.bars);
    this.text.addEventListener("click", (event) => {
      const place = event.target.dataset?.place;
      if (place !== undefined) view.goTo(Number(place));
    });
  }

  get force() { return this.forces()[this.index] ?? ""; }

  forces() { return this.page.state.force.split("_"); }

  // Asks for the text anew; `kept` characters are known to stay as they are shown.
  async ask() {
    this.stop();
    this.aborter = new AbortController();
    const { prompt, temperature, k, seed, length } = this.page.state;
    const asked = { run: this.run, prompt, temperature, k, seed, length, force: this.force };
    this.steps = []; this.prompt = ""; this.done = false;
    this.error.clear();
    this.title.textContent = this.run.replace("@", ", epoch ");
    this.text.setAttribute("aria-label", `what ${this.run} writes`);
    this.bars.setAttribute("aria-label", `the likeliest next characters of ${this.run}`);
    try {
      await this.page.source.stream("write/text", asked, (item) => {
        if (item.prompt !== undefined) { this.prompt = item.prompt; this.node.title = item.notes.join(", "); }
        else this.steps.push(...item.steps);
        this.view.arrived();
      }, { signal: this.aborter.signal });
      this.done = true;
    } catch (problem) { this.error.show(problem); if (problem.name !== "AbortError") this.failed = this.done = true; }
    this.view.arrived();
  }

  draw(at) {
    const shown = this.steps.slice(0, at);
    const forced = new Set(this.force.split("-").map((part) => part.split(".")[0]));
    const parts = [el("span", { class: "read" }, this.prompt)];
    shown.forEach((step, place) => parts.push(
      el("span", { "data-place": place, class: forced.has(String(place)) ? "forced" : null }, step.char)));
    this.text.replaceChildren(...parts);
    this.text.scrollTop = this.text.scrollHeight;
    const total = shown.reduce((sum, step) => sum + step.nats, 0);
    this.nats.textContent = shown.length ? `${(total / shown.length).toFixed(2)} nats` : "";
    const next = this.steps[at];
    if (next) this.drawBars(next.bars, at);
    else if (!shown.length && !this.steps.length) this.bars.replaceChildren();
  }

  drawBars(bars, at) {
    while (this.bars.children.length > bars.length) this.bars.lastChild.remove();
    bars.forEach(([char, model, drawn], row) => {
      let button = this.bars.children[row];
      if (!button) {
        button = el("button", { type: "button", disabled: this.page.offers("force") != null }, el("b"), el("i", {}, el("u"), el("s")), el("small"));
        button.addEventListener("click", () => this.view.forceAt(this.index, button.char));
        this.bars.append(button);
      }
      const [letter, bar, share] = button.children;
      button.char = char;
      letter.textContent = visible(char);
      bar.children[0].style.width = `${100 * drawn}%`;
      bar.children[1].style.left = `calc(${100 * model}% - 1px)`;
      share.textContent = `${(100 * drawn).toFixed(1)} %`;
      button.setAttribute("aria-label", `force ${spoken(char)}, drawn with ${(100 * drawn).toFixed(1)} percent`);
    });
  }
}

async function open(page) {
  const state = page.state;
  const view = { sheets: [], playing: false, timer: 0, goTo, forceAt, arrived };
  const play = el("button", { type: "button", class: "first", onclick: () => setPlaying(!view.playing) }, "Play");
  const step = el("button", { type: "button", onclick: () => { setPlaying(false); goTo(Number(state.at) + 1); } }, "One step");
  const back = el("button", { type: "button", onclick: () => { setPlaying(false); page.set({ force: "" }); goTo(0); } }, "From the start");
  const place = el("span", { class: "note number", role: "status" });
  const runs = state.runs.split(",").slice(0, 3);
  page.room.append(
    el("h2", {}, "They write, you watch"),
    el("p", { class: "lead" }, "Each model reads the prompt and then what it wrote itself, one character at a time. " +
      "A bar is the share with which a character is drawn, its line the model’s own probability. " +
      "Nats are the mean of what a character cost the model. Click a bar to force that character, or a letter to go back to it."),
    el("div", { class: "controls" }, textField(page, "prompt", "Prompt")),
    el("div", { class: "controls" }, play, step, back,
      slider(page, "temperature", "Temperature", { low: 0, high: 2, step: 0.05, show: (v) => Number(v).toFixed(2) }),
      numberField(page, "k", "Top-k, 0 for all", { low: 0, high: 200 }),
      numberField(page, "seed", "Seed", { low: 0, high: 2 ** 31 }),
      choice(page, "pace", "Pace", Object.keys(PACES)), place),
    el("div", { class: "columns" }, (view.sheets = runs.map((_, index) => new Sheet(page, index, view))).map((s) => s.node)));

  function ready() { return Math.min(...view.sheets.filter((s) => !s.failed).map((s) => s.steps.length)); }
  function draw() {
    for (const sheet of view.sheets) sheet.draw(Number(state.at));
    place.textContent = `${state.at} of ${state.length} characters`;
  }
  function arrived() { if (!view.playing || ready() <= Number(state.at) + 1) schedule(); }
  function schedule() { view.frame ||= requestAnimationFrame(() => { view.frame = 0; draw(); }); }
  function goTo(at) { page.set({ at: Math.max(0, Math.min(at, Number(state.length))) }, { quiet: true }); schedule(); }

  function setPlaying(on) {
    view.playing = on;
    play.textContent = on ? "Pause" : "Play";
    clearInterval(view.timer);
    if (!on) return;
    if (Number(state.at) >= Number(state.length)) goTo(0);
    let last = performance.now(), owed = 0;
    view.timer = setInterval(() => { // all go on together, when all are there
      const now = performance.now();
      owed = Math.min(owed + (now - last) * PACES[state.pace] / 1000, Infinity);
      last = now;
      const whole = Math.min(Math.floor(owed), ready() - Number(state.at));
      if (whole > 0) { owed = Number.isFinite(owed) ? owed - whole : owed; goTo(Number(state.at) + whole); }
      if (Number(state.at) >= Number(state.length)) setPlaying(false);
    }, 25);
  }

  function forceAt(index, char) {
    const at = Number(state.at), sheet = view.sheets[index];
    const kept = sheet.force.split("-").filter((part) => part && Number(part.split(".")[0]) < at);
    const forces = view.sheets.map((one) => one.force);
    forces[index] = [...kept, `${at}.${char.codePointAt(0)}`].join("-");
    page.set({ force: forces.join("_").replace(/_+$/, "") }, { quiet: true });
    sheet.ask().then(draw);
    goTo(at + 1);
  }

  function update(changed) {
    if (changed.includes("pace") || changed.length === 0) return;
    if (changed.includes("prompt") || changed.includes("runs")) page.set({ force: "" }, { quiet: true });
    clearTimeout(view.asking);
    view.asking = setTimeout(() => view.sheets.forEach((sheet) => { sheet.failed = false; sheet.ask(); }), 80);
  }

  view.sheets.forEach((sheet) => sheet.ask());
  draw();
  return { update, close() { setPlaying(false); cancelAnimationFrame(view.frame); view.sheets.forEach((sheet) => sheet.stop()); } };
}

export default {
  name: "write",
  title: "Write",
  defaults: { prompt: "the bridge", runs: "lstm,tcn,transformer", temperature: "0.7", k: "0", seed: "0", length: "300", at: "0", force: "", pace: "reading" },
  open,
};
