"""Calls, live and past: who is on the line, who was, and what was said."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from httpx2 import Response as Answer
from pydantic import AfterValidator, BeforeValidator, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from agent.http.access import ADMIN, OPERATE, READ, Asking
from agent.http.call_views import Forgotten, SessionDetail, Sessions, SessionView
from agent.http.contracts import Calls, Elsewhere, LiveCall, Nodes
from agent.http.elsewhere import asking
from agent.http.problems import ProblemError, responses
from agent.recordings.recordings import Recordings
from agent.records import query as records
from agent.records.database import Database
from agent.records.tables import Call
from agent.voicemail import Voicemail

HANGUP_WAIT_S = 3.0
WRITTEN_WAIT_S = 3.0
LOOK_UP_S, MOST_LIVE = 1.0, 1000
# Calls read at once, for an export: what is made of a page takes the event loop, which calls need. 200 with
# their words took 0.4 s.
_PAGE, _WHOLE_PAGE = 50, 5


def _in_utc(when: datetime) -> datetime:
    """Without a zone it is this machine's."""
    try:
        return when.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ValueError("must be a time between the years 1 and 9999") from None


def _no_number(when: object) -> object:
    """Pydantic takes them for Unix time, in seconds or milliseconds as it sees fit."""
    if isinstance(when, str) and re.fullmatch(r"[-+.\d]+(e[-+]?\d+)?", when, re.IGNORECASE):
        raise ValueError("must be a time such as 2030-01-01T00:00:00Z")
    return when


_When = Annotated[datetime, BeforeValidator(_no_number), AfterValidator(_in_utc)]


@dataclass(frozen=True)
class _Filter:
    """Which calls are asked for."""

    from_: Annotated[str | None, Query(alias="from", description="The caller.", max_length=200)] = None
    to: Annotated[str | None, Query(description="Who was called.", max_length=200)] = None
    transport: Annotated[str | None, Query(description="sip, webrtc or a carrier.", max_length=40)] = None
    cause: Annotated[str | None, Query(description="Why it ended.", max_length=40)] = None
    since: Annotated[_When | None, Query(description="Began then or later.")] = None
    until: Annotated[_When | None, Query(description="Began before.")] = None

    def takes(self, call: LiveCall) -> bool:
        info, began = call.info, call.info.since
        return (
            self.from_ in (None, info.caller)
            and self.to in (None, info.called)
            and self.transport in (None, info.transport)
            and self.cause is None
            and (self.since is None or began >= self.since.timestamp())
            and (self.until is None or began < self.until.timestamp())
        )

    def query(self, limit: int) -> records.Query:
        return records.Query(
            caller=self.from_,
            called=self.to,
            transport=self.transport,
            cause=self.cause,
            since=self.since,
            until=self.until,
            limit=limit,
        )


Filter = Annotated[_Filter, Depends()]


