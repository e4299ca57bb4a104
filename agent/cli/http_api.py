"""The HTTP API of a running server, as commands ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    import httpx2

    from config.settings import HttpSettings


class Api:
    """Exits with a sentence if the server can't be reached or answers an error."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def ask(self, method: str, path: str, **sent: Any) -> httpx2.Response:
        with self.answering(method, path, **sent) as answer:
            answer.read()
        return answer

    @contextmanager
    def answering(self, method: str, path: str, **sent: Any) -> Iterator[httpx2.Response]:
        """The answer as it comes."""
        import httpx2

        base = str(self._client.base_url).removesuffix("/api/v1/")
        try:
            with self._client.stream(method, path, **sent) as answer:
                if answer.is_error:
                    answer.read()
                    _fail(_detail(answer, base))
                yield answer
        except httpx2.HTTPError as error:
            _fail(f"no server answers at {base}: {str(error).rstrip('.')}. Name it with --url.")


@contextmanager
def api(http: HttpSettings, url: str | None) -> Iterator[Api]:
    """Of the server at `url`, or of the one that the settings make."""
    import httpx2

    base = _base(url) if url else _own_url(http)
    headers = {"X-API-Key": http.api_key.get_secret_value()} if http.api_key else {}
    # Its own certificate, on this machine, is nobody's to vouch for.
    with httpx2.Client(
        base_url=f"{base}/api/v1/", verify=url is not None, timeout=10, headers=headers
    ) as client:
        yield Api(client)


def _detail(answer: httpx2.Response, base: str) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError):
        return f"{base} answered {answer.status_code}. Is it offhook's?"


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"offhook: {sentence}", err=True)
    raise typer.Exit(1) from None


def _base(url: str) -> str:
    """Of what may be an address alone, or the API's own."""
    whole = url if "://" in url else f"http://{url}"
    return whole.rstrip("/").removesuffix("/api/v1")


def _own_url(http: HttpSettings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)
    where = f"[{host}]" if ":" in host else host
    return f"{'https' if http.tls else 'http'}://{where}:{http.port}"
