"""The page and the signalling over HTTP, without a network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from importlib.resources import files

import httpx2
import pytest
from fastapi import FastAPI

from agent.http import problems
from agent.http.access import ANYONE_HERE, holder
from agent.http.page import page_router
from agent.http.webrtc import webrtc_router
from config.settings import WebRtcSettings
from transports.call import CallRefused, CallTransport
from transports.webrtc.endpoint import WebRtcEndpoint
from transports.webrtc.peer import MAX_CANDIDATES

# What Chromium offers for a microphone, less what doesn't matter here.
OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendrecv",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789abcdefghijklmn",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "",
    )
)


dialled: list[str] = []
offered = ["echo", "tone"]


async def refuse(call: CallTransport) -> None:
    dialled.append(call.info.called)
    raise CallRefused("All 1 lines are busy.")


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    settings = WebRtcSettings(stun=("stun:stun.example:3478",))
    endpoint = WebRtcEndpoint(refuse, settings)
    app = FastAPI()
    app.dependency_overrides[holder] = lambda: ANYONE_HERE
    problems.install(app)
    app.include_router(webrtc_router(endpoint, settings, lambda: offered))
    app.include_router(page_router())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as made:
        yield made
    await endpoint.close()


async def test_the_page_comes_with_all_that_it_loads_and_from_nowhere_else(
    client: httpx2.AsyncClient,
) -> None:
    page = await client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    wanted = set(re.findall(r'(?:src|href)="([\w./-]+\.(?:js|css|svg))"', page.text))
    for module in files("agent.http").joinpath("page").iterdir():
        if module.name.endswith(".js"):
            wanted |= set(re.findall(r'from "\./([\w.]+)"', module.read_text("utf-8")))
            assert "://" not in module.read_text("utf-8").replace("http://localhost", "")
    assert {"app.js", "call.js", "style.css", "icon.svg"} <= wanted
    for name in wanted:
        assert (await client.get(f"/{name}")).status_code == 200, name


async def test_a_page_that_a_browser_has_isnt_sent_again(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs/swagger-ui-bundle.js")
    again = await client.get(page.url, headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get(page.url, headers={"If-None-Match": '"another"'})).content == page.content


# As published: https://registry.npmjs.org/uplot/-/uplot-1.6.32.tgz
VENDORED = {
    "uplot.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


async def test_the_operators_page_comes_with_all_that_it_loads_and_from_nowhere_else(
    client: httpx2.AsyncClient,
) -> None:
    page = await client.get("/ops")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    wanted = set(re.findall(r'(?:src|href)="([\w./-]+\.(?:js|css|svg))"', page.text))
    for module in files("agent.http").joinpath("page", "ops").iterdir():
        if module.name in VENDORED:
            assert hashlib.sha256(module.read_bytes()).hexdigest() == VENDORED[module.name]
        elif module.name.endswith(".js"):
            text = module.read_text("utf-8")
            wanted |= {f"ops/{name}" for name in re.findall(r'from "\./([\w.]+)"', text)}
            wanted |= set(re.findall(r'from "\.\./([\w.]+)"', text))
            wanted |= set(re.findall(r'(?:src|href): "([\w./-]+)"', text))
            assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    wanted.discard("./")
    assert {"ops/ops.js", "ops/style.css", "ops/uplot.js", "http.js", "icon.svg"} <= wanted
    for name in wanted:
        assert (await client.get(f"/{name}")).status_code == 200, name


async def test_where_browsers_may_not_call_operators_have_their_page() -> None:
    app = FastAPI()
    app.include_router(page_router(calls=False))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/")).status_code == 404
        assert (await client.get("/ops")).status_code == 200
        assert (await client.get("/http.js")).status_code == 200


async def test_a_browser_is_told_its_servers(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await client.get("/api/v1/webrtc/config")
    assert answer.json() == {
        "ice_servers": [{"urls": ["stun:stun.example:3478"]}],
        "gone_s": 10.0,
        "test_numbers": ["echo", "tone"],
    }
    assert answer.headers["cache-control"] == "no-store"
    monkeypatch.setattr(f"{__name__}.offered", ["echo"])  # as when the settings are read again
    assert (await client.get("/api/v1/webrtc/config")).json()["test_numbers"] == ["echo"]


async def test_a_refused_call_says_why_and_when_to_try_again(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/v1/webrtc/offer", json={"type": "offer", "sdp": OFFER})
    assert answer.status_code == 503
    assert answer.json()["detail"] == "All 1 lines are busy."
    assert answer.headers["retry-after"] == "10"


@pytest.mark.parametrize(
    ("sent", "called"),
    [
        ({"request_data": {"called": "echo"}}, "echo"),
        ({"requestData": {"called": "echo", "more": 1}}, "echo"),
        ({"request_data": {"called": " ec\ud800ho\n"}}, "echo"),
        ({"request_data": {"called": ["echo"]}}, ""),
        ({"request_data": "echo"}, ""),
        ({}, ""),
    ],
)
async def test_a_browser_dials_whom_it_likes(
    client: httpx2.AsyncClient, sent: dict[str, object], called: str
) -> None:
    dialled.clear()
    body = json.dumps({"type": "offer", "sdp": OFFER, **sent})
    await client.post("/api/v1/webrtc/offer", content=body, headers={"Content-Type": "application/json"})
    assert dialled == [called]


@pytest.mark.parametrize(
    ("sdp", "why"),
    [
        ("m=audio x", "isn't a session description"),
        ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "exactly one audio section"),
        (OFFER.replace("opus/48000/2", "PCMU/8000"), "Opus"),
        (OFFER.replace("a=fingerprint", "a=nothing"), "DTLS fingerprint"),
        (OFFER.replace("sendrecv", "sendonly"), "sendonly"),
        (OFFER.replace("sendrecv", "inactive"), "inactive"),
        (
            OFFER
            + "".join(f"a=candidate:1 1 udp 1 192.0.2.1 {n} typ host\r\n" for n in range(MAX_CANDIDATES + 1)),
            "Too many",
        ),
    ],
)
async def test_a_useless_offer_is_a_bad_request(client: httpx2.AsyncClient, sdp: str, why: str) -> None:
    answer = await client.post("/api/v1/webrtc/offer", json={"type": "offer", "sdp": sdp})
    assert answer.status_code == 400
    assert why in answer.json()["detail"]


async def test_an_unknown_call_is_not_found(client: httpx2.AsyncClient) -> None:
    candidate = {"candidate": "", "sdp_mid": "0", "sdp_mline_index": 0}
    again = {"type": "offer", "sdp": OFFER, "pc_id": "nobody"}
    for answer in (
        await client.post("/api/v1/webrtc/offer", json=again),
        await client.patch("/api/v1/webrtc/offer", json={"pc_id": "nobody", "candidates": [candidate]}),
        await client.delete("/api/v1/webrtc/offer/nobody"),
    ):
        assert answer.status_code == 404
        assert "no such call" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"type": "answer", "sdp": OFFER}, {"type": "offer", "sdp": "x" * 70_000}]
)
async def test_a_malformed_request_is_refused(client: httpx2.AsyncClient, body: dict[str, str]) -> None:
    assert (await client.post("/api/v1/webrtc/offer", json=body)).status_code == 422
