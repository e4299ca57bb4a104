"""`offhook chat`: the one who answers calls, in the terminal."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from agent.cli.options import ConfigFile, PersonaName, Set, load_settings
from config.answering import load_personas
from config.redaction import without_credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from agent.dialogue import Dialogue, Reply
    from agent.tools.toolbox import Toolbox
    from config.persona import Persona
    from config.settings import Settings
    from models.llm.language_model import Llm

HELP = (
    "Say something, as you would on the phone. Ctrl-C interrupts an answer; /reset begins a new call; "
    "/quit or Ctrl-D hangs up."
)


def chat(
    text: Annotated[
        list[str] | None,
        typer.Argument(help="What to say, one turn each; typed or piped in if absent.", show_default=False),
    ] = None,
    config: ConfigFile = None,
    settings: Set = None,
    persona: PersonaName = None,
) -> None:
    """Talk with the agent in the terminal: the model, prompt and tools of its calls, without the sound.

    Behind each answer stands where its time went. With TEXT, or with input from a pipe (a turn a line), only
    what is said is printed. Exits 1 if the model can't answer.
    """
    loaded = load_settings(config, settings, {"persona": persona, "log.level": "warning"})
    who = load_personas(loaded.settings).default
    raise typer.Exit(asyncio.run(_chat(loaded.settings, who, text or [])))


async def _chat(settings: Settings, persona: Persona, texts: Sequence[str]) -> int:
    console = Console(highlight=False, soft_wrap=True)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    with errors.status("Starting ..."):
        from agent import logs

        logs.set_up(settings.log)
        from agent.calendar.tools import every_tool
        from agent.dialogue import text_pool
        from models.errors import ModelError

        tools = every_tool(settings)
        tools.require([persona])
        await tools.start()
        pool = text_pool(settings, [persona])
        try:
            await pool.start_llm()
        except ModelError as error:
            errors.print(f"offhook: {error}", style="red", markup=False)
            await tools.close()
            return 1
    talk = _Talk(console, pool.llm, persona, tools)
    try:
        if texts or not sys.stdin.isatty():
            await talk.through(texts or [line.strip() for line in sys.stdin if line.strip()])
        else:
            console.print(f"[dim]{escape(without_credentials(pool.llm.why))} {HELP}")
            while await talk.freely():
                pass
    except ModelError as error:
        errors.print(f"offhook: {error}", style="red", markup=False)
        return 1
    finally:
        await pool.close()
        await tools.close()
    return 0


class _Talk:
    def __init__(self, console: Console, llm: Llm, persona: Persona, tools: Toolbox) -> None:
        self._console = console
        self._llm = llm
        self._persona = persona
        self._tools = tools

    async def through(self, texts: Sequence[str]) -> None:
        """One conversation of just these turns. Raises ModelError."""
        from agent.dialogue import Dialogue

        self._greet("")
        async with Dialogue(self._llm, self._persona, toolbox=self._tools) as dialogue:
            for text in texts:
                reply = await dialogue.answer(text)
                self._console.print(escape(reply.text.strip()))
                if dialogue.ended:
                    return

    async def freely(self) -> bool:
        """One conversation with whoever sits there; whether another one is wanted."""
        from agent.dialogue import Dialogue
        from models.errors import ModelError

        self._greet("\n")
        async with Dialogue(self._llm, self._persona, toolbox=self._tools) as dialogue:
            async for text in _typed():
                if text == "/reset":
                    return True
                if text == "/quit":
                    return False
                if text.startswith("/"):
                    self._console.print(f"[dim]{HELP}")
                    continue
                try:
                    await self._answer(dialogue, text)
                except ModelError as error:
                    self._console.print(f"[red]{escape(str(error))}")
                if dialogue.ended:
                    return False
        return False

    def _greet(self, before: str) -> None:
        for text in self._persona.opening:
            self._console.print(f"{before}{escape(text)}")

    async def _answer(self, dialogue: Dialogue, text: str) -> None:
        loop = asyncio.get_running_loop()
        interrupting: set[asyncio.Task[None]] = set()

        def interrupt() -> None:
            if not interrupting:
                interrupting.add(loop.create_task(dialogue.interrupt()))

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            async with aclosing(dialogue.ask(text)) as tokens:
                async for token in tokens:
                    self._console.print(escape(token), end="")
                    self._console.file.flush()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            await asyncio.gather(*interrupting)
        self._console.print("—" if dialogue.reply.interrupted else "")
        for call in dialogue.reply.tool_calls:
            self._console.print(f"[dim]{escape(call.name)} {escape(str(dict(call.arguments) or ''))}")
        for source in dialogue.reply.sources:
            self._console.print(f"[dim]from {escape(source)}")
        if dialogue.reply.first_token_ms is not None:
            self._console.print(f"[dim]{escape(trace(dialogue.reply, self._llm))}")


def trace(reply: Reply, llm: Llm) -> str:
    """Where an answer's time went, in a line."""
    parts = [f"first token {reply.first_token_ms:.0f} ms"]
    if reply.first_clause_ms is not None:
        parts.append(f"first clause {reply.first_clause_ms:.0f} ms")
    parts.append(f"whole answer {reply.total_ms:.0f} ms")
    if (speed := reply.tokens_per_s) is not None:
        parts.append(f"{speed:.0f} tokens/s")
    if reply.prompt_tokens:
        cached = reply.cached_tokens
        known = f" ({reply.prompt_tokens - cached} evaluated, {cached} cached)" if cached is not None else ""
        parts.append(f"prompt {reply.prompt_tokens} tokens{known}")
    parts.append(f"{llm.endpoint.model}{f' on {llm.device}' if llm.device else ''}")
    return " · ".join(parts)


async def _typed() -> AsyncIterator[str]:
    """What is typed, a turn a line, until Ctrl-D."""
    with suppress(ImportError):
        import readline  # noqa: F401  # gives input() a history and an editable line
    loop = asyncio.get_running_loop()
    while True:
        # At the prompt there is nothing to interrupt.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        try:
            text = (await asyncio.to_thread(input, "> ")).strip()
        except EOFError:
            return
        finally:
            loop.remove_signal_handler(signal.SIGINT)
        if text:
            yield text
