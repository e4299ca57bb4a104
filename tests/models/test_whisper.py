import asyncio
import re
from pathlib import Path

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import soxr

from bench.material import leveled, noise
from bench.sentences import RATE_HZ
from models import repetition, whisper
from models.errors import ModelBusy, WeightsError
from models.expected import Expected, Reads
from models.lanes import Priority
from models.piper import Voice
from models.whisper import Recognizer
from tests.process import resident_mb
from tests.weights import require_weights

Samples = npt.NDArray[np.int16]

SENTENCES = (
    "I would like to book a table for four people.",
    "Can you tell me how much it costs to ship a parcel to Canada?",
    "What is the capital of France?",
    "I think there was a mistake on my last bill.",
    "Could you repeat that, please?",
    "Tell me a short joke.",
)
SHORT = ("Yes.", "No.", "Okay.", "Yes, please.", "Thank you.", "Maybe.", "Goodbye.")


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9' ]", "", text.lower()).strip()


def on_the_phone(voice: Voice, text: str) -> Samples:
    """The sentence as it sounds after a line that passes 8 kHz."""
    sound = np.frombuffer(voice.synthesize(text).pcm, np.int16).astype(np.float32)
    return soxr.resample(soxr.resample(sound, 16_000, 8000), 8000, 16_000).astype(np.int16)


def noises() -> dict[str, Samples]:
    rng = np.random.default_rng(5)
    at = np.arange(32_000) / 16_000
    burst = np.zeros(20_000)
    burst[2000:6000] = np.convolve(rng.standard_normal(4000), np.ones(4) / 4, "same") * np.exp(
        -np.arange(4000) / 1200
    )
    sounds = {
        "hiss": rng.standard_normal(32_000) * 100,
        "loud hiss": rng.standard_normal(32_000) * 1000,
        "hum": np.sin(at * 2 * np.pi * 50) * 2000,
        "key": (np.sin(at[:8000] * 2 * np.pi * 770) + np.sin(at[:8000] * 2 * np.pi * 1336)) * 4000,
        "chord": sum(np.sin(at * 2 * np.pi * hz) for hz in (262, 330, 392)) * 3000,
        "cough": burst * 15_000,
    }
    return {name: np.clip(sound, -32768, 32767).astype(np.int16) for name, sound in sounds.items()}


@pytest.mark.models
def test_telephone_sentences(recognizer: Recognizer, steady_voice: Voice) -> None:
    heard = [recognizer.transcribe_now(on_the_phone(steady_voice, text), "en").text for text in SENTENCES]
    assert jiwer.wer([plain(text) for text in SENTENCES], [plain(text) for text in heard]) <= 0.1


@pytest.mark.models
@pytest.mark.parametrize("gain", [1.0, 0.1, 0.02])
@pytest.mark.parametrize("text", SHORT)
def test_short_answers_are_heard_once_at_any_level(
    recognizer: Recognizer, steady_voice: Voice, text: str, gain: float
) -> None:
    sound = (on_the_phone(steady_voice, text) * gain).astype(np.int16)
    heard = plain(recognizer.transcribe_now(sound, "en").text)
    assert heard
    assert plain(text).endswith(heard.replace("yeah", "yes"))  # "bye" is what a quiet "goodbye" is heard as


@pytest.mark.models
@pytest.mark.parametrize("name", noises())
def test_noise_says_nothing(recognizer: Recognizer, name: str) -> None:
    transcript = recognizer.transcribe_now(noises()[name], "en")
    assert transcript.text == ""


