// Where answers come from: this server. The static edition puts its own in their place.

const write = (params) => new URLSearchParams(Object.entries(params).filter(([, v]) => v !== "" && v != null));

async function ask(path, params, { signal, body } = {}) {
  let reply;
  try {
    const options = { signal, method: body ? "POST" : "GET", body };
    reply = await fetch(`/api/${path}?${write(params)}`, options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("the explorer does not answer: is explorer/serve.py still running?");
  }
  if (reply.ok) return reply;
  let why = `the explorer refused this (${reply.status})`;
  try { why = (await reply.json()).error; } catch { /* it said nothing more */ }
  throw new Error(why);
}

export const source = {
  // JSON of an address, or its bytes as an ArrayBuffer.
  async get(path, params = {}, options = {}) {
    const reply = await ask(path, params, options);
    return reply.headers.get("content-type").startsWith("application/json") ? reply.json() : reply.arrayBuffer();
  },
  // Calls take(item) for each line of a stream; ends with it, or when options.signal aborts.
  async stream(path, params, take, options = {}) {
    const reply = await ask(path, params, options);
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const item of lines.map((line) => JSON.parse(line))) {
        if (item.error) throw new Error(item.error);
        take(item);
      }
    }
  },
};
