"""`quality`: how the media of this call flow, and how good that sounds."""

from __future__ import annotations

import asyncio

from agent.quality import mos
from agent.test_numbers.line_test import LineTest
from config.announcement import Announcements
from transports.call import MediaStats

EVERY_S = 10.0  # RTCP comes every five


class Quality(LineTest):
    """Reports again and again, each time with the whole call up to then."""

    async def said(self) -> None:
        if not self._over:
            self._work.start(self._report())

    async def _report(self) -> None:
        await asyncio.sleep(EVERY_S)
        stats = await self._call.media_stats()
        await self.say(report(stats, self._call.info.codec, self._says))


def report(stats: MediaStats, codec: str, says: Announcements) -> str:
    """What is said of `stats`."""
    received, lost, score = stats.packets_received or 0, stats.packets_lost, mos(stats)
    told = [says.codec.format(codec=codec.partition("/")[0].upper())]
    if lost is None:
        told.append(says.packets_unlost.format(received=received))
    else:
        told.append(says.packets.format(received=received, lost=lost))
    if stats.jitter_ms is not None:
        told.append(says.jitter.format(ms=round(stats.jitter_ms)))
    if stats.round_trip_ms is None:
        told.append(says.no_round_trip)
    else:
        told.append(says.round_trip.format(ms=round(stats.round_trip_ms)))
    told.append(
        says.no_mos if score is None else says.mos.format(mos=f"{score:.1f}".replace(".", says.decimal))
    )
    return " ".join(told)
