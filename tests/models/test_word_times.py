import pytest

from models.reading.reader import reader
from models.word_times import Timed, reading_ends, spoken_words, word_ends


def timed(phonemes: str, each: int = 10) -> list[Timed]:
    return [(phoneme, each) for phoneme in phonemes]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I can help.", ["I", "can", "help."]),
        ("I'm — well — here", ["I'm —", "well —", "here"]),
        ("— Yes!", ["— Yes!"]),
        ("$12.50, please", ["$12.50,", "please"]),
        ("...", ["..."]),
        ("  ", []),
    ],
)
def test_spoken_words(text: str, words: list[str]) -> None:
    assert spoken_words(text) == words


def test_a_word_ends_with_the_break_behind_it() -> None:
    assert word_ends(["one", "two"], timed("wʌn tuː"), len) == [40, 70]


def test_a_number_takes_the_phonemes_that_it_has_by_itself() -> None:
    phonemes = timed("its twɛlv dɑlɚz nau")
    alone = {"It's": 4, "$12": 12, "now": 4}
    ends = word_ends(list(alone), phonemes, alone.__getitem__)
    assert ends == [40, 160, 190]


def test_words_run_together_are_parted_between_breaks() -> None:
    ends = word_ends(["in", "the", "car"], timed("ɪnðə kɑɹ"), {"in": 2, "the": 2, "car": 4}.__getitem__)
    assert ends == [30, 50, 80]


def test_ends_never_go_back_and_reach_the_last_phoneme() -> None:
    words = [f"w{i}" for i in range(9)]
    ends = word_ends(words, timed("a b"), lambda _: 1)
    assert ends == sorted(ends)
    assert (len(ends), ends[-1]) == (9, 30)


def test_no_words_no_ends() -> None:
    assert word_ends([], timed("abc"), len) == []


def test_an_amount_ends_with_the_last_of_its_words() -> None:
    read = reader("en").read("Pay $12.50 on 3/4 😊 please.")
    phonemes = timed("peɪ twɛlv dɑlɚz ænd fɪfti sɛnts ɑn mɑrtʃ fɔrθ pliz.")
    said = "".join(phoneme for phoneme, _ in phonemes)
    ends = reading_ends(read, phonemes, len)
    assert [each.written for each in read] == ["Pay", "$12.50", "on", "3/4 😊", "please."]
    behind = ["peɪ ", "sɛnts ", "ɑn ", "fɔrθ ", "pliz."]
    assert ends == [10 * (said.index(each) + len(each)) for each in behind]


def test_what_has_no_sound_ends_at_once() -> None:
    """As espeak-ng has none for ① and ②."""
    assert word_ends(["①", "②"], [], lambda _: 1) == [0, 0]
