"""A server with OpenAI's speech API: asked over one pool of connections, and left alone while it is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, Protocol, TypeVar

import httpx2
from loguru import logger

from config.speech_server import SpeechServerSettings
from models.errors import ModelAway, ModelBusy, ModelError, ModelFailed, ModelLate, ModelOverloaded
from models.lanes import Lane, LaneStats, Priority
from models.llm.backoff import Backoff
from models.llm.stream import Retries
from models.llm.where import mounts

CONNECT_S = 2.0
TRIAL_S = 15.0
MOST_WAITING = 64
PRIORITY = "X-Offhook-Priority"  # call, guess, text or bulk: for a server of ours; others ignore it
WORK = "Server-Timing"  # work;dur=12.3: what a server of ours took, in milliseconds
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


class SpeechServer:
    """Stands where a `Lane` does for models in this process.

    Once it can't be reached or is late, nobody waits for it any more until a `trial` of it has succeeded,
    which is made again and again.
    """

    def __init__(
        self, section: str, where: SpeechServerSettings, trial: Callable[[], Awaitable[None]]
    ) -> None:
        """`section` of the settings, which names it to operators. Raises ValueError where it has no url."""
        if where.url is None:
            raise ValueError(f"{section}.url isn't set.")
        self.url = where.url
        self.down: str | None = None
        """A sentence, while it isn't asked."""
        self._section = section
        self._trial = trial
        self._places = asyncio.Semaphore(where.max_requests)
        self._most = where.max_requests
        self._awaited: dict[int, float] = {}  # by request: monotonic, where it is for a call
        self._at_work = self._waiting = self._done = self._number = 0
        self._last_error: str | None = None
        self._trying: asyncio.Task[None] | None = None
        key = where.api_key.get_secret_value() if where.api_key else None
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=where.max_requests),
            mounts=mounts(where.url),
        )

    @property
    def idle(self) -> bool:
        """Whether what is asked now would be begun at once."""
        return self.down is None and self._at_work < self._most

    @property
    def stats(self) -> LaneStats:
        now = time.monotonic()
        return LaneStats(
            queued=self._waiting,
            running=self._at_work > 0,
            done=self._done,
            dropped=0,
            last_error=self.down or self._last_error,
            stuck=None,
            oldest_s=now - min(self._awaited.values(), default=now),
        )

    async def start(self) -> None:
        """Try it once. Where that is in vain, it is tried on."""
        try:
            await self._tried()
        except ModelError as error:
            self._put_down(error)

    async def close(self) -> None:
        if self._trying:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        await self._http.aclose()

    @asynccontextmanager
    async def asked(
        self,
        path: str,
        *,
        within_s: float,
        priority: Priority = Priority.CALL,
        guess: bool = False,
        trial: bool = False,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> AsyncGenerator[httpx2.Response, None]:
        """The answer, once it has begun, which is to be `within_s`; `body` is httpx's.

        It is asked again where that makes sense. Raises ModelBusy, ModelFailed; also of what fails while the
        answer is read.
        """
        if self.down and not trial:
            raise ModelAway(self.down)
        if self._waiting >= MOST_WAITING:
            raise ModelBusy(f"{self.url} has {MOST_WAITING} requests waiting.")
        said = {PRIORITY: "guess" if guess else priority.name.lower()} | (headers or {})
        with self._told(within_s):
            with self._counted(priority):
                async with asyncio.timeout(within_s):
                    answer = await self._begun(path, time.monotonic() + within_s, headers=said, **body)
            try:
                yield answer
                self._done += 1
            finally:
                await answer.aclose()
                self._places.release()
                self._at_work -= 1

    def failed(self, error: ModelError) -> None:
        """It wasn't there, or late, for somebody who needed it."""
        self._last_error = str(error)
        if isinstance(error, ModelAway | ModelLate) and not isinstance(error, ModelOverloaded):
            self._put_down(error)

    def _put_down(self, error: ModelError) -> None:
        if self.down is None:
            logger.warning(f"{error} It is tried again.")
        self.down = str(error)
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._try_again(), name=f"trial-{self._section}")

    async def _begun(self, path: str, deadline: float, **request: Any) -> httpx2.Response:
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        self._at_work += 1
        try:
            retries = Retries(deadline)
            while True:
                try:
                    return await self._sent(path, **request)
                except (ModelFailed, httpx2.TransportError) as error:
                    pause_s = retries.after(error, time.monotonic())
                    if pause_s is None:
                        if isinstance(error, ModelOverloaded) and error.retry_after_s is None:
                            raise ModelAway(str(error)) from None  # for so long, it is as good as that
                        raise
                    await asyncio.sleep(pause_s)
        except BaseException:
            self._places.release()
            self._at_work -= 1
            raise

    async def _sent(self, path: str, **request: Any) -> httpx2.Response:
        answer = await self._http.send(
            self._http.build_request("POST", f"{self.url}/{path}", **request), stream=True
        )
        if answer.is_success:
            return answer
        await answer.aclose()
        status = answer.status_code
        if status in _LATER:
            after = answer.headers.get("Retry-After", "")
            raise ModelOverloaded(
                f"{self.url} answers HTTP {status}.", retry_after_s=float(after) if after.isdigit() else None
            )
        if status in (401, 403):
            raise ModelFailed(f"{self.url} doesn't take the API key: set {self._section}.api_key.")
        # What it says may quote what was said.
        raise Refused(f"{self.url}/{path} refuses what it is asked, with HTTP {status}.")

    @contextmanager
    def _counted(self, priority: Priority) -> Iterator[None]:
        self._number += 1
        number = self._number
        if priority is Priority.CALL:
            self._awaited[number] = time.monotonic()
        try:
            yield
        finally:
            self._awaited.pop(number, None)

    @contextmanager
    def _told(self, within_s: float) -> Iterator[None]:
        """Takes note of failures, and tells them as the errors of this package."""
        try:
            yield
        except TimeoutError:
            late = ModelLate(f"{self.url} didn't answer within {within_s:.1f} s.")
            self.failed(late)
            raise late from None
        except httpx2.HTTPError as error:
            away = ModelAway(f"{self.url} doesn't answer: {type(error).__name__}.")
            self.failed(away)
            raise away from None
        except ModelError as error:
            self.failed(error)
            raise
        except Exception as error:  # whatever it sent
            failed = self._not_understood(error)
            self.failed(failed)
            raise failed from error

    def _not_understood(self, error: Exception) -> ModelFailed:
        return ModelFailed(f"{self.url} isn't understood: {type(error).__name__}.")

    async def _tried(self) -> None:
        try:
            async with asyncio.timeout(TRIAL_S):
                await self._trial()
        except TimeoutError:
            raise ModelLate(f"{self.url} took more than {TRIAL_S:.0f} s for a trial.") from None
        except ModelError:
            raise
        except Exception as error:  # or nobody would try it any more
            raise self._not_understood(error) from error

    async def _try_again(self) -> None:
        backoff = Backoff(first_s=0.5, longest_s=5.0)
        while self.down:
            await asyncio.sleep(backoff.failed(time.monotonic()))
            try:
                await self._tried()
            except ModelError as error:
                self.down = str(error)
            else:
                self.down = None
                logger.info(f"{self.url} answers again.")


