"""A call as Twilio brings it: a signed request, then a Media Stream on a WebSocket.

This side plays Twilio, and the caller behind it. What is measured is what that caller hears: the agent's
sound is played in real time as it comes, and what a `clear` finds unplayed is never heard. The time of a
packet of ours is when its message was written to the socket. Twilio's own way to its caller's telephone,
and its jitter buffers, aren't in the figures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import secrets
import time
from typing import Any
from xml.etree import ElementTree

import httpx2
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from bench.caller import g711
from bench.caller.impair import level_dbfs
from bench.caller.loudspeaker import Block, Loudspeaker, Reached
from bench.caller.media import Media, Packet
from bench.caller.outcome import Outcome
from bench.caller.recording import ReceivedPacket
from bench.caller.script import PACKET_SAMPLES, Outgoing, Samples, Script

AUTH_TOKEN = "OFFHOOK_CARRIERS__TWILIO__SECRET"
ANSWER = "/api/v1/carriers/twilio/answer"
POLL_S = 0.02
LEAST_WAIT_S = 0.001


def call(script: Script, media: Media) -> Outcome:
    """Raises ValueError if the environment doesn't have what Twilio signs with."""
    auth_token = os.environ.get(AUTH_TOKEN, "")
    if not auth_token:
        raise ValueError(f"{AUTH_TOKEN} must be set to what the server has: Twilio's requests are signed.")
    outcome = Outcome()
    call_sid = f"CA{secrets.token_hex(16)}"
    try:
        stream_url = _ask(script, call_sid, auth_token, outcome)
        if stream_url:
            with connect(
                stream_url, open_timeout=script.answer_timeout_s, compression=None, proxy=None
            ) as socket:
                _Stream(socket, script, media, outcome).run(call_sid)
    except InvalidHandshake as error:
        outcome.outcome, outcome.ended_by, outcome.reason = "refused", "refused", str(error)
    except (httpx2.HTTPError, OSError) as error:
        outcome.findings.append(f"the server can't be reached: {error or type(error).__name__}")
    return outcome


def signature(auth_token: str, url: str, fields: dict[str, str]) -> str:
    """X-Twilio-Signature of a POST. Source: https://www.twilio.com/docs/usage/security"""
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(auth_token.encode(), signed.encode(), hashlib.sha1)).decode()


def _ask(script: Script, call_sid: str, auth_token: str, outcome: Outcome) -> str:
    """Where the answer document has the stream; empty if the call is refused."""
    url = script.api.rstrip("/") + ANSWER
    fields = {
        "CallSid": call_sid,
        "AccountSid": "AC" + "0" * 32,
        "From": script.caller,
        "To": script.user,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }
    with httpx2.Client(trust_env=False, timeout=script.answer_timeout_s) as http:
        asked = http.post(
            url, data=fields, headers={"X-Twilio-Signature": signature(auth_token, url, fields)}
        )
    outcome.signalling.append([time.monotonic(), "out", f"POST {ANSWER}: {asked.status_code}"])
    outcome.status = asked.status_code
    if asked.status_code != 200:
        outcome.outcome, outcome.ended_by = "refused", "refused"
        outcome.reason = asked.text[:200]
        return ""
    document = ElementTree.fromstring(asked.text)
    stream = document.find("./Connect/Stream")
    if stream is not None:
        return stream.get("url", "")
    reject = document.find("./Reject")
    outcome.outcome, outcome.ended_by = "refused", "refused"
    outcome.reason = "" if reject is None else reject.get("reason", "rejected")
    return ""


class _Stream:
    """Both directions of the stream. This thread receives and plays; the media's thread sends."""

    def __init__(self, socket: ClientConnection, script: Script, media: Media, outcome: Outcome) -> None:
        self._socket = socket
        self._script = script
        self._media = media
        self._outcome = outcome
        self._stream_sid = f"MZ{secrets.token_hex(16)}"
        self._sequence = itertools.count(1)
        self._speaker = Loudspeaker()

    def run(self, call_sid: str) -> None:
        began = time.monotonic()
        start = {
            "accountSid": "AC" + "0" * 32,
            "streamSid": self._stream_sid,
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        try:
            self._socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
            self._socket.send(self._message("start", start=start))
            self._outcome.outcome, self._outcome.codec = "answered", "pcmu"
            self._outcome.acked_at = time.monotonic()
            self._media.start(_StreamWire(self))
            while not self._media.finished.is_set() and time.monotonic() - began < self._script.max_s:
                self._receive()
            self._outcome.ended_by = "caller"
            self._media.stop()
            self._socket.send(self._message("stop", stop={"callSid": call_sid}))
        except ConnectionClosed as closed:
            self._outcome.ended_by = "agent"
            self._log("in", f"close {closed.rcvd.code if closed.rcvd else 'without a code'}")
        finally:
            self._media.stop()

    def send(self, event: str, **more: Any) -> None:
        """Raises ConnectionClosed."""
        self._socket.send(self._message(event, **more))

    def _message(self, event: str, **more: Any) -> str:
        number = str(next(self._sequence))
        return json.dumps({"event": event, "sequenceNumber": number, "streamSid": self._stream_sid, **more})

    def _receive(self) -> None:
        """What came until the next packet is played, or for a moment."""
        due = self._speaker.due()
        wait_s = POLL_S if due is None else min(POLL_S, due - time.monotonic())
        try:
            data = self._socket.recv(timeout=max(LEAST_WAIT_S, wait_s))
        except TimeoutError:
            data = None
        now = time.monotonic()
        self._play(self._speaker.play(now))
        if data is not None:
            self._take(json.loads(data), now)
            self._play(self._speaker.play(now))

    def _take(self, message: dict[str, Any], now: float) -> None:
        match message.get("event"):
            case "media":
                self._speaker.media(base64.b64decode(message["media"]["payload"]), now)
            case "mark":
                self._speaker.mark(message["mark"]["name"], now)
                self._log("in", "mark")
            case "clear":
                self._play(self._speaker.clear())
                self._log("in", "clear")
            case event:
                self._outcome.findings.append(f"the agent's side sent {event!r}, which Twilio doesn't know")

    def _play(self, played: Any) -> None:
        for one in played:
            match one:
                case Reached(name=name):
                    self.send("mark", mark={"name": name})
                case Block(at=at, sequence_number=number, payload=payload):
                    samples = g711.decode(payload, "pcmu")
                    self._media.hear(ReceivedPacket(at, number, level_dbfs(samples)), samples, at)

    def _log(self, direction: str, what: str) -> None:
        self._outcome.signalling.append([time.monotonic(), direction, what])


class _StreamWire:
    """The caller's sound as `media` messages, keys as `dtmf`."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._chunks = 0

    def packet(self, samples: Samples, outgoing: Outgoing) -> Packet:
        sound = g711.encode(samples, "pcmu")
        if outgoing.digit and outgoing.digit_tick == 0:
            return sound, outgoing.digit
        return (sound,)

    def send(self, packet: Packet) -> float | None:
        try:
            for part in packet:
                if isinstance(part, bytes):
                    self._send_sound(part)
                else:
                    self._stream.send("dtmf", dtmf={"track": "inbound_track", "digit": part})
        except ConnectionClosed:  # the receiving thread tells
            return None
        return time.monotonic()

    def _send_sound(self, sound: bytes) -> None:
        self._chunks += 1
        timestamp_ms = (self._chunks - 1) * PACKET_SAMPLES // 8
        media = {
            "track": "inbound",
            "chunk": str(self._chunks),
            "timestamp": str(timestamp_ms),
            "payload": base64.b64encode(sound).decode(),
        }
        self._stream.send("media", media=media)
