"""How good a call sounds, estimated from its packets: a policy."""

from __future__ import annotations

from transports.call import MediaStats

R_DEFAULT = 93.2  # ITU-T G.107, all parameters at their defaults
PACKET_MS = 20.0
# Loss robustness (Bpl) of G.711 with concealment (ITU-T G.113, appendix I). Other codecs conceal as well,
# and are rated as if they were no better than G.711 without losses.
_BPL = 25.1


def mos(stats: MediaStats) -> float | None:
    """The mean opinion score, 1 to 4.4, of what comes from the caller; None where losses aren't known.

    The E-model (ITU-T G.107), simplified after Cole and Rosenbluth (2001): losses at random, and as delay
    half the round trip, a packet, and twice the jitter. A round trip that isn't known counts nothing.
    """
    if stats.packets_received is None or stats.packets_lost is None:
        return None
    sent = stats.packets_received + stats.packets_lost
    lost = 100 * stats.packets_lost / sent if sent else 0.0
    delay_ms = (stats.round_trip_ms or 0.0) / 2 + PACKET_MS + 2 * (stats.jitter_ms or 0.0)
    by_delay = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)
    by_loss = 95 * lost / (lost + _BPL)
    r = min(100.0, max(0.0, R_DEFAULT - by_delay - by_loss))
    return max(1.0, 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r))
