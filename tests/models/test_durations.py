from pathlib import Path

import onnxruntime
import pytest

from models.durations import with_durations


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


def test_a_model_without_durations_stays_as_it_is() -> None:
    assert with_durations(b"\x08\x07") == b"\x08\x07"
