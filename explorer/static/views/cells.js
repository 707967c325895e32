// Cells: a text coloured by one unit, chosen from what units know by measurement.

import { byKeys, choice, el, errorLine, numberField, runOptions, spoken, textField } from "../parts.js";

const KINDS = ["lstm", "tcn", "transformer"];

// Names a gate or a block in full.
const NAMES = { c: "cell", h: "hidden state", i: "input gate", f: "forget gate", g: "candidate", o: "output gate" };
const nameUnit = (group, unit) => {
  const gate = /^([chifgo])(\d+)$/.exec(group);
  return `${gate ? `${NAMES[gate[1]]}, layer ${gate[2]}` : group}, unit ${unit}`;
};

async function open(page) {
  const { state } = page;
  let aborter = null, measuring = null;
  const error = errorLine(), groups = el("div", { class: "controls" });
  const title = el("h3"), text = el("div", { class: "text coloured" });
  const chooseByKeys = byKeys(text, "the coloured text", (at) => page.set({ at }));
  const under = el("p", { class: "note number" });
  const table = el("table"), source = el("p", { class: "note" }, "Measuring what each unit knows …");
  page.room.append(
    el("h2", {}, "What one unit knows"),
    el("p", { class: "lead" }, "The text is coloured by one unit: warm where it is high, cool where it is low. For each property of a text, " +
      "the unit that knows most of it was chosen on one half of a text the model has not learned from, and scored on the other half."),
    el("div", { class: "controls" }, choice(page, "run", "Model", runOptions(page, KINDS)), textField(page, "text", "Text (empty: one it has not seen)")),
    error,
    el("div", { class: "columns uneven" },
      el("section", { class: "sheet" }, title, groups, text, under),
      el("section", { class: "sheet" }, el("h3", {}, "Known best first"), table, source)));

  const placeOf = (event) => [...text.children].indexOf(event.target);
  text.addEventListener("pointerover", (event) => { if (placeOf(event) >= 0) under.textContent = say(placeOf(event)); });
  text.addEventListener("click", (event) => { if (placeOf(event) >= 0) page.set({ at: placeOf(event) }); });

  function say(place) {
    const letter = text.children[place];
    return `${spoken(letter.textContent)}: ${letter.dataset.value}, character ${place + 1} of ${text.children.length}`;
  }

  // Marks the chosen letter, if any, and says what it is and its value.
  function mark() {
    const last = text.children.length - 1, at = state.at === "" ? -1 : Math.min(Number(state.at), last);
    text.querySelector(".now")?.classList.remove("now");
    if (at >= 0) {
      text.children[at].classList.add("now");
      text.children[at].scrollIntoView({ block: "nearest" });
      under.textContent = say(at);
    }
    chooseByKeys(last + 1, at, at < 0 ? `none of ${last + 1} characters chosen yet` : say(at));
  }

  async function colour() {
    aborter?.abort();
    aborter = new AbortController();
    const { run, group, unit, text: typed } = state;
    try {
      const found = await page.source.get("cells/text", { run, group, unit, text: typed }, { signal: aborter.signal });
      error.clear();
      const largest = Math.max(...found.values.map(Math.abs), 1e-9);
      title.textContent = nameUnit(found.group, state.unit);
      if (!page.offers("unit")) groups.replaceChildren(choice(page, "group", "Of", Object.keys(found.groups)),
        numberField(page, "unit", `Unit of ${found.groups[found.group]}`, { low: 0, high: found.groups[found.group] - 1 }));
      text.setAttribute("aria-label", `the text, coloured by ${title.textContent}`);
      text.replaceChildren(...found.text.map((char, place) => {
        const share = found.values[place] / largest;
        const letter = el("span", { "data-value": found.values[place] }, char);
        const strength = Math.round(70 * Math.abs(share));
        letter.style.background = `color-mix(in srgb, var(${share > 0 ? "--accent" : "--cool"}) ${strength}%, transparent)`;
        return letter;
      }));
      under.textContent = `from ${Math.min(...found.values)} to ${Math.max(...found.values)}; point at a letter for its value, or use the arrow keys`;
      mark();
    } catch (problem) { error.show(problem); }
  }

  async function list() {
    const { run } = state;
    measuring?.abort();
    measuring = new AbortController();
    table.replaceChildren();
    source.textContent = "Measuring what each unit knows …";
    try {
      let found = null;
      await page.source.stream("cells/known", { run }, (item) => {
        if (item.known) found = item;
        else if (run === state.run) source.textContent = `Measuring what each unit knows … ${Math.round(100 * item.share)} %`;
      }, { signal: measuring.signal });
      if (run !== state.run) return;
      table.append(el("thead", {}, el("tr", {}, el("th", {}, "property"), el("th", {}, "unit"), el("th", { class: "number" }, "score"))),
        el("tbody", {}, found.known.map((one) => {
          const knows = one.is_rank ? one.score >= 0.6 : one.score >= 0.85;
          const pick = el("button", { type: "button", class: "plain", onclick: () => page.set({ group: one.group, unit: one.unit }) },
            `${one.sign < 0 ? "−" : ""}${one.group} ${one.unit}`);
          pick.setAttribute("aria-label", `show ${nameUnit(one.group, one.unit)}, which knows ${one.property}`);
          return el("tr", { class: knows ? null : "faint" }, el("td", {}, one.property), el("td", {}, pick),
            el("td", { class: "number" }, `${one.score.toFixed(2)}${one.is_rank ? " ρ" : ""}`));
        })));
      source.textContent = `Area under the ROC curve, 0.5 is chance; ρ: rank correlation. Faint: no unit knows it well. ` +
        `Measured on ${found.characters.toLocaleString("en")} characters of ${found.text}.`;
      if (!state.group && found.known.length) page.set({ group: found.known[0].group, unit: found.known[0].unit });
    } catch (problem) { error.show(problem); source.textContent = ""; }
  }

  await colour();
  list();
  return {
    update(changed) {
      if (changed.every((key) => key === "at")) return mark();
      if (changed.includes("run")) { page.set({ group: "", unit: 0 }, { quiet: true }); list(); }
      colour();
    },
    close() { aborter?.abort(); measuring?.abort(); },
  };
}

export default { name: "cells", title: "Cells", defaults: { run: "lstm", group: "", unit: "0", text: "", at: "" }, open };
