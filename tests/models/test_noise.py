import pytest

from models.noise import is_noise


@pytest.mark.parametrize(
    ("logprob", "no_speech", "dropped"),
    [(-0.53, 0.27, True), (-0.67, 0.35, True), (-0.34, 0.27, False), (-0.5, 0.05, False)],
    ids=["hold music", "more of it", "a caller", "a caller on a bad line"],
)
def test_thank_you_is_believed_of_who_says_it(logprob: float, no_speech: float, dropped: bool) -> None:
    assert is_noise("Thank you.", logprob, no_speech) == dropped


@pytest.mark.parametrize("word", ["and", "e", "et", "und", "y", "the", "so"])
def test_a_word_that_says_nothing_is_one_of_noise(word: str) -> None:
    """Breath in Italian scores -2.32, and 0.52 for no speech."""
    assert is_noise(word, -2.32, 0.52)
    assert not is_noise(word, -0.3, 0.1)


def test_words_that_nothing_fits_are_noise() -> None:
    assert is_noise("and", -2.69, 0.57)
    assert not is_noise("Tomorrow.", -2.0, 0.24)
