"""The control plane over a real socket, against a directory in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import websockets
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from agent.conversation import Turn
from agent.events import Events
from agent.http.app import BODY_BYTES, create_app
from agent.http.server import HttpServer, ListenError
from config.settings import HttpSettings, Settings
from models.errors import ModelFailed
from models.nvml import Gpu
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeComponent, FakeEndpoint, FakeModels
from tests.waiting import until
from transports.call import MediaStats


class Listener:
    def __init__(self) -> None:
        self.component = FakeComponent("sip", device=None)

    def health(self) -> list[FakeComponent]:
        return [self.component]


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def sip() -> Listener:
    return Listener()


@pytest.fixture
async def client(serve: Serve, calls: FakeCalls, models: FakeModels, sip: Listener) -> httpx2.AsyncClient:
    return await serve(create_app(settings=Settings(), calls=calls, models=models, listeners=[sip]))


@pytest.fixture
async def keyed(serve: Serve, calls: FakeCalls, models: FakeModels) -> httpx2.AsyncClient:
    settings = Settings(http=HttpSettings.model_validate({"api_key": "s3cret-s3cret-s3cret"}))
    return await serve(create_app(settings=settings, calls=calls, models=models))


def assert_problem(response: httpx2.Response, status: int, words: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert words in document["detail"]


async def test_alive(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "alive"}


async def test_ready_when_every_part_is(client: httpx2.AsyncClient) -> None:
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ready": True, "reasons": [], "degraded": []}


async def test_not_ready_says_why(
    client: httpx2.AsyncClient, calls: FakeCalls, models: FakeModels, sip: Listener
) -> None:
    models.components[0].state = "loading"
    sip.component.state = "down"
    sip.component.last_error = "sip.host isn't there."
    sip.component.remedy = "Set another."
    calls.accepting = (False, "The server is draining.")
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["reasons"] == [
        "stt is loading.",
        "sip is down: sip.host isn't there. Set another.",
        "The server is draining.",
    ]


async def test_a_part_that_is_degraded_answers(client: httpx2.AsyncClient, models: FakeModels) -> None:
    models.components[0].state = "degraded"
    models.components[0].last_error = "Another one hears."
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["degraded"] == ["stt is degraded: Another one hears."]
    assert (await client.get("/health")).json()["status"] == "degraded"


async def test_health_shows_each_part(
    client: httpx2.AsyncClient, calls: FakeCalls, models: FakeModels
) -> None:
    calls.add()
    models.components[1] = FakeComponent("llm", "restarting", last_error="It exited with code 137.", queued=2)
    health = (await client.get("/health")).json()
    assert health["status"] == "degraded"
    assert health["calls"] == 1
    assert health["llm"]["why"] == "It is the one that the test names."
    assert health["components"][1] == {
        "name": "llm",
        "state": "restarting",
        "device": "cpu",
        "precision": None,
        "weights_mb": None,
        "model": None,
        "last_error": "It exited with code 137.",
        "remedy": None,
        "note": None,
        "queued": 2,
    }


async def test_health_shows_the_gpu_and_who_doesnt_use_it(
    client: httpx2.AsyncClient, models: FakeModels
) -> None:
    assert (await client.get("/health")).json()["gpu"] is None
    models.found = Gpu("NVIDIA L4", "580.95.05", (13, 0), 24_000_000_000, 20_000_000_000, None)
    models.components[0] = FakeComponent(
        "stt", device="cuda", precision="int8_float16", weights_bytes=75_500_000, note="The GPU is full."
    )
    health = (await client.get("/health")).json()
    assert health["gpu"] == {
        "name": "NVIDIA L4",
        "driver": "580.95.05",
        "memory_mb": 24000.0,
        "used_mb": 4000.0,
        "utilisation": None,
    }
    stt = health["components"][0]
    assert (stt["device"], stt["precision"], stt["weights_mb"]) == ("cuda", "int8_float16", 75.5)
    assert stt["note"] == "The GPU is full."


async def test_health_shows_no_credentials(client: httpx2.AsyncClient, models: FakeModels) -> None:
    url = "http://me:hush@gpu-box/v1"
    models.llm.chosen = FakeEndpoint(url=url)
    models.llm.chosen.why = f"llm.url names {url}."
    models.components[1] = FakeComponent("llm", "down", last_error=f"{url} doesn't answer.")
    shown = (await client.get("/health")).text
    assert "hush" not in shown
    assert shown.count("http://gpu-box/v1") == 4


def test_an_error_of_a_model_shows_no_credentials() -> None:
    assert str(ModelFailed("http://me:hush@gpu-box refuses.")) == "http://gpu-box refuses."


async def test_sessions_are_listed_oldest_first(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    older, newer = calls.add("alice"), calls.add("bob")
    calls.calls.reverse()
    listed = (await client.get("/api/v1/sessions")).json()["sessions"]
    assert [entry["id"] for entry in listed] == [older.info.id, newer.info.id]
    assert listed[0]["from"] == "alice"
    assert listed[0]["state"] == "listening"
    assert (listed[0]["persona"], listed[0]["language"]) == ("Claire", "fr")


async def test_the_examples_are_what_is_answered(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    calls.add()
    (session,) = (await client.get("/api/v1/sessions")).json()["sessions"]
    schema = (await client.get("/openapi.json")).json()["components"]["schemas"]["SessionView"]
    for key in ("transport", "from", "to", "remote", "codec"):
        assert schema["properties"][key]["examples"] == [session[key]]


async def test_a_call_s_quality_is_told(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    call = calls.add()
    unknown = dict.fromkeys(("packets_received", "packets_lost", "jitter_ms", "round_trip_ms", "mos"), None)
    detail = (await client.get(f"/api/v1/sessions/{call.info.id}")).json()
    assert detail["quality"] == {**unknown, "codec": "pcmu"}
    call.stats = MediaStats(990, 10, 1.234, 30.0)
    detail = (await client.get(f"/api/v1/sessions/{call.info.id}")).json()
    assert detail["quality"] == {
        "packets_received": 990,
        "packets_lost": 10,
        "jitter_ms": 1.23,
        "round_trip_ms": 30.0,
        "codec": "pcmu",
        "mos": 4.3,
    }


async def test_a_transcript_shows_what_was_cut_off(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    call = calls.add()
    call.turns = [
        Turn("caller", "What's the time?"),
        Turn("agent", "It is half ", cut_off=True, ledger={"first_token": 41.234}),
    ]
    detail = (await client.get(f"/api/v1/sessions/{call.info.id}")).json()
    assert [turn["text"] for turn in detail["transcript"]] == ["What's the time?", "It is half—"]
    assert detail["transcript"][1]["cut_off"] is True
    assert detail["transcript"][1]["ledger"] == {"first_token": 41.2}
    assert detail["turns"] == 2


@pytest.mark.parametrize("given", ["", "of-mine.1", "two words", "x" * 65])
async def test_each_answer_names_its_request(client: httpx2.AsyncClient, given: str) -> None:
    for path in ("/livez", "/nothing"):
        id = (await client.get(path, headers={"X-Request-ID": given})).headers["x-request-id"]
        assert (id == given) is (given == "of-mine.1")
        assert id


async def test_drain_and_its_undoing(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    calls.add()
    assert (await client.post("/api/v1/drain")).json() == {"draining": True, "calls": 1}
    assert calls.draining
    assert (await client.delete("/api/v1/drain")).json() == {"draining": False, "calls": 1}
    assert not calls.draining


async def test_hang_up(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    call = calls.add()
    response = await client.delete(f"/api/v1/sessions/{call.info.id}")
    assert response.status_code == 204
    assert calls.live() == []
    assert_problem(await client.delete(f"/api/v1/sessions/{call.info.id}"), 404, "/api/v1/sessions lists")


async def test_a_call_that_doesnt_end_in_time_is_ending(
    client: httpx2.AsyncClient, calls: FakeCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.http.sessions.HANGUP_WAIT_S", 0.05)
    call = calls.add()
    call.ends = False
    assert (await client.delete(f"/api/v1/sessions/{call.info.id}")).status_code == 202
    assert (await client.get(f"/api/v1/sessions/{call.info.id}")).json()["state"] == "ending"


async def test_head_is_answered_as_get(serve: Serve) -> None:
    app = create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), events=Events())
    client = await serve(app)
    for path in ("/livez", "/readyz", "/health", "/nothing", "/api/v1/sessions"):
        head, whole = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]


async def test_head_makes_no_more_of_a_body_than_its_beginning(serve: Serve) -> None:
    events, made = Events(), []
    app = create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), events=events)

    async def numbers() -> AsyncIterator[str]:
        try:
            for number in range(10_000):
                yield f"{number}\n"
                await asyncio.sleep(0)
        finally:
            made.append(number)

    app.add_api_route("/numbers", lambda: StreamingResponse(numbers()))
    client = await serve(app)
    assert (await client.head("/numbers")).status_code == 200
    await until(lambda: bool(made))
    assert made[0] < 1000
    assert (await client.head("/api/v1/events")).headers["Content-Type"].startswith("text/event-stream")
    await until(lambda: not events._readers)


async def test_unknown_paths_and_methods_are_problems(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get("/nowhere"), 404, "There is nothing at /nowhere")
    assert_problem(await client.post("/livez"), 405, "POST doesn't work on /livez")


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer s3cret-s3cret-s3cret"}, {"X-API-Key": "s3cret-s3cret-s3cret"}]
)
async def test_the_key_opens(keyed: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    assert (await keyed.get("/api/v1/sessions", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "wants an API key"),
        ({"X-API-Key": "wrong"}, "isn't a key of this server's"),
        ({"X-API-Key": "s3cré-s3cret-s3cret".encode("latin-1")}, "isn't a key of this server's"),
        ({"Authorization": "Basic s3cret-s3cret-s3cret"}, "wants an API key"),
    ],
)
async def test_no_key_no_answer(keyed: httpx2.AsyncClient, headers: dict[str, str], words: str) -> None:
    response = await keyed.get("/api/v1/sessions", headers=headers)
    assert_problem(response, 401, words)
    assert response.headers["www-authenticate"] == "Bearer"


async def test_probes_need_no_key(keyed: httpx2.AsyncClient) -> None:
    assert (await keyed.get("/livez")).status_code == 200
    assert (await keyed.get("/readyz")).status_code == 200
    assert_problem(await keyed.get("/health"), 401, "API key")


async def test_a_websocket_without_the_key_is_refused_before_it_opens(keyed: httpx2.AsyncClient) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"ws://127.0.0.1:{keyed.base_url.port}/api/v1/chat")
    assert refused.value.response.status_code == 401
    assert "API key" in json.loads(refused.value.response.body)["detail"]


async def test_other_sites_pages_are_refused(client: httpx2.AsyncClient) -> None:
    foreign = await client.get("/api/v1/sessions", headers={"Origin": "https://evil.example"})
    assert_problem(foreign, 403, "other sites")
    broken = await client.get("/api/v1/sessions", headers={"Origin": "http://["})
    assert_problem(broken, 403, "other sites")
    own = await client.get("/api/v1/sessions", headers={"Origin": str(client.base_url).rstrip("/")})
    assert own.status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8080", "192.0.2.7", "127.0.0.1.evil.example", "localhost@evil", "["]
)
async def test_without_a_key_only_this_machine_s_names_are_answered(
    client: httpx2.AsyncClient, host: str
) -> None:
    # As from a page whose own name was made to resolve to this machine.
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert (await client.get("/api/v1/sessions", headers=headers)).status_code == 403
    assert_problem(await client.get("/health", headers={"Host": host}), 403, "Set http.api_key to reach it")
    assert (await client.get("/livez", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080"])
async def test_every_name_of_this_machine_is_answered(client: httpx2.AsyncClient, host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert (await client.get("/api/v1/sessions", headers=headers)).status_code == 200


async def test_with_a_key_any_name_will_do(keyed: httpx2.AsyncClient) -> None:
    headers = {"Host": "phone.example", "X-API-Key": "s3cret-s3cret-s3cret"}
    assert (await keyed.get("/api/v1/sessions", headers=headers)).status_code == 200


async def test_a_rebound_page_gets_no_websocket(client: httpx2.AsyncClient) -> None:
    port = client.base_url.port
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"ws://evil.example:{port}/api/v1/chat", host="127.0.0.1", port=port)
    assert refused.value.response.status_code == 403
    assert "localhost" in json.loads(refused.value.response.body)["detail"]


async def test_carriers_call_by_another_name(serve: Serve, calls: FakeCalls, models: FakeModels) -> None:
    signed = APIRouter()

    @signed.post("/api/v1/carriers/twilio/answer")
    async def answer() -> dict[str, str]:
        return {}

    client = await serve(create_app(settings=Settings(), calls=calls, models=models, routers=[signed]))
    asked = await client.post("/api/v1/carriers/twilio/answer", headers={"Host": "phone.example.com"})
    assert asked.status_code == 200


async def test_a_declared_large_body_is_refused_unread(client: httpx2.AsyncClient) -> None:
    response = await client.post("/livez", content=b"x" * (BODY_BYTES + 1))
    assert_problem(response, 413, "larger than")


async def test_an_undeclared_large_body_is_refused(
    serve: Serve, calls: FakeCalls, models: FakeModels
) -> None:
    app = create_app(settings=Settings(), calls=calls, models=models)

    @app.post("/echo")
    async def echo(body: dict[str, str]) -> dict[str, str]:
        return body

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 1024 + 2):
            yield b"x" * 1024

    client = await serve(app)
    assert_problem(await client.post("/echo", content=endless()), 413, "larger than")
    assert_problem(await client.post("/echo", json=["no"]), 422, "See /docs")


async def test_a_path_names_all_that_works_on_it(client: httpx2.AsyncClient) -> None:
    answer = await client.patch("/api/v1/drain")
    assert_problem(answer, 405, "PATCH doesn't work on /api/v1/drain")
    assert answer.headers["Allow"] == "DELETE, POST"


async def test_a_port_in_use_is_one_clear_sentence(client: httpx2.AsyncClient) -> None:
    port = client.base_url.port
    assert port is not None
    server = HttpServer(
        create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels()), host="127.0.0.1", port=port
    )
    with pytest.raises(ListenError, match=rf"http.port: 127.0.0.1:{port} can't be listened on"):
        await server.start()


async def test_stopping_leaves_no_task_and_cuts_off_what_hangs() -> None:
    before = asyncio.all_tasks()
    app = create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels())
    hanging = asyncio.Event()

    @app.get("/hang")
    async def hang() -> None:
        hanging.set()
        await asyncio.Event().wait()

    server = HttpServer(app, host="127.0.0.1", port=0)
    await server.start()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        request = asyncio.create_task(client.get("/hang"))
        await asyncio.wait_for(hanging.wait(), 30)
        await asyncio.wait_for(server.stop(1), 30)
        with pytest.raises(httpx2.HTTPError):
            (await request).raise_for_status()
    assert asyncio.all_tasks() == before
