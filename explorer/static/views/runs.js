// Runs: histories of several trainings as curves, live, and what a run wrote early and late.

import { choice, el, errorLine, slider, svg } from "../parts.js";

const HEIGHT = 360, LEFT = 54, BOTTOM = 34, TOP = 12, RIGHT = 12;

async function open(page) {
  const { state } = page;
  const error = errorLine(), chart = el("div", { class: "chart" }), legend = el("p", { class: "note legend" });
  const pick = el("fieldset", { class: "picks" }), columns = el("div", { class: "controls" });
  const protocol = el("section", { class: "sheet", hidden: true });
  let timer = 0, aborter = null, passages = null, passagesOf = "", columnsOf = "";
  page.room.append(
    el("h2", {}, "How they learned"),
    el("p", { class: "lead" }, "Every training of yours, a point an epoch; a run that is training now is drawn on."),
    pick, columns, error, chart, legend, protocol);

  const chosen = () => state.runs.split(",").filter(Boolean);

  async function ask() {
    clearTimeout(timer);
    aborter?.abort();
    aborter = new AbortController();
    try {
      const options = { signal: aborter.signal }, found = await page.source.get("runs/there", {}, options);
      if (!state.runs && found.there.length) page.set({ runs: found.there.slice(0, 4).join(",") }, { quiet: true });
      found.histories = Object.fromEntries(await Promise.all(chosen().slice(0, 8).map(async (run) =>
        [run, (await page.source.get("runs/history", { run }, options)).columns])));
      error.clear();
      offer(found);
      drawCurves(found);
      await showProtocol(found);
      timer = setTimeout(ask, found.live.length ? 2000 : 5000);
    } catch (problem) { error.show(problem); }
  }

  function offer({ there, live, histories }) {
    if (!there.length) {
      chart.replaceChildren(el("p", {}, "There is no training yet. Start one and watch it here: "),
        el("pre", { class: "scroll", tabindex: "0" }, "python models/lstm/train.py --hidden_size 64 --training.epochs 5 --ckpt_name small"));
      return;
    }
    const now = JSON.stringify([there, live, state.runs]);
    if (pick.dataset.now !== now) {
      pick.dataset.now = now;
      pick.replaceChildren(el("legend", {}, "Runs"), ...there.map((run) => el("label", {},
        el("input", { type: "checkbox", checked: chosen().includes(run), onchange: (event) => {
          const others = chosen().filter((one) => one !== run);
          page.set({ runs: (event.target.checked ? [...others, run].slice(-8) : others).join(",") || there[0] });
        } }), ` ${run}${live.includes(run) ? " (training now)" : ""}`)));
    }
    const names = [...new Set(Object.values(histories).flatMap((columns) => Object.keys(columns)))].filter((name) => !["epoch", "step"].includes(name));
    if (columnsOf !== names.join()) {
      columnsOf = names.join();
      columns.replaceChildren(choice(page, "column", "Curve", names), choice(page, "beside", "Beside it, thin", ["none", ...names]));
    }
  }

  function drawCurves({ histories }) {
    const runs = Object.keys(histories);
    if (!runs.length) return;
    const lines = [];
    runs.forEach((run, index) => {
      for (const [column, kind] of [[state.beside, "thin"], [state.column, "thick"]]) {
        const points = (histories[run][column] ?? []).map((y, row) => [histories[run].epoch[row], y]).filter(([x, y]) => x != null && y != null);
        if (points.length) lines.push({ run, index, kind, points });
      }
    });
    if (!lines.length) { chart.replaceChildren(el("p", { class: "note" }, `no finished epoch of these runs has ${state.column}`)); return; }
    const xs = lines.flatMap((line) => line.points.map(([x]) => x)), ys = lines.flatMap((line) => line.points.map(([, y]) => y));
    const [x0, x1] = [Math.min(...xs), Math.max(...xs)], low = Math.min(...ys), high = Math.max(...ys);
    const WIDTH = Math.max(300, Math.min(chart.clientWidth, 1100)); // its letters keep their size
    const pad = (high - low || 1) * 0.05, [y0, y1] = [low - pad, high + pad];
    const x = (value) => LEFT + (WIDTH - LEFT - RIGHT) * (value - x0) / (x1 - x0 || 1);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (y1 - value) / (y1 - y0);
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      "aria-label": `${state.column} by epoch: ${lines.filter((l) => l.kind === "thick").map((l) => `${l.run} ends at ${l.points.at(-1)[1].toPrecision(4)}`).join(", ")}` });
    for (const value of ticks(y0, y1)) drawing.append(svg("path", { d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}`, class: "grid" }),
      svg("text", { x: LEFT - 8, y: y(value) + 4, class: "tick end" }, `${+value.toPrecision(6)}`));
    for (const value of ticks(x0, x1).filter(Number.isInteger)) drawing.append(svg("text", { x: x(value), y: HEIGHT - 14, class: "tick" }, `${value}`));
    drawing.append(svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 1, class: "tick end" }, "epoch"));
    for (const { index, kind, points } of lines) {
      drawing.append(svg("path", { class: `curve ${kind} run${index % 4}`, d: points.map(([a, b], n) => `${n ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("") }));
      if (points.length === 1) drawing.append(svg("circle", { cx: x(points[0][0]), cy: y(points[0][1]), r: 3, class: `dot run${index % 4}` }));
    }
    chart.replaceChildren(drawing);
    legend.replaceChildren(...lines.filter((line) => line.kind === "thick").flatMap(({ run, index, points }) => {
      const best = points.reduce((a, b) => (b[1] < a[1] ? b : a));
      return [svg("svg", { width: 28, height: 10, "aria-hidden": "true" }, svg("path", { d: "M1 5H27", class: `curve thick run${index % 4}` })),
        el("span", {}, ` ${run}: lowest ${best[1].toPrecision(4)} at epoch ${best[0]} `)];
    }));
  }

  async function showProtocol({ histories }) {
    if (!chosen().length) return;
    const run = chosen().includes(state.run) ? state.run : chosen()[0];
    const epochs = histories[run]?.epoch?.length;
    if (passagesOf !== `${run} ${epochs}`) {
      passagesOf = `${run} ${epochs}`;
      passages = (await page.source.get("runs/protocol", { run })).passages;
    }
    protocol.hidden = !passages.length;
    if (!passages.length) return;
    const steps = passages[0].filter(([label]) => label.startsWith("epoch"));
    const step = Math.min(Number(state.step), steps.length - 1);
    if (protocol.dataset.now !== `${run} ${steps.length}`) {
      protocol.dataset.now = `${run} ${steps.length}`;
      const shown = Math.max(0, step);
      page.set({ step: shown }, { quiet: true });
      protocol.replaceChildren(el("h3", {}, "What it wrote, always the likeliest next character"),
        el("div", { class: "controls" }, choice({ state: { run }, set: (change) => page.set(change) }, "run", "Run", chosen()),
          slider(page, "step", "After", { low: 0, high: Math.max(0, steps.length - 1), step: 1, show: (v) => steps[v]?.[0] ?? "" })),
        el("div", { class: "passages" }));
    }
    const line = (label, text, name) => el("p", { class: `text ${name}` }, el("small", { class: "note" }, `${label} `), text);
    protocol.lastChild.replaceChildren(...passages.slice(0, 6).map((passage) => {
      const of = Object.fromEntries(passage), label = steps[step]?.[0];
      return el("div", {}, line("it reads", of.prompt ?? "", "read"), line("original", of.original ?? "", "read"), line(label ?? "", of[label] ?? "", "wrote"));
    }));
  }

  await ask();
  return { update: ask, close() { clearTimeout(timer); aborter?.abort(); } };
}

function ticks(low, high) {
  const rough = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough), found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(+value.toPrecision(12));
  return found;
}

export default { name: "runs", title: "Runs", defaults: { runs: "", column: "val_nats", beside: "train_nats", run: "", step: "99" }, open };