def sessions_router(
    calls: Calls,
    past: Database | None,
    owed: Callable[[], bool],
    voicemail: Voicemail | None,
    recordings: Recordings | None,
    elsewhere: Elsewhere | None = None,
    nodes: Nodes | None = None,
) -> APIRouter:
    router = APIRouter()
    own = past.node if past else ""

    @router.get(
        "/api/v1/sessions",
        tags=["Calls"],
        summary="Calls, live and past",
        dependencies=[READ],
        responses=responses(422, 503),
    )
    async def sessions(
        request: Request,
        filter: Filter,
        state: Literal["live", "ended", "all"] = "live",
        limit: Annotated[int, Query(ge=1, le=500, description="Of past calls on a page.")] = 100,
        cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
        over: Annotated[
            Literal["own", "all"],
            Query(alias="nodes", description="Live calls of this node, or of all. Past ones are all nodes'."),
        ] = "own",
    ) -> Sessions:
        """Live calls, the oldest first; past ones behind them, the newest first."""
        found: list[SessionView] = []
        next, unreachable = None, list[str]()
        if state != "ended" and cursor is None:
            found = [SessionView.of(call, own) for call in calls.live() if filter.takes(call)]
            asked = request.url.include_query_params(state="live", nodes="own")
            target = f"{asked.path}?{asked.query}"
            for answer in (await elsewhere.ask(target)).values() if elsewhere else ():
                found += Sessions.model_validate_json(answer.content).sessions
            if nodes and over == "all":
                for name, heard in (await nodes.ask(target, asking(request.scope))).items():
                    theirs = _listed(heard)
                    if theirs is None:
                        unreachable.append(name)
                    else:
                        found += theirs
                if unreachable and not nodes.away:
                    found += await _as_written(kept(past), unreachable, filter)
            found.sort(key=lambda call: call.since)
        if state != "live":
            query = filter.query(limit + 1)
            if cursor is not None:
                try:
                    query = replace(query, after=records.place(cursor))
                except ValueError:
                    raise ProblemError(422, "cursor must be the `next` of a page before.") from None
            with readable():
                ended = await kept(past).page(query)
            found += [SessionView.of_record(call) for call in ended[:limit]]
            next = records.cursor(ended[limit - 1]) if len(ended) > limit else None
        return Sessions(sessions=found, next=next, unreachable=unreachable)

    @router.get(
        "/api/v1/sessions/export",
        tags=["Calls"],
        summary="Past calls as a file",
        dependencies=[READ],
        responses=responses(422, 503),
        response_class=StreamingResponse,
    )
    async def export(filter: Filter, format: Literal["jsonl", "csv"] = "jsonl") -> StreamingResponse:
        """All that fit, the newest first: as JSON Lines with their words, or as CSV without."""
        whole = format == "jsonl"
        pages = _pages(kept(past), filter.query(_WHOLE_PAGE if whole else _PAGE), whole=whole)
        with readable():
            first: Page = await anext(pages, [])
        lines = _json_lines if whole else _csv_lines
        kind = "application/jsonl" if whole else "text/csv"
        return StreamingResponse(
            lines(first, pages),
            media_type=kind,
            headers={"Content-Disposition": f'attachment; filename="calls.{format}"'},
        )

    @router.get(
        "/api/v1/sessions/{id}",
        tags=["Calls"],
        summary="One call, live or past",
        dependencies=[READ],
        responses=responses(404, 503),
    )
    async def session(id: str) -> SessionDetail:
        """With how well it sounds, what was said, done and failed, and where each answer's time went."""
        try:
            return await SessionDetail.of_call(find(calls, id), own)
        except ProblemError:
            if past is None:
                raise
        with readable():
            if call := await past.call(id):
                return SessionDetail.of_whole_record(call)
        raise ProblemError(404, f"No call has the id {id[:40]!r}. GET /api/v1/sessions?state=all lists them.")

    @router.delete(
        "/api/v1/sessions/{id}",
        tags=["Calls"],
        summary="Hang up",
        status_code=204,
        dependencies=[OPERATE],
        responses=responses(404) | {202: {"description": "The call is ending."}},
    )
    async def hang_up(id: str, asking: Asking) -> Response:
        """204 once the call has ended, 202 if it needs longer than a few seconds."""
        call = find(calls, id)
        call.note("hang_up", asking.name)
        await call.hangup()
        try:
            async with asyncio.timeout(HANGUP_WAIT_S):
                await calls.gone(id)
        except TimeoutError:
            return Response(status_code=202)
        return Response(status_code=204)

    @router.delete(
        "/api/v1/sessions",
        tags=["Calls"],
        summary="Forget a caller",
        dependencies=[ADMIN],
        responses=responses(422, 503),
    )
    async def forget(
        caller: Annotated[str, Query(alias="from", description="The caller.", min_length=1)],
    ) -> Forgotten:
        """Delete all that is kept of past calls with them, whoever called, and the messages they left.

        503 while records of calls have yet to come into the database: they may be theirs.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITTEN_WAIT_S):
                while owed():  # noqa: ASYNC110 - mostly not for long
                    await asyncio.sleep(0.02)
        if owed():
            detail = "Calls that are over wait to be written down, and may be theirs."
            raise ProblemError(503, f"{detail} Ask again when GET /health says of records that none waits.")
        with deletable(*MESSAGES):
            messages = await voicemail.forget(caller) if voicemail else 0
        with readable():
            heard = 0
            if past and recordings:  # before the records go, which say whose they are
                ids = await past.ids_with(caller)
                with deletable(*RECORDINGS):
                    heard = await recordings.delete(ids)
            known = await past.forget(caller) if past else 0
        return Forgotten(calls=known, messages=messages, recordings=heard)

    return router


def _listed(answer: Answer | None) -> list[SessionView] | None:
    """The calls in another node's answer; None where there is none, or one of a version that isn't ours."""
    try:
        return None if answer is None else Sessions.model_validate_json(answer.content).sessions
    except ValidationError:
        return None


async def _as_written(past: Database, nodes: Sequence[str], filter: Filter) -> list[SessionView]:
    """The live calls of nodes that don't answer; none where the database is away, too."""
    try:
        async with asyncio.timeout(LOOK_UP_S):
            return [SessionView.of_record(call) for call in await past.live(nodes, filter.query(MOST_LIVE))]
    except (SQLAlchemyError, OSError):
        return []


