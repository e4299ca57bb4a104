// How a call is asked for.

import { ask } from "./http.js";

const WEBRTC = "api/v1/webrtc";

export const config = () => ask("GET", `${WEBRTC}/config`);

export const offer = (description, pcId, called) =>
  ask("POST", `${WEBRTC}/offer`, {
    sdp: description.sdp, type: description.type,
    ...(pcId ? { pc_id: pcId, restart_pc: true } : { request_data: { called } }),
  });

export const candidates = (pcId, found) =>
  ask("PATCH", `${WEBRTC}/offer`, {
    pc_id: pcId,
    candidates: found.map((c) => ({
      candidate: c.candidate, sdp_mid: c.sdpMid ?? "0", sdp_mline_index: c.sdpMLineIndex ?? 0,
    })),
  });

// keepalive: the goodbye is sent even while the page goes away.
export const hangUp = (pcId) =>
  ask("DELETE", `${WEBRTC}/offer/${encodeURIComponent(pcId)}`, null, { keepalive: true });
