// Digits: four rooms, each a model that draws: a plane of latents, ways between two, a ladder's layers, a code to turn.

import { choice, el, errorLine, latest, numberField, paint, runOptions, svg } from "../parts.js";

const ROOMS = { map: ["Map", showMap], ways: ["Ways", showWays], ladder: ["Ladder", showLadder], code: ["Code", showCode] };
const HIGHEST = 2 ** 31;

const signed = (value) => Number(value).toFixed(2).replace("-", "−");
const percent = (share) => `${Math.round(100 * share)} %`;
const say = (read) => (read ? `read as ${read[0]}, ${percent(read[1])} sure` : "");
const picture = (name, label, columns = 1, rows = 1) =>
  el("canvas", { class: `picture ${name}`, width: 28 * columns, height: 28 * rows, role: "img", "aria-label": label });
const line = (name = "") => el("p", { class: `note number ${name}` });
const sheet = (title, ...parts) => el("section", { class: "sheet" }, el("h3", {}, title), ...parts);

function open(page) {
  const { state } = page, error = errorLine();
  if (!ROOMS[state.show]) state.show = "map";
  const begin = (title, lead, ...parts) => page.room.append(el("nav", { "aria-label": "Rooms of this view", class: "rooms" },
    Object.entries(ROOMS).map(([name, [word]]) => el("a", { href: `#digits?show=${name}`, "aria-current": name === state.show && "page" }, word))),
  el("h2", {}, title), el("p", { class: "lead" }, lead), ...parts);
  // What a room shows is asked for again while it changes, the newest state alone.
  const asking = (path, keys, take) => latest(async () => {
    const asked = Object.fromEntries(["run", ...keys].map((key) => [key, state[key]]));
    try { take(await page.source.get(`digits/${path}`, asked)); error.clear(); } catch (problem) { error.show(problem); }
  });
  return ROOMS[state.show][1](page, begin, asking, error);
}

// The models of a room that are fit for it; where the address names none, the shipped one.
function models(page, shipped, fits) {
  const runs = page.runs.filter((run) => !["higgins", "residual"].includes(run.network) && fits(run));
  page.state.run ||= shipped;
  return choice(page, "run", "Model", runOptions({ runs }, ["vae", "gan", "aae"]));
}

const seed = (page, key, label) => numberField(page, key, label, { low: 0, high: HIGHEST });
const button = (label, onclick) => el("button", { type: "button", onclick }, label);
function next(field, number) { // as if it had been typed
  const input = field.querySelector("input");
  input.value = number ?? Number(input.value) + 1;
  input.dispatchEvent(new Event("change"));
}

