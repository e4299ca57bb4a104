"""The caller's plain parts: codec, line, script, dialog. Tests state the times."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bench.caller import g711, opus, rtp
from bench.caller.impair import Jitter, Loss, Room, level_dbfs, load_wav
from bench.caller.loudspeaker import Block, Loudspeaker, Reached
from bench.caller.prompting import LinePrompter
from bench.caller.script import (
    PACKET_SAMPLES,
    PTIME_S,
    RATE_HZ,
    AgentLine,
    Cancel,
    Digits,
    Echo,
    Hangup,
    Line,
    Performance,
    Play,
    Prompted,
    Samples,
    Script,
    Step,
    Wait,
)
from bench.caller.sip import Dialog, Message, State, answer, offer, parse
from bench.caller.twilio_call import signature
from bench.material import write_wav

QUIET = Line(noise_dbfs=None)


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_g711_keeps_speech(law: g711.Law) -> None:
    samples = np.arange(-32000, 32000, 7).astype(np.int16)
    back = g711.decode(g711.encode(samples, law), law)
    assert np.max(np.abs(back - samples.astype(int)) / np.maximum(np.abs(samples.astype(int)), 600)) < 0.06


def test_g711_codes_survive() -> None:
    """Known values: ITU-T G.711, tables 1 and 2."""
    assert g711.encode(np.array([0], np.int16), "pcmu") == b"\xff"
    assert list(g711.decode(b"\x00\x80\xff", "pcmu")) == [-32124, 32124, 0]
    assert list(g711.decode(b"\xd5\x55\xaa\x2a", "pcma")) == [8, -8, 32256, -32256]
    every = bytes(range(256))
    assert g711.encode(g711.decode(every, "pcma"), "pcma") == every


def test_loss_by_pattern_and_by_seed() -> None:
    fixed = Loss(Line(loss_pattern=(0, 0, 1)))
    assert [fixed.next() for _ in range(6)] == [False, False, True, False, False, True]
    losses = [
        [loss.next() for _ in range(2000)] for loss in (Loss(Line(loss=0.05, seed=9)) for _ in range(2))
    ]
    assert losses[0] == losses[1]
    assert 70 < sum(losses[0]) < 130


def test_jitter_delays_within_its_bound_and_never_reorders() -> None:
    jitter = Jitter(Line(jitter_ms=40))
    due = [index * PTIME_S for index in range(500)]
    left = [jitter.leaves(at) for at in due]
    assert left == sorted(left)
    late = [after - before for before, after in zip(due, left, strict=True)]
    assert min(late) >= 0
    assert 0.030 < max(late) <= 0.040


def test_room_returns_the_agents_voice_later_and_quieter() -> None:
    room = Room(Line(noise_dbfs=None, echo=Echo(gain_db=-20, delay_ms=100)))
    voice = np.full(PACKET_SAMPLES, 10000, np.int16)
    levels = []
    for tick in range(10):
        room.hear(tick * PTIME_S, voice if tick == 2 else np.zeros_like(voice))
        levels.append(int(room.mix(tick * PTIME_S, None)[0]))
    assert levels == [0, 0, 0, 0, 0, 0, 0, 1000, 0, 0]


def test_room_adds_noise_at_its_level(tmp_path: Path) -> None:
    noise = Room(Line(noise_dbfs=-40)).mix(0.0, None)
    assert level_dbfs(noise) == pytest.approx(-40, abs=1.5)
    write_wav(tmp_path / "hum.wav", np.full(50, 3000, np.float32))
    background = Room(Line(noise_dbfs=None, noise_wav=tmp_path / "hum.wav", noise_gain_db=-20))
    assert set(background.mix(0.0, None)) == {300}


def test_only_mono_16_bit_wavs_are_played(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "stereo.wav"), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0" * 64)
    with pytest.raises(ValueError, match="must be mono with 16-bit samples"):
        load_wav(tmp_path / "stereo.wav")


def _perform(steps: tuple[Step, ...], heard: dict[int, float], packets: int) -> tuple[Performance, list[str]]:
    """What is sent in each tick: S speech, . silence, a digit. `heard`: the agent's level by tick."""
    performance, agent = Performance(steps, _three_packets), AgentLine()
    line = []
    for tick in range(packets):
        if tick in heard:
            agent.packet(tick * PTIME_S, heard[tick])
        out = performance.tick(tick * PTIME_S, agent)
        line.append("S" if out.speech is not None else out.digit or ".")
        if performance.done:
            break
    return performance, line