def find(calls: Calls, id: str) -> LiveCall:
    """Raises ProblemError."""
    for call in calls.live():
        if call.info.id == id:
            return call
    raise ProblemError(404, f"No live call has the id {id[:40]!r}. GET /api/v1/sessions lists them.")


def kept(past: Database | None) -> Database:
    """Raises ProblemError where there is none."""
    if past is None:
        raise ProblemError(503, "No records are kept: set records.enabled.")
    return past


@contextmanager
def readable() -> Iterator[None]:
    """Raises ProblemError where the database is away."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise ProblemError(503, "The records' database is away. GET /health says why.") from error


RECORDINGS, MESSAGES = ("Recordings", "recordings.folder"), ("Messages", "messages in state_dir")


@contextmanager
def deletable(what: str, where: str) -> Iterator[None]:
    """Raises ProblemError where the disk keeps what is to go."""
    try:
        yield
    except OSError as error:
        why = f"{what} can't be deleted: {error.strerror or error}."
        raise ProblemError(503, f"{why} Let offhook write to their folder ({where}).") from error


Page = list[Call]


async def _pages(past: Database, query: records.Query, *, whole: bool) -> AsyncIterator[Page]:
    while page := await past.page(query, whole=whole):
        yield page
        query = query.behind(page[-1])


async def _json_lines(first: Page, more: AsyncIterator[Page]) -> AsyncIterator[str]:
    async for page in _chained(first, more):
        yield await asyncio.to_thread(_as_json_lines, page)


def _as_json_lines(page: Page) -> str:
    return "".join(SessionDetail.of_whole_record(call).model_dump_json() + "\n" for call in page)


async def _csv_lines(first: Page, more: AsyncIterator[Page]) -> AsyncIterator[str]:
    written = io.StringIO()
    table = csv.DictWriter(written, [field.alias or name for name, field in SessionView.model_fields.items()])
    table.writeheader()
    async for page in _chained(first, more):
        for call in page:
            row = SessionView.of_record(call).model_dump(mode="json")
            table.writerow({name: _cell(value) for name, value in row.items()})
        yield written.getvalue()
        written.seek(0)
        written.truncate()


async def _chained(first: Page, more: AsyncIterator[Page]) -> AsyncIterator[Page]:
    yield first
    async for page in more:
        yield page


def _cell(value: object) -> object:
    """What no spreadsheet takes for a formula: callers choose their names."""
    text = " ".join(value) if isinstance(value, list) else value
    text = json.dumps(text) if isinstance(text, dict) else text
    return f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
