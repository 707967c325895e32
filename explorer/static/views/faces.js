// Faces: the same face in several models, a slider for each active latent, named by measurement.

import { choice, el, errorLine, latest, numberField, paint, Panel, slider } from "../parts.js";

const KINDS = { rendered: "Rendered", random: "Random", photograph: "Photograph" };
const MOST_BYTES = 20e6;

// "14*-1.2*3*0.5" names values in pairs.
function readPairs(text) {
  const parts = text ? text.split("*") : [];
  return new Map(parts.flatMap((part, place) => (place % 2 ? [] : [[part, parts[place + 1] ?? ""]])));
}
const writePairs = (pairs) => [...pairs].flat().join("*");
const spell = (name) => name.replaceAll("_", " ");
const signed = (value) => (+Number(value).toFixed(2)).toFixed(2).replace("-", "−"); // no −0.00
const called = (run) => run.replace("@", ", epoch ");

const writeCodes = (codes) => codes.map((value, latent) => `${latent}*${+value.toFixed(2)}`).join("*");

// A picture above its caption; the pictures of all models are one row, which stays in sight.
function makeFigure() {
  const canvas = el("canvas", { width: 64, height: 64, role: "img" }), name = el("b"), note = el("span");
  return { canvas, name, note, node: el("figure", {}, canvas, el("figcaption", {}, name, note)) };
}

// One model: its picture, and its sliders.
class Model extends Panel {
  constructor(page, index, view) {
    super({ ...page, runs: page.runs.filter((run) => run.data === "faces") }, index, ["vae"]);
    Object.assign(this, { view, codes: null, sliders: [], asked: "", figure: makeFigure(), rest: el("p", { class: "note" }) });
    this.beta = el("h3", {}, "…");
    this.list = el("div", { class: "latents" });
    this.about.classList.add("lesson");
    this.about.setAttribute("role", "status");
    this.header.prepend(this.beta);
    this.node.append(this.list, this.rest);
    this.ask = latest(() => this.draw());
  }

  get z() { return this.page.state.z.split("_")[this.index] ?? ""; }

  // Asks what the latents do, again and again while that is being measured.
  async measure() {
    const run = this.run;
    Object.assign(this, { measured: false, codes: null });
    this.figure.name.textContent = called(run);
    this.list.replaceChildren();
    this.sliders = [];
    this.rest.textContent = "";
    this.error.clear();
    try {
      for (;;) {
        const found = await this.page.source.get("faces/latents", { run });
        if (this.view.closed || run !== this.run) return;
        this.beta.textContent = `β = ${found.beta}`;
        if (found.latents) return this.list_(found);
        this.about.textContent = `Measuring on ${found.pictures.toLocaleString("en")} faces what each latent knows …`;
        await new Promise((done) => setTimeout(done, 800));
      }
    } catch (problem) { this.error.show(problem); this.about.textContent = ""; }
  }

  list_({ latents, rest, beta, turns }) {
    const named = latents.filter((one) => one.name).length;
    this.about.textContent = named ? `${named} of ${latents.length} sliders have a name: each alone knows that factor.`
      : `No slider has a name: ${beta === 0 ? "at β = 0 nothing keeps the latents apart" : "no latent alone knows one factor"}.`;
    this.rest.textContent = rest;
    this.sliders = latents.map((one) => this.makeSlider(one));
    this.list.replaceChildren(...this.sliders.map((one) => one.node));
    this.measured = turns;
    this.view.measured();
    this.move();
    this.ask();
  }

  makeSlider(one) {
    const id = `latent${this.index}_${one.latent}`, name = one.name ? spell(one.name) : "no name";
    const input = el("input", { id, type: "range", min: -one.reach, max: one.reach, step: this.page.offers("z") ? 1 : 0.05, value: 0 });
    const out = el("output", { for: id, class: "number" });
    input.addEventListener("input", () => { this.view.setLatent(this, String(one.latent), input.value); show(Number(input.value)); });
    const show = (value) => {
      if (Math.abs(value) > Number(input.max)) { input.max = Math.ceil(Math.abs(value)); input.min = -input.max; }
      input.value = value;
      out.textContent = signed(value);
      input.setAttribute("aria-valuetext", `${name} ${value.toFixed(2)}, latent ${one.latent}, ${one.nats.toFixed(1)} nats`);
    };
    const title = one.name ? `${(100 * one.share).toFixed(0)} % of what there is to know of ${name}` : "no factor is known by this latent alone";
    const node = el("div", { class: "latent", title }, el("label", { for: id, class: one.name ? null : "unnamed" }, one.name ? name : `z${one.latent}`),
      el("small", { class: "number" }, `${one.name ? `z${one.latent} · ` : ""}${one.nats.toFixed(2)} nats`), input, out);
    return { latent: one.latent, show, node };
  }

