import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from models.mel import HOP_SAMPLES, log_mel


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 4.99, 5.0])
def test_the_numbers_are_whispers_own(seconds: float, mels: int) -> None:
    rng = np.random.default_rng(1)
    pcm = (rng.standard_normal(round(seconds * 16_000)) * 3000).astype(np.int16)
    padded = np.zeros(500 * HOP_SAMPLES, np.float32)
    padded[: len(pcm)] = pcm / np.float32(32768)
    expected = FeatureExtractor(feature_size=mels)(padded, padding=0)
    features = log_mel(pcm, 500, mels)
    assert features.shape == (mels, 500)
    assert features.flags.c_contiguous
    np.testing.assert_allclose(features, expected, atol=2e-5)


def test_silence_is_flat() -> None:
    assert np.ptp(log_mel(np.zeros(16_000, np.int16), 150)) == 0


def test_too_much_sound() -> None:
    with pytest.raises(ValueError, match=r"^16001 samples don't fit into 100 frames\.$"):
        log_mel(np.zeros(16_001, np.int16), 100)