async function showMap(page, begin, asking, error) {
  const { state } = page;
  let held = state.x !== "50" || state.y !== "50";
  const plane = picture("plane", "", 16, 16), ring = el("i", { class: "ring" }), large = picture("large", "the digit at this place");
  const across = el("div", { class: "ticks across", "aria-hidden": "true" }), up = el("div", { class: "ticks up", "aria-hidden": "true" });
  const map = el("div", { class: "map", tabindex: "0", role: "slider", "aria-roledescription": "map of two latents", "aria-label": "Place on the map",
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": state.x }, plane, ring);
  const read = line("says"), hint = line(), table = el("tbody");
  plane.setAttribute("aria-hidden", "true");
  begin("A digit at every place", "Two latents make a plane, and the decoder draws whatever is under the pointer. The grid holds the percentiles of the prior: " +
    "each square is the same share of all that this model draws. See what lies between a 4 and a 9.",
  error, el("div", { class: "columns uneven" }, el("div", { class: "framed" }, up, map, across),
    el("section", { class: "sheet" }, models(page, "mnist_2d", (run) => run.z_dim === 2 && run.network !== "ladder"), large, read,
      el("table", {}, el("thead", {}, el("tr", {}, ...["latent", "value", "of the prior below"].map((word, n) => el("th", { class: n && "number" }, word)))), table), hint)));

  const askMap = asking("map", [], (found) => {
    paint(plane, found, found.side);
    for (const [axis, side] of [[across, "left"], [up, "bottom"]]) axis.replaceChildren(...found.ticks.map(([value, at]) => {
      const mark = el("span", {}, String(value).replace("-", "−"));
      mark.style[side] = `${at}%`;
      return mark;
    }));
  });
  const askPoint = asking("point", ["x", "y"], (found) => {
    paint(large, found);
    read.textContent = say(found.reads[0]);
    const rows = [["first, to the right", found.z[0], state.x], ["second, upwards", found.z[1], state.y]];
    table.replaceChildren(...rows.map(([name, value, share]) => el("tr", {}, el("td", {}, name),
      el("td", { class: "number" }, signed(value)), el("td", { class: "number" }, `${Number(share).toFixed(1)} %`))));
    map.setAttribute("aria-valuetext", `first latent ${signed(found.z[0])}, second ${signed(found.z[1])}; ${read.textContent}`);
  });
  function place() {
    ring.style.left = `${state.x}%`;
    ring.style.bottom = `${state.y}%`;
    map.setAttribute("aria-valuenow", state.x);
    map.classList.toggle("held", held);
    hint.textContent = held ? "It stays here. Click the map to let it follow the pointer." : "Click the map to stay at a place. Keys: arrows, with shift in larger steps.";
  }
  function go(...to) {
    const [x, y] = to.map((value) => String(Number(Math.min(99.9, Math.max(0.1, value)).toFixed(1))));
    page.set({ x, y });
    place();
  }
  function follow(event) {
    const box = plane.getBoundingClientRect();
    go(100 * (event.clientX - box.left) / box.width, 100 * (box.bottom - event.clientY) / box.height);
  }
  map.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" ? !held : event.buttons) follow(event); });
  map.addEventListener("pointerdown", (event) => { held = event.pointerType !== "mouse" || !held; follow(event); });
  map.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 6.25 : 1, [x, y] = [Number(state.x), Number(state.y)];
    const to = { ArrowLeft: [x - step, y], ArrowRight: [x + step, y], ArrowUp: [x, y + step], ArrowDown: [x, y - step], Home: [50, 50] }[event.key];
    if (!to) return;
    event.preventDefault();
    held = true;
    go(...to);
  });
  place();
  await Promise.all([askMap(), askPoint()]);
  return { update(changed) { if (changed.includes("run")) askMap(); askPoint(); } };
}

const WIDTH = 330, HEIGHT = 160, LEFT = 34, BOTTOM = 24;

