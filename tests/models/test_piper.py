import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.errors import ModelError, WeightsError
from models.piper import Voice
from models.speech import Speech, spans
from models.voices import Voices
from tests.models.conftest import VOICE
from tests.models.sound import assert_begins_at_once_and_is_even


@pytest.mark.parametrize(
    "text",
    [
        "I can help you with that.",
        "Your total is $12.50, due on 3/4 at 5 p.m.",
        "Dr. Smith's e-mail is joe@example.com. Call 555-1234!",
        "I'm — well — the U.S. agent.",
        "**Bold** _words_ and `code`.",
    ],
)
def test_every_word_has_its_place(steady_voice: Voice, text: str) -> None:
    speech = steady_voice.synthesize(text)
    samples = len(speech.pcm) // 2
    assert " ".join(word.text for word in speech.words) == text
    assert speech.words[0].start == 0
    assert speech.words[-1].end == samples
    assert all(a.end == b.start for a, b in zip(speech.words, speech.words[1:], strict=False))
    assert all(word.start <= word.end for word in speech.words)


def test_a_pause_belongs_to_the_word_before_it(steady_voice: Voice) -> None:
    first, *_ = steady_voice.synthesize("Wait, there is more to come.").words
    sound = np.frombuffer(steady_voice.synthesize("Wait, there is more to come.").pcm, np.int16)
    assert np.abs(sound[first.end - 160 : first.end]).max() < 1000 < np.abs(sound[first.end :]).max()


@pytest.mark.parametrize("text", ["", "   ", "...", "—", "?!", "***"])
def test_nothing_to_say(steady_voice: Voice, text: str) -> None:
    assert steady_voice.synthesize(text) == Speech(b"", ())


@pytest.mark.parametrize(
    "text", ["Yes.", "I can help you with that.", "We are open from nine until five, Monday to Friday."]
)
def test_sound_begins_at_once_and_is_even(steady_voice: Voice, text: str) -> None:
    assert_begins_at_once_and_is_even(steady_voice.synthesize(text))


def test_a_speech_in_parts_is_the_whole(steady_voice: Voice) -> None:
    text = "We are open from nine until five, Monday to Friday. Is that any good?"
    parts = list(steady_voice.parts(text))
    assert len(parts) > 3
    assert len(parts[0].pcm) <= 2 * 16_000 * 0.25
    joined, whole = Speech.joined(parts), steady_voice.synthesize(text)
    assert joined.words == whole.words
    np.testing.assert_allclose(
        np.frombuffer(joined.pcm, np.int16), np.frombuffer(whole.pcm, np.int16), atol=8
    )
    assert " ".join(word.text for part in parts for word in part.words) == text


def test_a_sound_needs_only_the_frames_around_it(steady_voice: Voice) -> None:
    decoder = steady_voice._decoder
    assert decoder is not None
    (frames,), _ = steady_voice._encode("We are open from nine until five.")
    count = frames.shape[1]
    whole = decoder.sound(frames, 0, count)
    pieces = np.concatenate([decoder.sound(frames, *span) for span in spans(count, 20, 20)])
    np.testing.assert_allclose(pieces, whole, atol=1e-4)


@pytest.mark.parametrize("count", [1, 19, 20, 39, 40, 500])
def test_frames_are_taken_in_order_and_all(count: int) -> None:
    pieces = list(spans(count, 20, 20))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == count
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
    assert all(until - at >= min(20, count) for at, until in pieces)


def test_too_much_text(steady_voice: Voice) -> None:
    with pytest.raises(ValueError, match=r"^2001 characters to speak; 2000 is the most\.$"):
        steady_voice.synthesize("a" * 2001)


async def test_a_voice_that_isnt_loaded(voices: Voices) -> None:
    with pytest.raises(ModelError, match=f"^The voice xx isn't loaded; loaded are: {VOICE}"):
        await voices.synthesize("Hello.", voice="xx", call_id="a")


async def test_voices_speak_on_their_lane(voices: Voices) -> None:
    done = voices.lane.stats.done
    speech = await voices.synthesize("Hello.", voice=VOICE, call_id="a")
    assert [word.text for word in speech.words] == ["Hello."]
    assert voices.lane.stats.done == done + 1


def test_a_voice_without_durations_still_places_words(
    voice_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.piper.halves", lambda model: None)
    monkeypatch.setattr("models.piper.with_durations", lambda model: model)
    speech = Voice("plain", voice_file).synthesize("One two three.")
    assert 0.5 < len(speech.pcm) / 32000 < 2.5
    assert [word.text for word in speech.words] == ["One", "two", "three."]
    assert [word.start for word in speech.words] == sorted({word.start for word in speech.words})


def test_broken_voices(tmp_path: Path, voice_file: Path) -> None:
    path = tmp_path / "v.onnx"
    path.write_bytes(b"\xffjunk")
    with pytest.raises(WeightsError, match=r"v\.onnx isn't a Piper voice"):
        Voice("v", path)
    path.with_name("v.onnx.json").write_text(json.dumps({"audio": {}}))
    with pytest.raises(WeightsError, match=r"v\.onnx isn't a Piper voice"):
        Voice("v", path)
