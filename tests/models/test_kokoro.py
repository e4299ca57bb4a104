import re
import resource
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import jiwer
import numpy as np
import onnxruntime
import pytest
import soxr

from models import kokoro
from models.catalog import Catalog
from models.devices import Devices
from models.errors import WeightsError
from models.kokoro import Voice
from models.onnx_graph import Graph
from models.speech import Floats, Speech
from models.voices import Voices, load
from models.whisper import Recognizer
from tests.models.sound import assert_begins_at_once_and_is_even
from tests.weights import require_weights

pytestmark = pytest.mark.models

FRENCH = "Nous sommes ouverts du mardi au samedi."
SENTENCES = {
    "ff_siwis": [
        "Bonjour, ici le restaurant, je vous écoute.",
        "Je vous rappelle dans un instant.",
        "Votre rendez-vous est confirmé pour vendredi soir.",
        "Le parking se trouve derrière le bâtiment.",
    ],
    "ef_dora": [
        "Buenos días, le atiende la recepción.",
        "¿Para cuántas personas quiere la mesa?",
        "Su cita está confirmada para el viernes por la tarde.",
        "El aparcamiento está detrás del edificio.",
    ],
    "if_sara": [
        "Siamo aperti dal martedì al sabato.",
        "La richiamo domani mattina, senza falta.",
        "Mi dispiace, non ho questa informazione.",
        "Prendo un messaggio per il dottore.",
    ],
    "pf_dora": [
        "Abrimos de terça a sábado.",
        "Para quantas pessoas gostaria de reservar?",
        "Vou anotar um recado para o doutor.",
        "O estacionamento fica atrás do prédio.",
    ],
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return require_weights("kokoro-82m")


@pytest.fixture(scope="module")
def network(catalog: Catalog) -> Path:
    path = catalog.kokoro()
    assert path is not None
    return path


@pytest.fixture(scope="module")
def speakers(network: Path) -> dict[str, Voice]:
    return kokoro.load(network, (*SENTENCES, "hf_alpha"))


@pytest.fixture(scope="module")
def french(speakers: dict[str, Voice]) -> Voice:
    return speakers["ff_siwis"]


def on_the_telephone(pcm: bytes) -> bytes:
    """Without what is above 4 kHz."""
    narrow = soxr.resample(np.frombuffer(pcm, np.int16), 16_000, 8_000)
    return soxr.resample(narrow, 8_000, 16_000).astype(np.int16).tobytes()


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFC", text).lower()))


@pytest.mark.parametrize("name", SENTENCES)
def test_it_is_understood_on_the_telephone(
    speakers: dict[str, Voice], recognizer: Recognizer, name: str
) -> None:
    language = {"f": "fr", "e": "es", "i": "it", "p": "pt"}[name[0]]
    heard = []
    for text in SENTENCES[name]:
        pcm = on_the_telephone(speakers[name].synthesize(text).pcm) + bytes(9600)
        heard.append(plain(recognizer.transcribe_now(np.frombuffer(pcm, np.int16), language).text))
    assert jiwer.wer([plain(text) for text in SENTENCES[name]], heard) < 0.2, heard


def test_hindi_is_spoken(speakers: dict[str, Voice]) -> None:
    speech = speakers["hf_alpha"].synthesize("मैं आपको कल सुबह फ़ोन करूँगी।")
    assert 1.2 < len(speech.pcm) / 32_000 < 4
    assert len(speech.words) == 6


@pytest.mark.parametrize(
    "text",
    [
        "Bonjour.",
        FRENCH,
        "Un instant ! Je regarde : c'est le 01 23 45 67 89, n'est-ce pas ?",
        "Cela fait 12,50 €, à régler — le cas échéant — avant le 3 mai.",
    ],
)
def test_every_word_has_its_place(french: Voice, text: str) -> None:
    parts = list(french.parts(text))
    speech = Speech.joined(parts)
    samples = len(speech.pcm) // 2
    assert " ".join(word.text for word in speech.words) == text
    assert speech.words[0].start == 0
    assert speech.words[-1].end == samples
    assert all(a.end == b.start for a, b in zip(speech.words, speech.words[1:], strict=False))
    assert all(word.start <= word.end for word in speech.words)


@pytest.mark.parametrize(
    ("name", "text"), [("ff_siwis", "Un instant. Merci."), ("ef_dora", "Un momento. Gracias.")]
)
def test_words_end_where_they_are_heard_to_end(speakers: dict[str, Voice], name: str, text: str) -> None:
    speech = speakers[name].synthesize(text)
    sound = np.abs(np.frombuffer(speech.pcm, np.int16).astype(np.int32))
    pause = np.convolve(sound > 300, np.ones(2000), "valid")[:-2000].argmin()  # 125 ms
    end = speech.words[1].end
    assert pause - 800 < end < pause + 6400  # the pause belongs to the word before it


@pytest.mark.parametrize("text", ["Oui.", "Je vous écoute.", FRENCH])
def test_sound_begins_at_once_and_is_even(french: Voice, text: str) -> None:
    assert_begins_at_once_and_is_even(french.synthesize(text))


@pytest.mark.parametrize("text", ["", "...", "—", "***"])
def test_nothing_to_say(french: Voice, text: str) -> None:
    assert french.synthesize(text) == Speech(b"", ())


def test_the_first_part_is_short(french: Voice) -> None:
    parts = french.parts(FRENCH)
    assert 0.1 < len(next(parts).pcm) / 32_000 < 0.32


def test_a_speech_in_parts_sounds_like_the_whole(french: Voice) -> None:
    """What is lost by cutting it is less than what is lost by rounding to 8 bits."""

    def spectrum(speech: Speech) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(speech.pcm, np.int16), 512)[::160]
        return np.asarray(20 * np.log10(np.abs(np.fft.rfft(windows * np.hanning(512)))[:, 3:120] + 300))

    parts, whole = Speech.joined(french.parts(FRENCH)), french.synthesize(FRENCH)
    ends = np.array([[word.end for word in speech.words] for speech in (parts, whole)])
    assert np.abs(ends[0] - ends[1]).max() <= 2
    assert np.sqrt(np.square(spectrum(parts) - spectrum(whole)).mean()) < 5