def besides_work_ms(answer: httpx2.Response, since: float) -> float:
    """What has passed since, on the monotonic clock, but for what the server says that it took; 0 where it
    says nothing."""
    work = answer.headers.get(WORK, "").partition("work;dur=")[2]
    if not work.replace(".", "", 1).isdigit():
        return 0.0
    return max(0.0, (time.monotonic() - since) * 1000 - float(work))


class Refused(ModelFailed):
    """The server doesn't take what it is asked."""


class Local(Protocol):
    """A model in this process."""

    @property
    def lane(self) -> Lane: ...
    async def close(self) -> None: ...


L = TypeVar("L", bound=Local)


class Remote(Generic[L]):
    """A model on a server. One that is here, `local`, works while the server doesn't."""

    def __init__(self, server: SpeechServer, local: L | None) -> None:
        self.server = server
        self._local = local

    @property
    def lane(self) -> Lane | SpeechServer:
        return self._local.lane if self._local and self.server.down else self.server

    @property
    def device(self) -> str:
        return self.server.url

    @property
    def state(self) -> str:
        return "ready" if not self.server.down else "degraded" if self._local else "down"

    async def start(self) -> None:
        await self.server.start()

    async def close(self) -> None:
        await self.server.close()
        if self._local:
            await self._local.close()