@pytest.mark.models
def test_a_last_word_that_breaks_off_is_less_sure(recognizer: Recognizer, steady_voice: Voice) -> None:
    sounds = [on_the_phone(steady_voice, text) for text in SENTENCES]
    whole = [recognizer.transcribe_now(sound, "en").word_logprob for sound in sounds]
    broken = [recognizer.transcribe_now(sound[: -len(sound) // 6], "en").word_logprob for sound in sounds]
    assert -0.5 < min(whole) <= max(whole) <= 0
    assert min(broken) < -0.5
    assert np.mean(broken) < np.mean(whole) - 0.1


@pytest.mark.models
async def test_a_voice_sounds_the_same_where_the_window_is_never_cut(
    english: Recognizer, steady_voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [on_the_phone(steady_voice, text) for text in SENTENCES]
    sounds.append(sounds[1][: 334 * 160])  # would be as many frames as the model is wide
    heard = [english.transcribe_now(sound, "en") for sound in sounds]
    monkeypatch.setattr(Recognizer, "device", "cuda")  # as on a GPU
    never_cut = Recognizer.load(require_weights("tiny.en").whisper("tiny.en"), name="tiny.en")
    try:
        again = [never_cut.transcribe_now(sound, "en") for sound in sounds]
    finally:
        await never_cut.close()
    assert [one.finished for one in again] == pytest.approx([one.finished for one in heard], abs=1e-3)
    assert [one.sings for one in again] == pytest.approx([one.sings for one in heard], abs=1e-3)


@pytest.mark.models
async def test_silence_costs_nothing(recognizer: Recognizer) -> None:
    for pcm in (b"", bytes(32_000)):
        transcript = await recognizer.transcribe(pcm, call_id="a", language="en")
        assert (transcript.text, transcript.no_speech_prob) == ("", 1.0)
        assert transcript.decode_ms < 5


@pytest.mark.models
async def test_what_a_caller_repeats_stays(recognizer: Recognizer, steady_voice: Voice) -> None:
    sound = np.tile(on_the_phone(steady_voice, "No."), 3)
    transcript = await recognizer.transcribe(sound.tobytes(), call_id="a", language="en")
    assert plain(transcript.text) == "no no no"
    with pytest.raises(ModelBusy, match="listening twice"):
        await recognizer.transcribe(sound.tobytes(), call_id="a", language="en", speculative=True)


@pytest.mark.models
async def test_the_language_is_detected_when_it_isnt_given(recognizer: Recognizer, question: Samples) -> None:
    transcript = await recognizer.transcribe(question.tobytes(), call_id="a", language=None)
    assert transcript.language == "en"
    assert plain(transcript.text) == "what time do you open tomorrow"


@pytest.mark.models
def test_a_language_isnt_told_by_the_noise_before_the_words(
    recognizer: Recognizer, question: Samples
) -> None:
    """Of half a minute, the first half may be none."""
    hiss = np.random.default_rng(1).normal(0, 1000, 16_000 * 14).astype(np.int16)
    heard = recognizer.transcribe_now(np.concatenate((hiss, question)), None)
    assert (heard.language, plain(heard.text)) == ("en", "what time do you open tomorrow")
    assert heard.languages
    assert heard.languages.audible_s < 10


@pytest.mark.models
def test_a_click_has_a_language_too(recognizer: Recognizer) -> None:
    click = np.full(100, 3000, np.int16)  # less than a frame, by which it is told how long anything is heard
    heard = recognizer.transcribe_now(click, None)
    assert heard.languages
    assert heard.languages.audible_s == 0.0


@pytest.mark.models
def test_a_hint_decides_the_spelling(recognizer: Recognizer, steady_voice: Voice) -> None:
    sound = on_the_phone(steady_voice, "My name is Catherine Smith.")
    assert "Kathryn" not in recognizer.transcribe_now(sound, "en").text
    assert "Kathryn Smyth" in recognizer.transcribe_now(sound, "en", Expected("Kathryn Smyth.")).text


@pytest.mark.models
def test_a_long_hint_leaves_room_for_all_that_is_said(recognizer: Recognizer, steady_voice: Voice) -> None:
    sound = on_the_phone(steady_voice, "My name is Catherine Smith.")
    names = ", ".join(["Oluwaseun Adebayo-Featherstonehaugh"] * 9)
    assert "Kathryn Smyth" in recognizer.transcribe_now(sound, "en", Expected(f"{names}, Kathryn Smyth")).text


@pytest.mark.models
@pytest.mark.parametrize("model", ["recognizer", "english"])
def test_half_a_minute_is_heard_to_its_end(
    model: str, steady_voice: Voice, request: pytest.FixtureRequest
) -> None:
    sound = np.concatenate([on_the_phone(steady_voice, text) for text in SENTENCES * 3])[: 30 * 16_000]
    heard = plain(request.getfixturevalue(model).transcribe_now(sound, "en").text).split()
    assert len(heard) > 100
    assert "capital" in heard
    assert jiwer.wer(" ".join(plain(" ".join(SENTENCES * 3)).split()[: len(heard)]), " ".join(heard)) <= 0.15


@pytest.mark.models
def test_few_words_of_long_speech_are_listened_to_twice(
    recognizer: Recognizer, steady_voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = np.concatenate([on_the_phone(steady_voice, text) for text in SENTENCES])[: 8 * 16_000]
    monkeypatch.setattr(recognizer, "_written", lambda _: "Well.")
    with pytest.raises(ModelBusy):
        recognizer.transcribe_now(sound, "en", once=True)
    monkeypatch.setattr(recognizer, "_decode", lambda *_: whisper._Decoding((), 0.0, 0.0, 0.0, cut_off=False))
    unspaced = "明日は何時に開きますか。それから予約もお願いします。"
    monkeypatch.setattr(recognizer, "_written", lambda _: unspaced)
    assert recognizer.transcribe_now(sound, "ja").text == unspaced


@pytest.mark.models
def test_a_hint_makes_no_words_of_noises(recognizer: Recognizer) -> None:
    hint = "Wednesday, Friday, Tuesday, the 3rd of December, Thursday, Monday."
    noises = [audio for kind, audio in map(noise, range(40)) if kind != "keyboard"]  # that knocks like a word
    heard = [soxr.resample(leveled(audio), RATE_HZ, 16_000).clip(-32768, 32767) for audio in noises]
    expected = Expected(hint, reads=lambda text: text or None)
    assert {recognizer.transcribe_now(one.astype(np.int16), "en", expected).text for one in heard} == {""}


@pytest.mark.models
def test_hearings_are_compared_by_what_they_mean(recognizer: Recognizer, steady_voice: Voice) -> None:
    sound = on_the_phone(steady_voice, "Wednesday, please.")

    def transcribe(reads: Reads, *, once: bool = False) -> str:
        return recognizer.transcribe_now(
            sound, "en", Expected("Monday.", ("Tuesday.",), reads), once=once
        ).text

    asked: list[str] = []

    def day(text: str) -> str | None:
        asked.append(text)
        return "wednesday" if "wednesday" in text.lower() else None

    def nothing(text: str) -> None:
        asked.append(text)

    assert plain(transcribe(day)) == "wednesday please"
    assert len(asked) == 3  # behind each hint, and behind none: they mean the same
    with pytest.raises(ModelBusy):
        transcribe(nothing, once=True)
    asked.clear()
    assert plain(transcribe(nothing)) == "wednesday please"
    assert len(asked) > 6  # and what else the decoder thinks likely


@pytest.mark.models
@pytest.mark.parametrize("seconds", [6, 14, 20, 30])
def test_what_is_no_speech_costs_what_its_length_is_worth(
    recognizer: Recognizer, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[int] = []  # in tokens

    def encode(samples: Samples, frames: int) -> object:
        work.append(whisper._FULL_WINDOW * frames // whisper._FULL_FRAMES)
        return listens(samples, frames)

    def sings(_: object, samples: int, *__: object) -> whisper._Decoding:
        ah = int(recognizer._tokenizer.token_to_id("Ġah") or 0)
        work.append(16 + 10 * samples // 16_000)
        return whisper._Decoding((ah,) * work[-1], -0.2, 0.4, -0.2, cut_off=True)

    listens = recognizer._encode
    monkeypatch.setattr(recognizer, "_encode", encode)
    monkeypatch.setattr(recognizer, "_decode", sings)
    song = np.random.default_rng(1).integers(-9000, 9000, seconds * 16_000).astype(np.int16)
    recognizer.transcribe_now(song, "en")
    assert sum(work) <= 200 + 30 * seconds


async def test_more_than_half_a_minute_is_refused(recognizer: Recognizer) -> None:
    with pytest.raises(ValueError, match=r"^30\.1 s of audio; 30 s is the most\.$"):
        await recognizer.transcribe(bytes(2 * 16_000 * 301 // 10), call_id="a", language="en")


@pytest.mark.models
def test_languages(recognizer: Recognizer, english: Recognizer) -> None:
    assert recognizer.hears("fr-CA")
    assert not recognizer.hears("xx")
    assert english.hears("en-GB")
    assert not english.hears("fr")


@pytest.mark.models
async def test_cancelled_work_is_dropped(recognizer: Recognizer, question: Samples) -> None:
    pcm = question.tobytes()
    before = recognizer.lane.stats.dropped
    tasks = [
        asyncio.create_task(recognizer.transcribe(pcm, call_id="a", language="en", speculative=True))
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert recognizer.lane.stats.dropped == before + 2


@pytest.mark.models
async def test_a_call_overtakes_an_upload_that_is_hard_to_hear(
    recognizer: Recognizer, question: Samples
) -> None:
    said_again = np.tile(question, 10)[: 14 * 16_000]
    upload = asyncio.create_task(
        recognizer.transcribe(said_again.tobytes(), call_id="upload", language="en", priority=Priority.BULK)
    )
    while not recognizer.lane.stats.running:  # noqa: ASYNC110  # another thread's state has no event
        await asyncio.sleep(0)
    heard = await recognizer.transcribe(question.tobytes(), call_id="call", language="en")
    assert plain(heard.text) == "what time do you open tomorrow"
    assert not upload.done()
    assert plain((await upload).text).startswith("what time do you open tomorrow")


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="doesn't hold Whisper weights"):
        Recognizer.load(tmp_path, name="nothing")


@pytest.mark.parametrize(
    ("text", "repeats", "once"),
    [
        ("What time?", False, "What time?"),
        ("मैं में", False, "मैं में"),
        ("की का के को कि", False, "की का के को कि"),
        ("नहीं, नहीं, नहीं।", True, "नहीं, नहीं, नहीं।"),
        ("हाँ " * 6, True, "हाँ"),
        ("Déjà deja, déjà.", True, "Déjà deja, déjà."),
        ("No, no, no.", True, "No, no, no."),
        ("Bye. " * 9, True, "Bye."),
        ("Who are you? " * 6 + "Who are", True, "Who are you?"),
        ("It is what it is.", False, "It is what it is."),
        ("A table for 4 1-1-1-1-1-1-1-1-1-", False, "A table for 4 1"),
        ("Yes. Oh no, oh no, oh no, oh no, oh no, oh", False, "Yes. Oh no"),
        ("It is one, one, one, one.", False, "It is one, one, one, one."),
        ("", False, ""),
    ],
)
def test_loops(text: str, repeats: bool, once: str) -> None:
    assert repetition.repeats(text) is repeats
    assert repetition.once_only(text) == once


@pytest.mark.models
def test_utterances_of_every_length_leave_nothing_behind(recognizer: Recognizer) -> None:
    rng = np.random.default_rng(3)
    sounds = [rng.normal(0, 500, 16_000 + 320 * n).astype(np.int16) for n in range(45)]
    for sound in sounds[:5]:
        recognizer.encode(sound)
    before = resident_mb()
    for sound in sounds[5:]:
        recognizer.encode(sound)
    assert resident_mb() - before < 6  # 13 with a compiled convolution kept for each length