def test_it_says_what_the_network_says_in_one_piece(network: Path, french: Voice) -> None:
    """A clause by the moments that are foretold for its length, beside one by its own."""
    session = onnxruntime.InferenceSession(network.read_bytes(), providers=["CPUExecutionProvider"])
    (phonemes,) = french._said("Je vous écoute.")
    tokens = np.array([[0, *(french._symbols[each] for each in phonemes), 0]])
    style = french._style[len(phonemes) - 1]
    inputs = {"tokens": tokens, "style": style, "speed": np.ones(1, np.float32)}
    sound = np.asarray(session.run(None, inputs)[0])
    (clause,), _ = french._encode("Je vous écoute.")
    assert len(sound) == clause.features.shape[2] * 300
    ours = french._network.sound(clause, 0, clause.features.shape[2])
    loudness = [np.sqrt(np.square(each).reshape(-1, 300).mean(axis=1)) for each in (sound, ours)]
    assert np.corrcoef(*loudness)[0, 1] > 0.97
    assert 0.6 < loudness[1].max() / loudness[0].max() < 1.6


def test_long_text_is_spoken_to_its_end(french: Voice) -> None:
    text = " ".join(["puis nous verrons cela demain matin"] * 15)
    speech = french.synthesize(text)
    assert len(speech.words) == 90
    assert len(speech.pcm) / 32_000 > 20


async def test_calls_share_it_and_one_that_is_gone_costs_nothing(french: Voice) -> None:
    voices = Voices({"ff_siwis": french})
    gone = voices.stream(FRENCH, voice="ff_siwis", call_id="a")
    stays = voices.stream("Je vous écoute.", voice=("nobody", "ff_siwis"), call_id="b")
    await anext(gone)
    await gone.aclose()
    done = voices.lane.stats.done
    speech = Speech.joined([part async for part in stays])
    assert [word.text for word in speech.words] == ["Je", "vous", "écoute."]
    assert voices.lane.stats.done - done <= 5  # its own parts and their end
    await voices.close()


def test_memory_stays(french: Voice) -> None:
    def sentences(count: int) -> Iterator[str]:
        return (" ".join(["un", "deux", "trois", "quatre"][: 1 + n % 4]) + "." for n in range(count))

    for text in sentences(12):
        french.synthesize(text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for text in sentences(25):
        french.synthesize(text)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # KiB


def test_of_several_voices_the_first_that_is_here(catalog: Catalog, network: Path) -> None:
    assert list(
        load([("fr_FR-siwis-medium", "ff_siwis")], catalog, devices=Devices(), device="cpu", threads=1)
    ) == ["ff_siwis"]


def test_no_voice_is_here(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "kokoro", lambda: None)
    with pytest.raises(WeightsError) as error:
        load([("fr_FR-siwis-medium", "ff_siwis")], catalog, devices=Devices(), device="cpu", threads=1)
    assert "offhook models pull fr_FR-siwis-medium" in str(error.value)
    assert "offhook models pull kokoro-82m" in str(error.value)


def test_a_later_start_measures_nothing(
    network: Path, french: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    measure = kokoro._Measurements._measure

    def count(self: kokoro._Measurements, tokens: Sequence[int], style: Floats) -> list[Floats]:
        measured.append(tokens)
        return measure(self, tokens, style)

    monkeypatch.setattr(kokoro._Measurements, "_measure", count)

    def load() -> Voice:
        measured.clear()
        return kokoro.load(network, ["ff_siwis"], measurements=tmp_path)["ff_siwis"]

    load()
    assert len(measured) == 2
    later = load()
    assert not measured
    assert later.synthesize(FRENCH) == french.synthesize(FRENCH)

    (tmp_path / "ff_siwis-0").write_bytes(b"junk")
    load()
    assert len(measured) == 1


def test_broken_weights(tmp_path: Path, voice_file: Path) -> None:
    for junk in (b"\xffjunk", voice_file.read_bytes()):
        (tmp_path / "k.onnx").write_bytes(junk)
        with pytest.raises(WeightsError, match=r"k\.onnx isn't a Kokoro"):
            kokoro.load(tmp_path / "k.onnx", ["ff_siwis"])


def test_a_style_that_was_changed(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in kokoro._FOLDER.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "ff_siwis.bin").write_bytes(bytes(522_240))
    monkeypatch.setattr(kokoro, "_FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"ff_siwis\.bin is not the file"):
        kokoro._style("ff_siwis")


def test_constants_and_numbers_are_read_as_they_were_written() -> None:
    graph = Graph(b"")
    graph.add_constant(b"a", np.arange(6, dtype=np.int8).reshape(2, 3) - 3)
    np.testing.assert_array_equal(graph.constant(b"a"), [[-3, -2, -1], [0, 1, 2]])