  // Puts the sliders where the codes are; those set by hand stay where the hand put them.
  move() {
    if (!this.codes) return;
    const set = this.page.state.turn === "" ? readPairs(this.z) : new Map();
    for (const { latent, show } of this.sliders) show(Number(set.get(String(latent)) ?? this.codes[latent]));
  }

  // Asks for the picture, unless it is the one that is shown.
  async draw() {
    const { state } = this.page, original = this.view.original?.pixels;
    const asked = { run: this.run, z: this.z };
    if (state.face === "random") asked.seed = state.seed;
    else if (state.face === "rendered" && !original) return;
    else if (!original && !this.z) {
      if (this.view.models.some((model) => model.z)) this.error.show(new Error("the photograph was not kept: choose it again to see it here"));
      return;
    }
    if (state.turn !== "" && this.measured) asked.turn = state.turn;
    const key = JSON.stringify([asked, original]);
    if (key === this.asked) return;
    const found = await this.get("faces/face", asked, { body: state.face === "random" ? undefined : original });
    if (!found || this.view.closed) return;
    this.asked = key;
    this.codes = found.codes;
    const isNew = readPairs(this.z).size < this.codes.length && this.view.original?.pixels === original;
    if (state.face === "photograph" && isNew) this.page.set({ z: this.view.putCodes(this, writeCodes(this.codes)) }, { quiet: true });
    paint(this.figure.canvas, found);
    const error = found.squared_error == null ? "drawn from its codes" : `squared error ${found.squared_error.toPrecision(2)}`;
    this.figure.note.textContent = error;
    this.figure.canvas.setAttribute("aria-label", `the face as ${this.run} draws it, ${error}`);
    this.move();
    this.figure.canvas.dispatchEvent(new Event("drawn"));
  }
}

