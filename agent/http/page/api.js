// The server's HTTP side. Everything is relative to where the page is, so that a proxy may put it
// under a path of its own.

const KEY = "offhook.key";

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status; // 0: the server didn't answer
  }
}

export function rememberKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function ask(method, path, body, options = {}) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(`api/v1/webrtc/${path}`, {
      method, headers, body: body && JSON.stringify(body), cache: "no-store", ...options,
    });
  } catch {
    throw new ApiError(0, "The server doesn't answer. Is it running, and is this machine connected?");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem.detail || `The server answered ${response.status}.`);
}

export const config = () => ask("GET", "config");

export const offer = (description, pcId, called) =>
  ask("POST", "offer", {
    sdp: description.sdp, type: description.type,
    ...(pcId ? { pc_id: pcId, restart_pc: true } : { request_data: { called } }),
  });

export const candidates = (pcId, found) =>
  ask("PATCH", "offer", {
    pc_id: pcId,
    candidates: found.map((c) => ({
      candidate: c.candidate, sdp_mid: c.sdpMid ?? "0", sdp_mline_index: c.sdpMLineIndex ?? 0,
    })),
  });

// keepalive: the goodbye is sent even while the page goes away.
export const hangUp = (pcId) =>
  ask("DELETE", `offer/${encodeURIComponent(pcId)}`, null, { keepalive: true });
