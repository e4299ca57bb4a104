from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

from models.smart_turn import TurnDetector

Samples = npt.NDArray[np.int16]


@pytest.fixture
async def detector() -> AsyncIterator[TurnDetector]:
    detector = TurnDetector()
    yield detector
    await detector.close()


async def test_the_numbers_are_pipecats_own(detector: TurnDetector, question: Samples) -> None:
    analyzer = LocalSmartTurnAnalyzerV3()
    analyzer.set_sample_rate(16_000)
    for sound in (question, question[:9000], np.tile(question, 6)):
        expected = analyzer._predict_endpoint(sound.astype(np.float32) / 32768)["probability"]
        assert await detector.probability(sound.tobytes(), call_id="a") == pytest.approx(expected, abs=1e-5)


async def test_a_question_is_more_finished_than_its_start(detector: TurnDetector, question: Samples) -> None:
    whole = await detector.probability(question.tobytes(), call_id="a")
    cut = await detector.probability(question[: len(question) * 6 // 10].tobytes(), call_id="a")
    assert cut < 0.5 < whole
