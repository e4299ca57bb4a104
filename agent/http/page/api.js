// How a call is asked for.

import { ask } from "./http.js";

const WEBRTC = "api/v1/webrtc";
const DEADLINE_MS = 8_000; // where all packets are dropped, a browser itself waits for minutes

const soon = () => ({ signal: AbortSignal.timeout(DEADLINE_MS) });

export const config = () => ask("GET", `${WEBRTC}/config`, null, soon());

export const offer = (description, pcId, called) =>
  ask("POST", `${WEBRTC}/offer`, {
    sdp: description.sdp, type: description.type,
    ...(pcId ? { pc_id: pcId, restart_pc: true } : { request_data: { called } }),
  }, soon());

export const candidates = (pcId, found) =>
  ask("PATCH", `${WEBRTC}/offer`, {
    pc_id: pcId,
    candidates: found.map((c) => ({
      candidate: c.candidate, sdp_mid: c.sdpMid ?? "0", sdp_mline_index: c.sdpMLineIndex ?? 0,
    })),
  }, soon());

// keepalive: the goodbye is sent even while the page goes away.
export const hangUp = (pcId) =>
  ask("DELETE", `${WEBRTC}/offer/${encodeURIComponent(pcId)}`, null, { keepalive: true });
