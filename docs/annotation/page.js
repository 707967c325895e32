// A name shows its shape where the mouse is, or where the arrow keys have gone.
const box = document.createElement("div");
box.className = "shape";
box.setAttribute("role", "status");
box.hidden = true;
document.body.append(box);
const rows = document.querySelector(".rows");
const names = [...rows.querySelectorAll("var[title]")];
let now = -1;

for (const name of names) {
  name.dataset.shape = name.title;
  name.removeAttribute("title"); // the browser's own would come on top
}

function show(name) {
  box.textContent = "";
  const what = document.createElement("b");
  what.textContent = name.textContent;
  box.append(what, " " + name.dataset.shape);
  box.hidden = false;
  const at = name.getBoundingClientRect();
  const left = Math.min(at.left, innerWidth - box.offsetWidth - 8);
  const above = at.top - box.offsetHeight - 6;
  box.style.left = Math.max(8, left) + "px";
  box.style.top = (above > 4 ? above : at.bottom + 6) + "px";
}

function hide() {
  box.hidden = true;
  names[now]?.classList.remove("now");
}

function go(to) {
  names[now]?.classList.remove("now");
  now = Math.max(0, Math.min(names.length - 1, to));
  names[now].classList.add("now");
  names[now].scrollIntoView({ block: "nearest" });
  show(names[now]);
}

function line(step) {
  const row = names[now]?.closest(".r");
  let to = now + step;
  while (names[to] && names[to].closest(".r") === row) to += step;
  return to;
}

rows.addEventListener("mouseover", (e) => e.target.closest("var") ? show(e.target.closest("var")) : hide());
rows.addEventListener("mouseleave", hide);
rows.addEventListener("click", (e) => {
  const name = e.target.closest("var");
  if (name) go(names.indexOf(name));
});
rows.addEventListener("keydown", (e) => {
  if (e.target !== rows) return;
  const to = { ArrowRight: now + 1, ArrowLeft: now - 1, ArrowDown: line(1), ArrowUp: line(-1) }[e.key];
  if (e.key === "Escape") hide();
  if (to === undefined) return;
  e.preventDefault();
  go(to);
});
rows.addEventListener("blur", hide);
addEventListener("scroll", () => { if (now < 0 || document.activeElement !== rows) hide(); }, { passive: true });

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") target.open = true;
  target?.scrollIntoView();
}
addEventListener("hashchange", open);
if (location.hash) open();
