// The public API, and the token for it: kept by this tab alone, and shown in a header, never in an address.

const KEPT = "thornback-token";

export const token = {
  get: () => sessionStorage.getItem(KEPT),
  keep: (text) => sessionStorage.setItem(KEPT, text),
  forget: () => sessionStorage.removeItem(KEPT),
};

// What the gateway says where it does not do what it is asked for (RFC 9457).
export class Problem extends Error {
  constructor(status, said) {
    super(said.detail ?? `status ${status}`);
    this.status = status;
    this.title = said.title ?? "This did not work";
    this.kind = (said.type ?? "").replace("urn:thornback:problem:", "");
    this.scope = said.scope;
  }
}

// Asks the person for a token; main.js says how.
let asked = null;
let ask = async () => {};
export const onUnknown = (how) => { ask = how; };

export async function request(path, options = {}) {
  for (;;) {
    const shown = token.get();
    const headers = { ...options.headers, ...(shown ? { Authorization: `Bearer ${shown}` } : {}) };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, { title: "The gateway is away", detail: "It does not answer. This page tries again." });
    }
    if (answer.ok) return answer;
    const problem = new Problem(answer.status, await answer.json().catch(() => ({})));
    if (problem.status !== 401) throw problem;
    if (shown === token.get()) { // else somebody has given another one meanwhile
      asked ??= ask(shown !== null).finally(() => { asked = null; });
      await asked;
    }
  }
}

export const get = async (path, options) => (await request(path, options)).json();

const part = encodeURIComponent;
export const actorPath = (type, name) => `/v1/actors/${part(type)}/${part(name)}`;

// Asks again and again, as long as somebody looks; `close` ends that.
export function poll(work, show, everyMs) {
  const abort = new AbortController();
  let timer;
  const again = async () => {
    try {
      if (!document.hidden) show(await work({ signal: abort.signal }), null);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Problem)) throw error;
      show(null, error);
    }
    if (!abort.signal.aborted) timer = setTimeout(again, everyMs);
  };
  again();
  return () => { abort.abort(); clearTimeout(timer); };
}
