// What both pages ask of the server. Everything is relative to where the page is, so that a proxy may put it
// under a path of its own.

export const ANSWER_MS = 15_000; // a connection may be gone without a word
const KEY = "offhook.key";
const AWAY = "The server doesn't answer. Is it running, and is this machine connected?";

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status; // 0: the server didn't answer
  }
}

/** The tab's; where the browser keeps nothing for this site, it lasts as long as the page. */
export const storage = (() => {
  try {
    return window.sessionStorage;
  } catch {
    const kept = new Map();
    return {
      getItem: (name) => kept.get(name) ?? null,
      setItem: (name, value) => kept.set(name, value),
      removeItem: (name) => kept.delete(name),
    };
  }
})();

export function rememberKey(key) {
  storage.setItem(KEY, key);
}

export const knownKey = () => storage.getItem(KEY);

export const hasKey = () => knownKey() !== null;

/** The response, if it is a good one. Throws ApiError. */
export async function request(method, path, body, options = {}) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const key = knownKey();
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, {
      method, headers, body: body && JSON.stringify(body), cache: "no-store", ...options,
    });
  } catch {
    throw new ApiError(0, AWAY);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem.detail || `The server answered ${response.status}.`);
}

/** What the server answers, soon. Throws ApiError. */
export async function ask(method, path, body, options) {
  const response = await request(method, path, body, { signal: AbortSignal.timeout(ANSWER_MS), ...options });
  if (response.status === 204) return null;
  return response.json().catch(() => {
    throw new ApiError(0, AWAY);
  });
}
