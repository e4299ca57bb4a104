"""Whether a turn sounds finished: smart-turn v3.2, which ships inside Pipecat, one session for all calls."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import onnxruntime

from models.lanes import Lane, Speculative
from models.pipecat_internals import turn_features

_WINDOW_SAMPLES = 8 * 16_000


class TurnDetector:
    """The acoustic end-of-turn model. Loading blocks for a moment: make it off the event loop."""

    def __init__(self, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Never a GPU: it takes some 40 ms of one core, in which nobody waits for it.
        path = files("pipecat.audio.turn.smart_turn.data") / "smart-turn-v3.2-cpu.onnx"
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self.lane = Lane("turn detector")

    async def probability(self, pcm: bytes, *, call_id: str, speculative: Speculative = False) -> float:
        """How finished the turn sounds, 0 to 1, from its last 8 s (s16le mono at 16 kHz).

        Raises ModelBusy, ModelFailed.
        """
        return await self.lane.run(call_id, lambda: self.probability_now(pcm), speculative=speculative)

    def probability_now(self, pcm: bytes) -> float:
        """`probability`, on the calling thread."""
        heard = np.frombuffer(pcm[-2 * _WINDOW_SAMPLES :], np.int16)
        window = np.zeros(_WINDOW_SAMPLES, np.float32)
        np.multiply(
            heard, np.float32(1 / 32768), out=window[_WINDOW_SAMPLES - len(heard) :], dtype=np.float32
        )
        features = turn_features(window)
        outputs: list[Any] = list(self._session.run(None, {"input_features": features[np.newaxis]}))
        return float(outputs[0][0].item())

    async def close(self) -> None:
        await self.lane.close()