def _three_packets(step: Play) -> Samples:
    return np.ones(PACKET_SAMPLES * 2 + 1, np.int16)


PLAY = Play(wav=Path("any.wav"), label="hello")


def test_script_plays_waits_for_the_reply_and_hangs_up() -> None:
    steps = (PLAY, Wait(until="reply"), Wait(until="silent", for_ms=60), Hangup())
    performance, line = _perform(steps, {1: -20.0, 6: -60.0, 8: -20.0, 9: -20.0}, 40)
    assert "".join(line) == "SSS" + "." * 10
    assert performance.done
    assert [(mark.event, mark.what) for mark in performance.marks[:3]] == [
        ("begin", "play"),
        ("end", "play"),
        ("begin", "wait reply"),
    ]


def test_script_goes_on_after_a_timeout_and_says_so() -> None:
    performance, line = _perform((Wait(until="reply", timeout_s=0.1), PLAY, Hangup()), {}, 40)
    assert "".join(line) == ".....SSS."
    assert [mark.event for mark in performance.marks[:3]] == ["begin", "timeout", "end"]


def test_script_speaks_into_the_agents_speech() -> None:
    steps = (Wait(until="speaking", for_ms=60), PLAY, Hangup())
    _, line = _perform(steps, dict.fromkeys(range(3, 30), -20.0), 40)
    assert "".join(line) == ".....SSS."


def test_script_sends_digits_with_pauses() -> None:
    _, line = _perform((Digits(digits="1#"), Hangup()), {}, 40)
    assert "".join(line) == "11111.....#####......"


def test_script_refuses_what_it_doesnt_know() -> None:
    with pytest.raises(ValidationError):
        Script.model_validate({"steps": [{"do": "dance"}]})
    with pytest.raises(ValidationError):
        Script.model_validate({"steps": [], "volume": 3})


def test_script_refuses_what_its_transport_cannot() -> None:
    with pytest.raises(ValidationError, match="Loss and jitter are of RTP packets"):
        Script(transport="twilio", steps=(), line=Line(jitter_ms=40))
    with pytest.raises(ValidationError, match="Only a SIP call can be cancelled"):
        Script(transport="webrtc", steps=(Cancel(),))
    assert Script(transport="twilio", steps=(), line=Line(echo=Echo())).line.echo


def test_opus_keeps_speech() -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    tone = (8000 * np.sin(2 * np.pi * 800 * time)).astype(np.int16)
    encoder, decoder = opus.Encoder(), opus.Decoder()
    packets = [encoder.encode(tone[at : at + PACKET_SAMPLES]) for at in range(0, RATE_HZ, PACKET_SAMPLES)]
    decoded = [decoder.decode(packet) for packet in packets]
    assert {len(samples) for samples in decoded} == {PACKET_SAMPLES}
    assert level_dbfs(decoded[-1]) == pytest.approx(level_dbfs(tone), abs=1)
    spectrum = np.abs(np.fft.rfft(np.concatenate(decoded)))
    assert spectrum.argmax() == 800
    with pytest.raises(ValueError, match="not an Opus packet"):
        opus.Decoder().decode(b"\xff" * 40)


def test_rtp_heads_count_on_and_an_event_keeps_its_time() -> None:
    stream = rtp.Stream(160, ssrc=7)
    packets = [rtp.parse(stream.next(0) + b"x")]
    packets += [rtp.parse(stream.next(101, marker=back == 0, back=back)) for back in range(3)]
    first = packets[0]
    assert (first.ssrc, first.payload_type, first.payload) == (7, 0, b"x")
    assert [one.sequence_number - first.sequence_number for one in packets] == [0, 1, 2, 3]
    assert [one.timestamp - first.timestamp for one in packets] == [0, 160, 160, 160]
    with pytest.raises(ValueError, match="not an RTP packet"):
        rtp.parse(b"\0" * 20)


def test_sound_is_put_in_time_by_its_timestamp() -> None:
    clock = rtp.PlayClock(48_000)
    assert clock.played_at(1, 0xFFFFFFFF - 959, 10.0) == 10.0
    assert clock.played_at(1, 0, 10.035) == pytest.approx(10.02)  # wrapped, and 15 ms late
    assert clock.played_at(1, 960 * 100, 10.06) == 10.06  # its clock jumped
    assert clock.played_at(1, 960 * 101, 10.07) == pytest.approx(10.08)
    assert clock.played_at(2, 5, 10.08) == 10.08