async function showWays(page, begin, asking, error) {
  const { state } = page, names = ["linear", "spherical"];
  const strips = names.map((name) => picture("strip", `nine steps of the ${name} way`, 9));
  const larges = names.map((name) => picture("large", `the ${name} way at this step`)), reads = names.map(() => line("says"));
  const now = el("i", { class: "at" }), chart = el("div", { class: "chart small" }), middles = line();
  const slide = el("input", { type: "range", min: 0, max: 100, value: state.step, "aria-label": "Step of both ways", oninput: () => page.set({ step: slide.value }) });
  const from = seed(page, "a", "From seed"), to = seed(page, "b", "To seed");
  let way = null;
  begin("Two ways from one digit to another", "The straight line leads too near to the middle: of 100 numbers hardly any draw of the prior is so short. A digit there may be clear, " +
    "but such digits are not spread as those that the model learned to draw. The arc keeps the length.",
  el("div", { class: "controls" }, models(page, "gan", (run) => run.network !== "ladder"), from, to,
    button("On to another", () => { next(from, state.b); next(to); })), error,
  el("div", { class: "ways" }, ...names.flatMap((name, n) => [el("small", { class: "note" }, name), strips[n]]), el("span"), slide, now),
  el("div", { class: "columns uneven" }, el("div", { class: "pair" }, ...names.map((name, n) => sheet(name, larges[n], reads[n]))),
    sheet("Length of the latent", chart, el("p", { class: "note" }, "Shaded: 99 % of all draws of the prior."), middles)));

  const askWay = asking("way", ["a", "b"], (found) => {
    way = found;
    strips.forEach((strip, n) => paint(strip, found.rows[n]));
    draw();
  });
  const askStep = asking("step", ["a", "b", "step"], (found) => {
    found.rows.forEach((row, n) => {
      paint(larges[n], row);
      reads[n].textContent = [`length ${found.lengths[n].toFixed(1)}`, say(row.reads[0])].filter(Boolean).join(", ");
    });
    slide.setAttribute("aria-valuetext", `${state.step} percent; ${names.map((name, n) => `${name}: ${reads[n].textContent}`).join("; ")}`);
  });
  const askMiddles = asking("middles", [], ({ shares, count }) => {
    const [a, b] = shares.map((some) => [some.indexOf(Math.max(...some)), percent(Math.max(...some))]);
    middles.textContent = shares[0].length ? `Of the middles of ${count} such ways, ${a[1]} are read as ${a[0]} on the line. On the arc the commonest digit, ${b[0]}, has ${b[1]}.` : "";
  });
  function draw() {
    now.style.setProperty("--at", state.step / 100);
    if (!way) return;
    const { lengths, usual } = way, all = [...lengths.flat(), ...usual], high = 1.05 * Math.max(...all), low = Math.max(0, Math.min(...all) - 0.12 * high);
    const x = (step) => LEFT + (WIDTH - LEFT - 8) * step / 100, y = (value) => 8 + (HEIGHT - 8 - BOTTOM) * (high - value) / (high - low);
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      "aria-label": `in the middle the line is ${lengths[0][50].toFixed(1)} long, the arc ${lengths[1][50].toFixed(1)}; draws of the prior are ${usual[0]} to ${usual[1]}` },
    svg("rect", { x: LEFT, y: y(usual[1]), width: WIDTH - LEFT - 8, height: y(usual[0]) - y(usual[1]), class: "usual" }),
    usual.map((value) => svg("text", { x: LEFT - 6, y: y(value) + 4, class: "tick end" }, value.toFixed(1))),
    svg("text", { x: x(0), y: HEIGHT - 6, class: "tick begin" }, "from"), svg("text", { x: x(100), y: HEIGHT - 6, class: "tick end" }, "to"));
    lengths.forEach((some, n) => drawing.append(
      svg("path", { class: `curve thick run${1 - n}`, d: some.map((value, step) => `${step ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("") }),
      svg("circle", { cx: x(state.step), cy: y(some[state.step]), r: 5, class: `dot run${1 - n}` }),
      svg("text", { x: x(25), y: y(some[25]) + (n ? -12 : 24), class: "tick" }, names[n])));
    chart.replaceChildren(drawing);
  }
  draw();
  await Promise.all([askWay(), askStep()]);
  askMiddles();
  return {
    update(changed) {
      if (changed.includes("run")) askMiddles();
      if (!changed.includes("step")) askWay();
      askStep();
      draw();
    },
  };
}

async function showLadder(page, begin, asking, error) {
  const { state } = page;
  const digit = picture("large", "the digit"), spread = picture("large warm", "where its variants differ"), anew = picture("variants", "its variants", 5, 3);
  const read = line("says"), count = line(), measured = line();
  const which = seed(page, "seed", "Digit of seed"), layers = el("div", { class: "layers", role: "group", "aria-label": "The layer that is drawn anew" });
  begin("What each layer of a ladder holds", "This digit is made of latents in three layers. Choose one: it is drawn anew from the prior, the others stay as they are. " +
    "See that the top says most of which digit it is, and those below how it is written.",
  el("div", { class: "controls" }, models(page, "mnist_ladder", (run) => run.network === "ladder"), which, button("Another digit", () => next(which)),
    numberField(page, "draws", "Drawn anew, times", { low: 2, high: 30 }), button("Draw again", () => page.set({ again: Number(state.again) + 1 }))), error, layers,
  el("div", { class: "columns aside" }, el("div", { class: "pair" }, sheet("The digit", digit, read), sheet("Where it varies", spread)),
    sheet("One layer anew, the others as they were", anew, count)), measured);

  const ask = asking("ladder", ["seed", "again", "layer", "draws"], (found) => {
    const { reads } = found.anew, [own] = found.digit.reads;
    paint(digit, found.digit);
    paint(spread, found.spread);
    paint(anew, found.anew, 5);
    read.textContent = say(own);
    count.textContent = own ? `${reads.filter(([one]) => one === own[0]).length} of ${reads.length} are still read as ${own[0]}` : "";
    anew.setAttribute("aria-label", `its variants${own ? `, read as ${reads.map(([one]) => one).join(", ")}` : ""}`);
  });
  const askLayers = asking("layers", [], (found) => {
    layers.replaceChildren(...found.layers.map(({ name, shape, moves, stays }, n) => {
      const card = button(el("b", {}, name), () => page.set({ layer: String(n + 1) }));
      card.append(...[`${shape.reduce((a, b) => a * b)} latents${shape.length > 1 ? `: ${shape.join(" × ")}` : ""}`,
        stays == null ? "" : `the digit stays in ${percent(stays)}`, `a pixel moves by ${moves.toFixed(2)}`].map((text) => el("small", {}, text)));
      return card;
    }));
    measured.textContent = `Measured on ${found.count} new draws of each layer: how often the same digit is read, and by how much a pixel of 0 to 1 changes, root mean squared.`;
    press();
  });
  function press() { [...layers.children].forEach((card, n) => card.setAttribute("aria-pressed", String(n + 1 === Number(state.layer)))); }
  await Promise.all([ask(), askLayers()]);
  return { update(changed) { if (changed.includes("run")) askLayers(); press(); ask(); } };
}

async function showCode(page, begin, asking, error) {
  const { state } = page;
  const large = picture("large", "the digit of this code"), original = picture("large", "the test digit");
  const read = line("says"), label = line("says"), length = line(), why = line(), rows = el("div", { class: "rows" });
  const tested = sheet("Test digit", original, label), number = seed(page, "number", "Seed, or its row");
  tested.hidden = true;
  begin("Turn a code", "The decoder draws a digit from a few numbers. Slide one, or click a picture: the others follow. " +
    "See that each number changes several things at once and has no name: the adversary asks only that codes look like draws of the prior.",
  el("div", { class: "controls" }, models(page, "aae", (run) => run.kind === "aae"),
    choice(page, "of", "Code", [{ value: "prior", label: "drawn from the prior" }, { value: "test", label: "of a test digit" }]), number,
    button("Another", () => next(number)), button("Turn back", () => page.set({ turn: "" }))), error,
  el("div", { class: "columns aside" }, el("div", { class: "pair" }, tested, sheet("Decoded", large, read)), el("section", { class: "sheet" }, rows)), length, why);

  function turn(place, value) {
    const turned = new Map(state.turn.split(",").filter(Boolean).map((part) => part.split("_")));
    turned.set(String(place), Number(value).toFixed(1));
    page.set({ turn: [...turned].map((pair) => pair.join("_")).join(",") });
  }
  const ask = asking("code", ["of", "number", "turn"], (found) => {
    paint(large, found.picture);
    read.textContent = say(found.picture.reads[0]);
    length.textContent = `The code is ${found.length.toFixed(1)} long; 99 % of all draws are ${found.usual[0].toFixed(1)} to ${found.usual[1].toFixed(1)}.`;
    tested.hidden = !found.original;
    if (found.original) { paint(original, found.original); label.textContent = `labelled ${found.original.label}`; }
    why.textContent = found.test ? "" : "The test digits of this model are not on this machine (docs/digits.md says where they go): codes are drawn.";
    if (rows.children.length !== found.rows.length) rows.replaceChildren(...found.rows.map((_, place) => makeRow(place, found.turns)));
    [...rows.children].forEach((row, place) => {
      const [name, strip, slide] = row.children, value = found.z[place];
      paint(strip, found.rows[place]);
      name.textContent = `z${place} = ${signed(value)}`;
      if (document.activeElement !== slide) slide.value = value;
      slide.setAttribute("aria-valuetext", `${signed(value)}; ${read.textContent}`);
    });
  });
  function makeRow(place, turns) {
    const strip = picture("strip", `z${place} from ${turns[0]} to ${turns.at(-1)}`, turns.length);
    const slide = el("input", { type: "range", min: turns[0], max: turns.at(-1), step: 0.1, "aria-label": `z${place}` });
    strip.addEventListener("click", (event) => { slide.value = turns[Math.floor(turns.length * event.offsetX / strip.clientWidth)]; turn(place, slide.value); });
    slide.addEventListener("input", () => turn(place, slide.value));
    return el("div", {}, line(), strip, slide);
  }
  await ask();
  return {
    update(changed) {
      if (!changed.includes("turn")) page.set({ turn: "" }, { quiet: true });
      ask();
    },
  };
}

export default {
  name: "digits", title: "Digits",
  defaults: { show: "map", run: "", x: "50", y: "50", a: "0", b: "1", step: "50", seed: "1", layer: "1", draws: "15", again: "0", of: "prior", number: "0", turn: "" },
  open,
};
