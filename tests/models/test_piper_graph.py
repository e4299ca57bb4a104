from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from models.piper_graph import halves, with_durations


def test_the_voice_gets_a_second_output(voice_file: Path) -> None:
    model = voice_file.read_bytes()
    longer = with_durations(model)
    assert longer.startswith(model)
    assert len(longer) - len(model) < 100
    session = onnxruntime.InferenceSession(longer, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["output", "/Ceil_output_0"]


def test_once_is_enough(voice_file: Path) -> None:
    longer = with_durations(voice_file.read_bytes())
    assert with_durations(longer) is longer


@pytest.mark.parametrize("junk", [b"\xff" * 40, b"\x3a\x50short", b"\x0f"])
def test_what_is_no_model_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match="ONNX model"):
        with_durations(junk)
    with pytest.raises(ValueError, match="ONNX model"):
        halves(junk)


def test_a_model_without_durations_stays_as_it_is() -> None:
    assert with_durations(b"\x08\x07") == b"\x08\x07"
    assert halves(b"\x08\x07") is None


def test_the_halves_make_what_the_whole_makes(voice_file: Path) -> None:
    model = voice_file.read_bytes()
    parts = halves(model)
    assert parts is not None

    def run(graph: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        return [np.asarray(made) for made in session.run(None, inputs)]

    phonemes = np.array([[1, 0, 20, 0, 59, 0, 24, 0, 27, 0, 2]])
    quiet = np.array([0, 1, 0], np.float32)  # without noise, for the same durations each time
    inputs = {"input": phonemes, "input_lengths": np.array([phonemes.shape[1]]), "scales": quiet}
    (whole,) = run(model, inputs)
    frames, durations = run(parts.encoder, inputs)
    (sound,) = run(parts.decoder, {parts.frames: frames})
    assert durations.sum() == frames.shape[2]
    np.testing.assert_allclose(sound, whole, atol=1e-4)
    assert len(parts.encoder) + len(parts.decoder) < 1.2 * len(model)
