// Where the static edition's answers come from: the page itself. It stands in the place of static/source.js.

const packed = Uint8Array.from(atob(document.getElementById("recorded").textContent), (byte) => byte.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const { defaults, answers } = await new Response(unpacked).json();

const name = (path, asked) => [path, ...Object.entries(asked).map(([key, value]) => `${key}=${value}`).sort()].join("\n");
const known = new Map(), offered = {};
for (const [path, asked, answer] of answers) {
  known.set(name(path, asked), answer);
  const values = offered[path.split("/")[0]] ??= {};
  for (const [key, value] of Object.entries(asked)) (values[key] ??= new Set()).add(value);
}

async function find(path, asked, { signal } = {}) {
  const answer = known.get(name(path, asked));
  if (signal?.aborted) throw signal.reason;
  if (answer === undefined) throw new Error("this was not recorded: explorer/serve.py computes it");
  if (answer.error) throw new Error(answer.error);
  return answer;
}

export const source = {
  get: (path, asked = {}, options = {}) => find(path, asked, options),
  async stream(path, asked, take, options = {}) { (await find(path, asked, options)).forEach((item) => take(item)); },
  defaults,
  // The values that a view asks for of a setting, as text, or null where it asks for none.
  offers: (view, key) => offered[view]?.[key] ?? null,
  shows: (view) => view in offered,
};