async function open(page) {
  const { state } = page, recorded = page.offers("z") != null; // then one latent at a time is set, or the face turned
  const { factors } = await page.source.get("faces/factors");
  const view = { models: [], original: null, closed: false, setLatent, putCodes, measured };
  const first = makeFigure(), panel = el("div", { class: "stack" }), error = errorLine();
  const turn = el("input", { id: "turn", type: "range", min: -45, max: 45, step: recorded ? 5 : 1, value: 0, disabled: true,
    oninput: () => { page.set({ turn: turn.value, z: recorded ? "" : state.z }); } });
  const turned = el("output", { for: "turn", class: "number" });
  const undo = el("button", { type: "button", onclick: () => page.set({ z: "", turn: "" }) }, "As it was");
  view.models = state.runs.split(",").slice(0, 4).map((_, index) => new Model(page, index, view));
  const kinds = el("fieldset", { class: "tabs" }, el("legend", { class: "hidden" }, "Which face"),
    Object.entries(KINDS).map(([value, label]) => el("label", {}, el("input", { type: "radio", name: "face", value, checked: state.face === value, disabled: recorded && value !== "rendered",
      onchange: () => { view.original = null; page.set({ face: value, z: "", turn: "" }); } }), el("span", {}, label))));
  const strip = el("div", { class: "portraits" }, first.node, view.models.map((model) => model.figure.node));
  const room = el("div", { class: "faces" },
    el("h2", {}, "One face, latent by latent"),
    el("p", { class: "lead" }, "Each model describes the face in numbers of its own, its latents, and draws it anew from them. A slider is one latent. " +
      "It has a name where it, and hardly another, knows a factor of the face; nats (KL) are how much it tells."),
    el("div", { class: "controls" }, kinds,
      el("div", { class: "field" }, el("label", { for: "turn" }, "Turn to a yaw of: ", turned), turn), undo),
    error, strip,
    el("div", { class: "portraits below" }, el("section", { class: "sheet" }, panel), view.models.map((model) => model.node)));
  room.style.setProperty("--columns", 1 + view.models.length);
  room.addEventListener("dragover", (event) => event.preventDefault());
  room.addEventListener("drop", (event) => { event.preventDefault(); upload(event.dataTransfer.files[0]); });
  page.room.append(room);

  // The address keeps what was set by hand. A turn is folded into the codes when a latent is moved after it.
  function setLatent(model, latent, value) {
    if (recorded) return page.set({ z: view.models.map((one) => (one === model ? `${latent}*${value}` : "")).join("_"), turn: "" });
    if (state.turn !== "") page.set({ z: view.models.map((one) => writeCodes(one.codes ?? [])).join("_"), turn: "" }, { quiet: true });
    page.set({ z: putCodes(model, writePairs(readPairs(model.z).set(latent, value))) });
  }
  function putCodes(model, text) { return view.models.map((one) => (one === model ? text : one.z)).join("_"); }
  function measured() { turn.disabled = !view.models.some((one) => one.measured); showTurn(); }
  function showTurn() {
    const yaw = state.face === "rendered" ? readPairs(state.factors).get("yaw") ?? factors[0].first : 0;
    if (document.activeElement !== turn || state.turn === "") turn.value = state.turn === "" ? yaw : state.turn;
    turned.textContent = state.turn === "" ? "as it is" : `${state.turn.replace("-", "−")}°`;
    turn.setAttribute("aria-valuetext", state.turn === "" ? "as it is" : `${state.turn} degrees`);
    undo.disabled = (state.turn === "" && !state.z.replaceAll("_", "")) || (state.face === "photograph" && !view.original);
  }

  const ask = latest(async () => { // first the face, then all models together
    try {
      if (state.face === "rendered") view.original = await page.source.get("faces/rendered", Object.fromEntries(readPairs(state.factors)));
      if (view.closed) return;
      error.clear();
      showOriginal();
    } catch (problem) { error.show(problem); }
    view.models.forEach((model) => model.ask());
  });

  function showOriginal() {
    const there = Boolean(view.original);
    first.canvas.classList.toggle("empty", !there);
    if (there) paint(first.canvas, view.original);
    else first.canvas.getContext("2d").clearRect(0, 0, 64, 64);
    first.name.textContent = there ? "original" : "no original";
    first.note.textContent = { rendered: "64 × 64 pixels", random: "drawn from the prior", photograph: there ? view.original.note || "64 × 64 pixels" : "it is not kept" }[state.face];
    first.canvas.setAttribute("aria-label", `${first.name.textContent}, ${first.note.textContent}`);
  }

  async function upload(file) {
    if (!file) return;
    try {
      if (file.size > MOST_BYTES) throw new Error(`a photograph of at most ${MOST_BYTES / 1e6} MB is taken: this one has ${(file.size / 1e6).toFixed(0)}`);
      view.original = await page.source.get("faces/photograph", {}, { body: file });
      page.set({ face: "photograph", z: "", turn: "" }, { quiet: true });
      update(["face"]);
    } catch (problem) { error.show(problem); }
  }

  function fillPanel() {
    for (const radio of kinds.querySelectorAll("input")) radio.checked = radio.value === state.face;
    if (state.face === "rendered") panel.replaceChildren(el("h3", {}, "Its factors"), ...factors.map(makeFactor));
    else if (state.face === "random") {
      const seed = numberField(page, "seed", "Seed", { low: 0, high: 2 ** 31 });
      panel.replaceChildren(el("h3", {}, "Drawn from N(0, 1)"), seed,
        el("button", { type: "button", class: "first", onclick: () => { page.set({ seed: String(Number(state.seed) + 1) }); seed.lastChild.value = state.seed; } }, "Another face"),
        el("p", { class: "note" }, "The first of main.py --task random_generation with this seed. A model whose codes are not spread like N(0, 1) draws no face."));
    } else panel.replaceChildren(el("h3", {}, "A photograph of yours"),
      el("label", { class: "button" }, el("input", { type: "file", accept: "image/*", class: "hidden", onchange: (event) => upload(event.target.files[0]) }), "Choose a photograph"),
      el("p", { class: "note" }, "Or drop it here. The square in its middle is shrunk to 64 × 64. It stays on this machine and is not kept: the address holds its codes alone."));
  }

  function makeFactor({ name, low, high, meaning, words, first: begin }) {
    const value = readPairs(state.factors).get(name) ?? String(begin);
    const own = { state: { value }, offers: () => (recorded ? new Set() : null), set: (change) => {
      const pairs = readPairs(state.factors).set(name, change.value);
      if (change.value === String(begin)) pairs.delete(name);
      page.set({ factors: writePairs(pairs), z: "", turn: "" });
    } };
    const made = words.length ? choice(own, "value", spell(name), words)
      : slider(own, "value", spell(name), { low, high, step: high - low > 10 ? 1 : 0.01, show: (v) => (high - low > 10 ? `${v}°` : signed(v)).replace("-", "−") });
    made.title = meaning;
    return made;
  }

  function update(changed) {
    if (changed.includes("runs")) for (const model of view.models) if (model.figure.name.textContent !== called(model.run)) {
      page.set({ z: putCodes(model, "") }, { quiet: true });
      model.measure();
    }
    if (changed.some((key) => ["face", "factors", "seed"].includes(key))) page.set({ z: "", turn: "" }, { quiet: true });
    if (changed.includes("face")) fillPanel();
    showTurn();
    if (changed.some((key) => ["face", "factors"].includes(key))) ask();
    else view.models.forEach((model) => model.ask());
  }

  fillPanel();
  showTurn();
  await ask();
  view.models.forEach((model) => model.measure());
  return { update, close() { view.closed = true; } };
}

export default {
  name: "faces", title: "Faces",
  defaults: { runs: "vae_beta_0,vae_beta_4,vae_beta_20", face: "rendered", factors: "", seed: "0", z: "", turn: "" },
  open,
};