def _spoken(speaker: Loudspeaker, now: float) -> list[tuple[float, int] | str]:
    return [
        one.name if isinstance(one, Reached) else (round(one.at, 3), one.sequence_number)
        for one in speaker.play(now)
    ]


def test_the_loudspeaker_plays_in_its_own_time() -> None:
    speaker = Loudspeaker()
    assert speaker.due() is None
    speaker.media(bytes(160 * 3), 1.0)
    speaker.mark("end", 1.0)
    (first,) = speaker.play(1.0)
    assert isinstance(first, Block)
    assert (first.at, len(first.payload)) == (1.0, 160)
    assert speaker.due() == pytest.approx(1.02)
    began = first.sequence_number
    assert _spoken(speaker, 1.045) == [(1.02, began + 1), (1.04, began + 2)]
    assert _spoken(speaker, 1.059) == []
    assert _spoken(speaker, 1.2) == ["end"]
    speaker.media(bytes(160), 1.3)  # after a silence
    assert _spoken(speaker, 1.3) == [(1.3, (began + 2 + 0x8000) & 0xFFFF)]


def test_what_is_cleared_is_not_heard_but_its_marks_are_reached() -> None:
    speaker = Loudspeaker()
    speaker.media(bytes(160 * 5), 1.0)
    speaker.mark("goodbye", 1.0)
    assert len(_spoken(speaker, 1.03)) == 2
    assert speaker.clear() == [Reached("goodbye")]
    assert _spoken(speaker, 2.0) == []
    speaker.media(bytes(160), 1.031)
    (after,) = speaker.play(2.0)
    assert isinstance(after, Block)
    assert after.at == pytest.approx(1.04), "what had begun is played out"


