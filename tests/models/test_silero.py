import numpy as np
import numpy.typing as npt
import pytest
from pipecat.audio.vad.silero import SileroVADAnalyzer

from models.silero import CHUNK_SAMPLES, SileroModel

Samples = npt.NDArray[np.int16]


@pytest.fixture(scope="module")
def model() -> SileroModel:
    return SileroModel()


def noise(seconds: float, level: float = 60.0) -> Samples:
    rng = np.random.default_rng(3)
    return (rng.standard_normal(round(seconds * 16_000)) * level).astype(np.int16)


def pipecats(sound: Samples) -> list[float]:
    analyzer = SileroVADAnalyzer(sample_rate=16_000)
    analyzer.set_sample_rate(16_000)
    chunks = sound[: len(sound) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
    return [float(np.asarray(analyzer.voice_confidence(chunk.tobytes())).item()) for chunk in chunks]


def test_the_numbers_are_pipecats_own_resets_included(model: SileroModel, question: Samples) -> None:
    sound = np.concatenate([noise(3.1), question, noise(5.3), question, noise(1.0)])
    activity = model.voice_activity()
    heard = [p for at in range(0, len(sound), 320) for p in activity.process(sound[at : at + 320].tobytes())]
    np.testing.assert_allclose(heard, pipecats(sound), atol=1e-6)
    assert max(heard) > 0.95


def test_background_is_skipped_without_a_difference_that_matters(
    model: SileroModel, question: Samples
) -> None:
    parts = [(noise(3.2), True), (question, False), (noise(2.56), True), (question, False)]
    activity = model.voice_activity()
    heard = [p for part, quiet in parts for p in activity.process(part.tobytes(), background=quiet)]
    expected = pipecats(np.concatenate([part for part, _ in parts]))
    np.testing.assert_allclose(heard, expected, atol=0.2)


def test_background_costs_nothing_after_a_while(model: SileroModel) -> None:
    activity = model.voice_activity()
    runs = 0
    run = activity._run

    def counting(*args: object) -> object:
        nonlocal runs
        runs += 1
        return run(*args)

    activity._run = counting  # type: ignore[assignment]
    quiet = noise(0.02).tobytes()
    for _ in range(100):
        activity.process(quiet, background=True)
    assert runs == 16
    activity.process(quiet)
    activity.process(quiet, background=True)
    assert runs == 16 + 6 + 1  # and a little of what was skipped, to lead in


def test_chunks_are_made_of_any_pieces(model: SileroModel, question: Samples) -> None:
    whole = model.voice_activity().process(question.tobytes())
    activity = model.voice_activity()
    pieces = [
        p for at in range(0, len(question), 77) for p in activity.process(question[at : at + 77].tobytes())
    ]
    assert pieces == whole
    assert len(whole) == len(question) // CHUNK_SAMPLES


def test_calls_dont_hear_each_other(model: SileroModel, question: Samples) -> None:
    alone = model.voice_activity().process(question.tobytes())
    first, second = model.voice_activity(), model.voice_activity()
    mixed = []
    for at in range(0, len(question), CHUNK_SAMPLES):
        second.process(noise(0.032, 2000).tobytes())
        mixed += first.process(question[at : at + CHUNK_SAMPLES].tobytes())
    assert mixed == alone


def test_reset_forgets(model: SileroModel, question: Samples) -> None:
    activity = model.voice_activity()
    first = activity.process(question.tobytes())
    activity.reset()
    assert activity.process(question.tobytes()) == first


def test_the_state_isnt_cleared_in_speech(model: SileroModel, question: Samples) -> None:
    sound = np.concatenate([noise(4.0), question])
    kept, cleared = model.voice_activity(), model.voice_activity()
    kept.in_speech = True
    assert kept.process(sound.tobytes()) != cleared.process(sound.tobytes())
