// Runs: histories of several trainings as curves, live, and what a run wrote early and late.

import { choice, el, errorLine, latest, slider, svg } from "../parts.js";

const LEFT = 54, BOTTOM = 34, TOP = 12, RIGHT = 12, MOST = 8, FEW = 12;

async function open(page) {
  const { state } = page;
  const error = errorLine(), chart = el("div", { class: "chart tall" }), legend = el("p", { class: "note legend" });
  const pick = el("fieldset", { class: "picks" }), columns = el("div", { class: "controls" });
  const filter = el("input", { type: "search", "aria-label": "Names with", placeholder: "names with", oninput: () => offer() });
  const protocol = el("section", { class: "sheet", hidden: true });
  const histories = new Map(); // run -> { changed, columns }
  let timer = 0, closed = false, found = { there: [], live: [] }, drawn = "", passages = [], passagesOf = "", columnsOf = "", last = -1;
  page.room.append(
    el("h2", {}, "How they learned"),
    el("p", { class: "lead" }, "Every training of yours, a point an epoch; a run that is training now is drawn on."),
    pick, columns, error, chart, legend, protocol);

  const chosen = () => state.runs.split(",").filter(Boolean).slice(0, MOST);
  const here = () => chosen().filter((run) => histories.has(run));

  // Asks who is there, and anew for what has changed; again and again, whatever goes wrong.
  const ask = latest(async () => {
    clearTimeout(timer);
    try {
      found = await page.source.get("runs/there");
      const changed = new Map(found.there);
      if (!state.runs && changed.size) page.set({ runs: [...changed.keys()].slice(0, 4).join(",") }, { quiet: true });
      for (const run of histories.keys()) if (!changed.has(run)) histories.delete(run);
      const problems = chosen().filter((run) => !changed.has(run) && !found.live.includes(run)).map((run) => `there is no history of ${run} (any more)`);
      await Promise.all(chosen().map(async (run) => {
        if (!changed.has(run) || histories.get(run)?.changed === changed.get(run)) return;
        try {
          histories.set(run, { changed: changed.get(run), ...await page.source.get("runs/history", { run }) });
        } catch (problem) { histories.delete(run); problems.push(problem.message); }
      }));
      if (problems.length) error.show({ message: problems.join("; ") }); else error.clear();
      await askProtocol();
      offer();
      draw();
    } catch (problem) { error.show(problem); }
    clearTimeout(timer);
    if (!closed) timer = setTimeout(ask, found.live.length ? 2000 : 5000);
  });

  function offer() {
    const there = [...new Set([...chosen(), ...found.live, ...found.there.map(([run]) => run)])];
    if (!there.length) {
      chart.replaceChildren(el("p", {}, "There is no training yet. Start one and watch it here: "),
        el("pre", { class: "scroll", tabindex: "0" }, "python models/lstm/train.py --hidden_size 64 --training.epochs 5 --ckpt_name small"));
      return;
    }
    const now = JSON.stringify([there, found.live, state.runs, here(), filter.value]);
    if (pick.dataset.now === now) return;
    pick.dataset.now = now;
    const shown = there.filter((run) => chosen().includes(run) || run.toLowerCase().includes(filter.value.toLowerCase()));
    const list = el("div", {}, shown.map((run) => el("label", {}, el("input", { type: "checkbox", value: run, checked: chosen().includes(run), onchange: choose }),
      ` ${run}${!found.live.includes(run) ? "" : histories.has(run) || !chosen().includes(run) ? " (training now)" : " (in its first epoch)"}`)));
    const focused = document.activeElement.value;
    if (pick.children.length === 0) pick.append(el("legend", {}, `Runs, the newest first; ${MOST} at most`), filter, list); else pick.lastChild.replaceWith(list);
    filter.hidden = there.length <= FEW;
    if (document.activeElement === document.body) list.querySelector(`[value="${CSS.escape(focused ?? "")}"]`)?.focus();
  }

  function choose({ target }) {
    const others = chosen().filter((run) => run !== target.value);
    page.set({ runs: (target.checked ? [...others, target.value].slice(-MOST) : others).join(",") || target.value });
  }

  function draw() {
    const runs = here(), all = Object.fromEntries(runs.map((run) => [run, histories.get(run).columns]));
    const names = [...new Set(Object.values(all).flatMap(Object.keys))].filter((name) => !["epoch", "step"].includes(name));
    const column = names.includes(state.column) ? state.column : names.find((name) => name.startsWith("val_")) ?? names[0];
    if (columnsOf !== names.join()) {
      columnsOf = names.join();
      columns.replaceChildren(choice({ state: { column }, set: page.set }, "column", "Curve", names), choice(page, "beside", "Beside it, thin", ["none", ...names]));
    }
    const now = JSON.stringify([runs.map((run) => [run, histories.get(run).changed]), column, state.beside, chart.clientWidth]);
    if (now !== drawn && (runs.length || found.there.length)) { drawCurves(all, column); drawn = now; }
    drawProtocol();
  }

  function drawCurves(all, column) {
    const lines = [], WIDTH = Math.max(300, chart.clientWidth), HEIGHT = Math.min(360, 0.62 * WIDTH);
    Object.entries(all).forEach(([run, columns], index) => {
      for (const [name, kind] of [[state.beside, "thin"], [column, "thick"]]) {
        const points = (columns[name] ?? []).map((y, row) => [columns.epoch?.[row] ?? row + 1, y]), whole = points.filter(([, y]) => y != null);
        if (points.length) lines.push({ run, index, kind, points, whole });
      }
    });
    const known = lines.flatMap((line) => line.whole), main = lines.filter((line) => line.kind === "thick");
    drawLegend(Object.keys(all), main);
    if (!known.length) { chart.replaceChildren(el("p", { class: "note" }, `no finished epoch of these runs has a number of ${column ?? "anything"}`)); return; }
    const extent = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const [x0, x1] = extent(lines.flatMap((line) => line.points.map(([x]) => x))), [low, high] = extent(known.map(([, y]) => y));
    const pad = (high - low || Math.abs(high) || 1) * 0.05, [y0, y1] = [low - pad, high + pad];
    const x = (value) => LEFT + (WIDTH - LEFT - RIGHT) * (value - x0) / (x1 - x0 || 1);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (y1 - value) / (y1 - y0);
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      "aria-label": `${column} by epoch: ${main.filter((l) => l.whole.length).map((l) => `${l.run} ends at ${l.whole.at(-1)[1].toPrecision(4)}`).join(", ")}` });
    for (const value of ticks(y0, y1)) drawing.append(svg("path", { d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}`, class: "grid" }),
      svg("text", { x: LEFT - 8, y: y(value) + 4, class: "tick end" }, `${+value.toPrecision(6)}`));
    for (const value of ticks(x0, x1).filter(Number.isInteger)) drawing.append(svg("text", { x: x(value), y: HEIGHT - 14, class: "tick" }, `${value}`));
    drawing.append(svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 1, class: "tick end" }, "epoch"));
    for (const { index, kind, points } of lines) {
      let d = ""; // where there is no number the curve is broken; a number alone is a dot
      points.forEach(([a, b], n) => {
        if (b == null) return;
        const before = points[n - 1]?.[1] != null;
        d += `${before ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`;
        if (!before && points[n + 1]?.[1] == null) drawing.append(svg("circle", { cx: x(a), cy: y(b), r: 3, class: `dot run${index % 4}` }));
      });
      drawing.append(svg("path", { class: `curve ${kind} run${index % 4}`, d }));
    }
    chart.replaceChildren(drawing);
  }

  function drawLegend(runs, lines) {
    legend.replaceChildren(...runs.map((run, index) => {
      const line = lines.find((one) => one.run === run), whole = line?.whole ?? [], none = (line?.points.length ?? 0) - whole.length;
      const best = whole.length && whole.reduce((a, b) => (b[1] < a[1] ? b : a));
      const words = [best ? `lowest ${best[1].toPrecision(4)} at epoch ${best[0]}` : line ? "" : "nothing of this", none ? `no number in ${none} of ${line.points.length} epochs` : ""];
      return el("span", {}, svg("svg", { width: 28, height: 10, "aria-hidden": "true" }, svg("path", { d: "M1 5H27", class: `curve thick run${index % 4}` })),
        ` ${run}: ${words.filter(Boolean).join(", ")} `);
    }));
  }

  const protocolRun = () => (here().includes(state.run) ? state.run : here()[0]);

  async function askProtocol() {
    const run = protocolRun(), now = run && `${run} ${histories.get(run).changed}`;
    if (passagesOf === now) return;
    passages = run ? (await page.source.get("runs/protocol", { run })).passages : [];
    passagesOf = now;
  }

  function drawProtocol() {
    const run = protocolRun(), steps = (passages[0] ?? []).filter(([label]) => label.startsWith("epoch")), end = steps.length - 1;
    protocol.hidden = end < 0;
    if (end < 0) return;
    const now = JSON.stringify([run, here(), end]);
    if (protocol.dataset.now !== now) { // who looks at the last epoch goes on to the next
      const follows = Number(state.step) >= last || Number(state.step) > end;
      protocol.dataset.now = now;
      page.set({ step: follows ? end : state.step }, { quiet: true });
      last = end;
      const slide = slider(page, "step", "After", { low: 0, high: end, step: 1, show: (v) => steps[v]?.[0] ?? "" }), input = slide.lastChild;
      const tell = () => input.setAttribute("aria-valuetext", steps[input.value][0]);
      input.addEventListener("input", tell);
      tell();
      protocol.replaceChildren(el("h3", {}, "What it wrote, always the likeliest next character"),
        el("div", { class: "controls" }, choice({ state: { run }, set: page.set }, "run", "Run", here()), slide), el("div", { class: "passages" }));
    }
    const label = steps[Math.min(Number(state.step), end)][0];
    const line = (what, text, name) => el("p", { class: `text ${name}` }, el("small", { class: "note" }, `${what} `), text ?? "");
    protocol.lastChild.replaceChildren(...passages.slice(0, 6).map((passage) => {
      const of = Object.fromEntries(passage);
      return el("div", {}, line("it reads", of.prompt, "read"), line("original", of.original, "read"), line(label, of[label], "wrote"));
    }));
  }

  const watching = new ResizeObserver(draw);
  watching.observe(chart);
  await ask();
  return {
    update(changed) {
      if (changed.includes("runs") || changed.includes("run")) ask(); else draw();
    },
    close() { closed = true; clearTimeout(timer); watching.disconnect(); },
  };
}

function ticks(low, high) {
  const rough = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough), found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(+value.toPrecision(12));
  return found;
}

export default { name: "runs", title: "Runs", defaults: { runs: "", column: "val_nats", beside: "train_nats", run: "", step: "99" }, open };