def test_twilio_signs_the_url_and_the_sorted_form() -> None:
    """The example in Twilio's documentation of webhook security."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    assert (
        signature("12345", "https://example.com/myapp.php?foo=1&bar=2", fields)
        == "L/OH5YylLD5NRKLltdqwSvS0BnU="
    )


def _dialog() -> Dialog:
    return Dialog(local=("127.0.0.1", 6000), target=("127.0.0.1", 5060), rtp_port=7000)


def _response(request: bytes, status: str, body: str = "") -> bytes:
    asked = parse(request)
    headers = tuple((name, asked.get(name)) for name in ("Via", "From", "Call-ID", "CSeq"))
    headers += (("To", asked.get("To") + ";tag=x"), ("Contact", "<sip:agent@127.0.0.1:5070>"))
    return Message(f"SIP/2.0 {status}", headers, body).encode()


def test_dialog_from_invite_to_bye() -> None:
    dialog = _dialog()
    (invite,) = dialog.invite(0.0)
    assert parse(invite).body == offer("127.0.0.1", 7000, "pcmu")
    assert dialog.receive(_response(invite, "180 Ringing"), 0.1) == []
    assert dialog.state is State.PROCEEDING
    (ack,) = dialog.receive(_response(invite, "200 OK", offer("127.0.0.1", 8000, "pcma")), 0.2)
    assert parse(ack).start == "ACK sip:agent@127.0.0.1:5070 SIP/2.0"
    assert dialog.acked_at == 0.2
    assert dialog.media is not None
    assert (dialog.media.address, dialog.media.law) == (("127.0.0.1", 8000), "pcma")
    again = dialog.receive(_response(invite, "200 OK", offer("127.0.0.1", 8000, "pcma")), 0.3)
    assert again == [ack]
    (bye,) = dialog.bye(1.0)
    assert parse(bye).get("CSeq") == "2 BYE"
    assert dialog.receive(_response(bye, "200 OK"), 1.1) == []
    assert (dialog.state, dialog.ended_by, dialog.findings) == (State.ENDED, "caller", [])


def test_dialog_repeats_the_invite_until_it_is_answered() -> None:
    dialog = _dialog()
    (invite,) = dialog.invite(0.0)
    assert dialog.due(0.4) == []
    assert dialog.due(0.5) == [invite]
    assert dialog.due(1.4) == []
    assert dialog.due(1.5) == [invite]
    dialog.receive(_response(invite, "100 Trying"), 1.6)
    assert dialog.due(10.0) == []
    dialog.due(32.0)
    assert (dialog.state, dialog.ended_by) == (State.ENDED, "timeout")


def test_dialog_acknowledges_a_refusal() -> None:
    dialog = _dialog()
    (invite,) = dialog.invite(0.0)
    (ack,) = dialog.receive(_response(invite, "486 Busy Here"), 0.1)
    assert parse(ack).get("Via") == parse(invite).get("Via")
    assert (dialog.status, dialog.reason, dialog.ended_by, dialog.answered) == (
        486,
        "Busy Here",
        "refused",
        False,
    )


def test_dialog_cancels() -> None:
    dialog = _dialog()
    (invite,) = dialog.invite(0.0)
    dialog.receive(_response(invite, "180 Ringing"), 0.1)
    (cancel,) = dialog.cancel(0.2)
    assert parse(cancel).get("CSeq") == "1 CANCEL"
    assert parse(cancel).get("Via") == parse(invite).get("Via")
    dialog.receive(_response(cancel, "200 OK"), 0.3)
    dialog.receive(_response(invite, "487 Request Terminated"), 0.3)
    assert (dialog.state, dialog.ended_by) == (State.ENDED, "caller")


def test_dialog_hangs_up_when_the_answer_comes_after_the_cancel() -> None:
    dialog = _dialog()
    (invite,) = dialog.invite(0.0)
    dialog.receive(_response(invite, "180 Ringing"), 0.1)
    dialog.cancel(0.2)
    out = dialog.receive(_response(invite, "200 OK", offer("127.0.0.1", 8000, "pcmu")), 0.3)
    assert [parse(data).method for data in out] == ["ACK", "BYE"]


def _asked(dialog: Dialog, method: str) -> Message:
    (invite,) = dialog.invite(0.0)
    dialog.receive(_response(invite, "200 OK", offer("127.0.0.1", 8000, "pcmu")), 0.1)
    headers = (("Via", "SIP/2.0/UDP a"), ("Call-ID", parse(invite).get("Call-ID")), ("CSeq", f"5 {method}"))
    (reply,) = dialog.receive(Message(f"{method} sip:x SIP/2.0", headers).encode(), 0.2)
    return parse(reply)


@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", 200), ("INFO", 200), ("BYE", 200), ("PUBLISH", 501)]
)
def test_dialog_answers_what_it_is_asked(method: str, status: int) -> None:
    dialog = _dialog()
    assert _asked(dialog, method).status == status
    assert dialog.findings == []
    assert (dialog.ended_by == "agent") == (method == "BYE")


def test_dialog_reports_a_reinvite() -> None:
    dialog = _dialog()
    assert _asked(dialog, "INVITE").status == 200
    assert dialog.findings == ["the agent's side sent a re-INVITE that nobody asked for"]


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 30, b"INVITE sip:a SIP/2.0\r\nnonsense\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"]
)
def test_dialog_survives_junk(data: bytes) -> None:
    dialog = _dialog()
    dialog.invite(0.0)
    assert dialog.receive(data, 0.1) == []
    assert dialog.state is State.CALLING
    assert dialog.findings


def test_answer_without_g711_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no G\.711 audio"):
        answer("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n")


class _Told:
    """Gives further steps once it is asked."""

    def __init__(self, *steps: tuple[Step, ...]) -> None:
        self._steps = list(steps)
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1

    def steps(self) -> tuple[Step, ...]:
        return self._steps.pop(0) if self._steps else ()


def test_script_goes_on_with_what_it_is_told_meanwhile() -> None:
    told = _Told((), (PLAY, Prompted()), (Hangup(),))
    performance, agent = Performance((Prompted(),), _three_packets, told), AgentLine()
    line = ""
    for tick in range(10):
        line += "S" if performance.tick(tick * PTIME_S, agent).speech is not None else "."
    assert line == ".SSS......"
    assert performance.done
    assert told.asked == 2


def test_steps_come_line_by_line_and_their_end_hangs_up() -> None:
    out = io.StringIO()
    prompter = LinePrompter(io.StringIO('[{"do": "digits", "digits": "1"}]\n'), out)
    prompter.ask()
    assert out.getvalue() == "prompt\n"
    deadline = time.monotonic() + 30
    steps: list[Step] = []
    while len(steps) < 2 and time.monotonic() < deadline:
        steps += prompter.steps()
    assert steps == [Digits(digits="1"), Hangup()]
