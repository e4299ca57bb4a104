"""A SIP server in a process of its own, for tests: `python -m tests.sip_echo_server PORT [options]`.

It answers every call, sends back what it hears, and prints one JSON line for each thing that happens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from config.sip import SipSettings
from transports.call import CallGone, CallTransport
from transports.sip.errors import SipError
from transports.sip.server import SipServer


def say(**what: Any) -> None:
    print(json.dumps(what | {"at": time.monotonic()}), flush=True)


class Echo(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


async def handle(call: CallTransport) -> None:
    over = asyncio.Event()
    worker = PipelineWorker(
        Pipeline([call.input(), Echo(), call.output()]),
        params=PipelineParams(audio_in_sample_rate=16000, audio_out_sample_rate=16000),
        enable_rtvi=False,
        idle_timeout_secs=None,
    )

    @call.event_handler("on_dialin_connected")
    async def _connected(_: CallTransport) -> None:
        say(event="connected", codec=call.info.codec, remote=call.info.remote, called=call.info.called)

    @call.event_handler("on_dialin_stopped")
    async def _stopped(_: CallTransport, reason: str) -> None:
        say(event="stopped", reason=str(reason))
        over.set()

    @call.event_handler("on_dtmf_event")
    async def _dtmf(_: CallTransport, digit: str) -> None:
        say(event="dtmf", digit=digit)

    say(event="incoming")
    runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await call.answer()
        await over.wait()
    except CallGone:
        say(event="gone")
    finally:
        await runner.cancel()
        await running


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--max-calls", type=int, default=20)
    options = parser.parse_args()
    settings = SipSettings(port=options.port, **json.loads(options.settings))
    server = SipServer(settings, options.max_calls, handle)
    try:
        await server.start()
    except SipError as error:
        sys.exit(str(error))
    say(event="listening")
    await asyncio.to_thread(sys.stdin.read)  # until whoever started us closes it
    await server.close()


if __name__ == "__main__":
    asyncio.run(main())
