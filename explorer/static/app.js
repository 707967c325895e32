// The frame: an address such as #write?prompt=the&seed=3 names a view and holds its whole state.
//
// A view is { name, title, defaults, open(page) }; open fills page.room and returns { update(changed), close() }.
// page.state holds the values as text, page.set({key: value}) changes some and the address with them.

import { source } from "./source.js";
import { el, errorLine } from "./parts.js";
import attention from "./views/attention.js";
import cells from "./views/cells.js";
import digits from "./views/digits.js";
import faces from "./views/faces.js";
import reach from "./views/reach.js";
import runs from "./views/runs.js";
import write from "./views/write.js";

const VIEWS = [write, cells, attention, reach, faces, digits, runs];

const nav = document.getElementById("views");
const room = document.getElementById("room");
const OPEN = VIEWS.filter((view) => source.shows?.(view.name) ?? true) // the static edition shows what was recorded
  .map((view) => ({ ...view, defaults: { ...view.defaults, ...source.defaults?.[view.name] } }));
let shown = null; // { view, page, handle }

function read(hash) {
  const [name, query = ""] = hash.replace(/^#/, "").split("?");
  const view = OPEN.find((one) => one.name === name) ?? OPEN[0];
  const given = new URLSearchParams(query);
  const state = { ...view.defaults };
  for (const key of Object.keys(state)) if (given.has(key)) state[key] = given.get(key);
  return { view, state };
}

function address(view, state) {
  const changed = Object.entries(state).filter(([key, value]) => String(value) !== String(view.defaults[key]));
  const query = new URLSearchParams(changed).toString();
  return `#${view.name}${query ? `?${query}` : ""}`;
}

async function show({ anew = false } = {}) {
  const { view, state } = read(location.hash);
  if (shown?.view === view) { // another moment of the same view: a link, or the way back
    const changed = Object.keys(state).filter((key) => String(state[key]) !== String(shown.page.state[key]));
    if (changed.length === 0 && !anew) return;
  }
  shown?.handle?.close?.();
  room.replaceChildren();
  room.removeAttribute("data-ready");
  document.title = `${view.title} · Explorer`;
  for (const link of nav.children) {
    if (link.dataset.view === view.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const page = makePage(view, state);
  const mine = { view, page, handle: null };
  shown = mine;
  try {
    const offered = page.offers("run");
    page.runs = (await source.get("runs")).runs.filter((run) => !offered || offered.has(run.name));
    if (shown !== mine) return;
    mine.handle = await view.open(page);
    if (shown !== mine) mine.handle?.close?.();
  } catch (problem) {
    const line = errorLine();
    room.append(line);
    line.show(problem);
  }
  room.setAttribute("data-ready", view.name);
}

function makePage(view, state) {
  let waiting = null;
  const page = {
    room, state, runs: [], source,
    offers: (key) => source.offers?.(view.name, key) ?? null, // the values of a setting that were recorded; null: all
    set(changes, { quiet = false } = {}) {
      const changed = Object.keys(changes).filter((key) => String(changes[key]) !== String(state[key]));
      if (changed.length === 0) return;
      Object.assign(state, changes);
      clearTimeout(waiting); // browsers allow some hundred changes of the address a minute
      waiting = setTimeout(() => { if (shown?.page === page) history.replaceState(null, "", address(view, state)); }, 120);
      if (!quiet) shown?.handle?.update?.(changed);
    },
  };
  return page;
}

for (const view of OPEN) nav.append(el("a", { href: `#${view.name}`, "data-view": view.name }, view.title));
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); room.focus(); });
addEventListener("hashchange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show({ anew: true })); // what is painted is so in its colours
show();
