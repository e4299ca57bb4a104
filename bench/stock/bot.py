"""A plain Pipecat bot on the same weights, for comparison: stock services, stock turn-taking.

    python -m bench.stock.bot --turns smart-turn|timeout --sip-port 5080

What it shares with offhook is what Pipecat doesn't have, the SIP line, and the weights: the Whisper that
offhook would choose, in int8, the Piper voice, SmolLM2 on the same llama.cpp server (or Ollama), the
persona. Everything else is what Pipecat's examples put together: WhisperSTTService, OpenAILLMService,
PiperTTSService, SileroVADAnalyzer, and either the default turn strategies (smart-turn v3) or a fixed 0.6 s
of silence.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
    UserTurnStoppedMessage,
)
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.piper.tts import PiperTTSService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transcriptions.language import Language
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from config.persona import Persona, load_persona
from config.settings import Settings
from config.sip import SipSettings
from config.sources import load
from models.catalog import Catalog
from models.llm.brief import Brief
from models.llm.language_model import Llm
from models.pool import speech_model
from transports.call import CallInfo, CallTransport, EndReason
from transports.sip.server import SipServer

SAMPLE_RATE_HZ = 16_000
END_DEADLINE_S = 8.0


@dataclass(frozen=True, slots=True)
class Weights:
    whisper: Path
    voice: Path

    @classmethod
    def find(cls, settings: Settings, persona: Persona) -> Weights:
        catalog = Catalog(settings.cache_dir)
        whisper = catalog.whisper(speech_model(settings, [persona.language], catalog))
        return cls(whisper, catalog.voice(settings.tts.voice or persona.voice[0]))


class StockBot:
    """Runs a stock pipeline for every call."""

    def __init__(self, persona: Persona, weights: Weights, llm: Llm, turns: str) -> None:
        self._persona = persona
        self._weights = weights
        self._llm = llm
        self._turns = turns
        self.said: dict[CallInfo, list[dict[str, str]]] = {}  # the callers' turns of every live call

    async def handle(self, call: CallTransport) -> None:
        connected, over = asyncio.Event(), asyncio.Event()

        async def on_connected(_: CallTransport) -> None:
            connected.set()

        async def on_stopped(_: CallTransport, reason: EndReason) -> None:
            connected.set()
            over.set()

        call.add_event_handler("on_dialin_connected", on_connected)
        call.add_event_handler("on_dialin_stopped", on_stopped)
        self.said[call.info] = []
        worker = self._pipeline(call)
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        try:
            await call.answer()
            await connected.wait()
            await worker.queue_frame(TTSSpeakFrame(self._persona.greeting))
            await over.wait()
        finally:
            del self.said[call.info]
            await call.hangup()
            await runner.cancel()
            _, stuck = await asyncio.wait({running}, timeout=END_DEADLINE_S)
            for task in stuck:
                task.cancel()

    def _pipeline(self, call: CallTransport) -> PipelineWorker:
        stt = WhisperSTTService(
            device="cpu",
            compute_type="int8",
            settings=WhisperSTTService.Settings(model=str(self._weights.whisper), language=Language.EN),
        )
        llm_settings = self._llm.settings
        base_url, api_key = _openai(self._llm)
        llm = OpenAILLMService(
            api_key=api_key,
            base_url=base_url,
            settings=OpenAILLMService.Settings(
                model=self._llm.endpoint.model,
                system_instruction=self._persona.prompt,
                temperature=llm_settings.temperature,
                max_tokens=llm_settings.max_tokens,
            ),
        )
        voice = self._weights.voice
        tts = PiperTTSService(download_dir=voice.parent, settings=PiperTTSService.Settings(voice=voice.stem))
        strategies = UserTurnStrategies(
            stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.6)]
            if self._turns == "timeout"
            else None
        )
        user, assistant = LLMContextAggregatorPair(
            LLMContext(),
            user_params=LLMUserAggregatorParams(
                vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=strategies
            ),
        )

        async def on_turn_stopped(_: object, strategy: object, message: UserTurnStoppedMessage) -> None:
            now = datetime.now(UTC).isoformat()
            if (said := self.said.get(call.info)) is not None:
                said.append({"speaker": "caller", "text": message.content or "", "at": now})

        user.add_event_handler("on_user_turn_stopped", on_turn_stopped)
        return PipelineWorker(
            Pipeline([call.input(), stt, user, llm, tts, call.output(), assistant]),
            params=PipelineParams(audio_in_sample_rate=SAMPLE_RATE_HZ, audio_out_sample_rate=SAMPLE_RATE_HZ),
            idle_timeout_secs=None,
        )


def _openai(llm: Llm) -> tuple[str, str]:
    """The OpenAI-compatible API of whoever answers, and its key."""
    speaker = llm.speaker
    if speaker is not None and llm.endpoint is speaker:
        return f"{speaker.child.url}/v1", speaker.child.api_key
    key = llm.settings.api_key
    return f"{llm.endpoint.url.removesuffix('/v1')}/v1", key.get_secret_value() if key else "none"


async def serve(arguments: argparse.Namespace) -> None:
    settings, persona = load(arguments.config, {}).settings, load_persona(arguments.persona)
    weights = await asyncio.to_thread(Weights.find, settings, persona)
    catalog = Catalog(settings.cache_dir)
    llm = Llm(settings.llm, weights=catalog.language_model, states=catalog.prompts)
    await llm.start((Brief(persona.primer),))
    bot = StockBot(persona, weights, llm, arguments.turns)
    sip = SipServer(SipSettings(host="127.0.0.1", port=arguments.sip_port), settings.most_calls, bot.handle)
    try:
        await sip.start()
        http = _Http(uvicorn.Config(_api(bot), host="127.0.0.1", port=arguments.http_port, log_config=None))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, http.handle_exit, number, None)
        print(f"ready: sip:agent@127.0.0.1:{arguments.sip_port}", flush=True)
        await http.serve()
    finally:
        await sip.close()
        await llm.close()


class _Http(uvicorn.Server):
    """Leaves signals alone: uvicorn's way with them ends the process before the line is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _api(bot: StockBot) -> FastAPI:
    """What the bench asks of offhook's API: whether it may call, and what was heard of callers."""
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> None:
        """Whoever can connect may call."""

    @app.get("/api/v1/sessions")
    async def sessions() -> dict[str, list[dict[str, str]]]:
        return {"sessions": [{"id": info.id, "from": info.caller} for info in bot.said]}

    @app.get("/api/v1/sessions/{session}")
    async def session(session: str) -> dict[str, list[dict[str, str]]]:
        found = next((said for info, said in bot.said.items() if info.id == session), None)
        if found is None:
            raise HTTPException(404)
        return {"transcript": found}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A plain Pipecat bot on the same weights and the same line.")
    parser.add_argument("--turns", choices=("smart-turn", "timeout"), default="smart-turn")
    parser.add_argument("--config", type=Path, help="the settings that offhook has")
    parser.add_argument("--persona", default="en", help="a name, or a path")
    parser.add_argument("--sip-port", type=int, default=5080)
    parser.add_argument("--http-port", type=int, default=5081, help="where it says that it is ready")
    logging.basicConfig(level=logging.WARNING)
    logger.remove()
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
