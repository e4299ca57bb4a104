"""Voice activity: the Silero model that ships inside Pipecat, one session for all calls."""

from __future__ import annotations

from collections import deque
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

CHUNK_SAMPLES = 512  # 32 ms at 16 kHz
CHUNK_MS = 32
_CONTEXT_SAMPLES = 64
_SAMPLE_RATE = np.array(16_000, np.int64)

# Non-speech shifts the recurrent state so that the speech after it scores too low; Pipecat clears it
# every two seconds, once 160 ms in a row are clearly no speech. The same here.
_RESET_CHUNKS = -(-2 * 16_000 // CHUNK_SAMPLES)
_CLEARLY_QUIET = 0.1
_QUIET_CHUNKS = 5
# After this much of nothing but the line's own noise more of it changes nothing that matters: the model,
# which costs more than all else that a silent call needs, isn't run.
_BACKGROUND_CHUNKS = 16
_LEAD_CHUNKS = 6


class SileroModel:
    """The shared session. Running it takes about 0.1 ms a chunk, so calls run it where they are."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        # Never a GPU: launching its kernels and copying a chunk there and back takes longer than 0.1 ms.
        path = files("pipecat.audio.vad.data") / "silero_vad.onnx"
        self.session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def voice_activity(self) -> VoiceActivity:
        """A new call's detector."""
        return VoiceActivity(self.session)


class VoiceActivity:
    """One call's voice activity. Not thread-safe."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._run = session.run
        self._pending = bytearray()
        self._window = np.zeros((1, _CONTEXT_SAMPLES + CHUNK_SAMPLES), np.float32)
        self._state = np.zeros((2, 1, 128), np.float32)
        self._inputs = {"input": self._window, "state": self._state, "sr": _SAMPLE_RATE}
        self._since_reset = 0
        self._quiet = 0
        self._background = 0  # chunks of it in a row
        self._sound = False  # whether the chunk in the making has something else
        self._skipped: deque[npt.NDArray[np.int16]] = deque(maxlen=_LEAD_CHUNKS)
        self._score = 0.0
        # Set while the caller is taken to speak: the state isn't cleared then.
        self.in_speech = False

    def process(self, pcm: bytes, *, background: bool = False) -> list[float]:
        """Probabilities of speech, one for every complete chunk of 32 ms; the rest waits for more.

        `pcm` is s16le mono at 16 kHz, of any length in whole samples; `background` says that it is known
        to be no more than the line's own noise. After half a second of that the score stays what it is.
        """
        self._pending += pcm
        whole = len(self._pending) // (2 * CHUNK_SAMPLES)
        begun_with_sound, self._sound = self._sound, self._sound or not background
        if not whole:
            return []
        samples = np.frombuffer(bytes(self._pending[: whole * 2 * CHUNK_SAMPLES]), np.int16)
        del self._pending[: whole * 2 * CHUNK_SAMPLES]
        self._sound = bool(self._pending) and not background
        first, *others = samples.reshape(whole, CHUNK_SAMPLES)
        scores = [self._probability(first, background and not begun_with_sound)]
        return scores + [self._probability(chunk, background) for chunk in others]

    def reset(self) -> None:
        """Forget everything heard."""
        self._pending.clear()
        self._forget()

    def _probability(self, chunk: npt.NDArray[np.int16], background: bool) -> float:
        self._background = self._background + 1 if background else 0
        if self._background > _BACKGROUND_CHUNKS and not self.in_speech:
            self._skipped.append(chunk)
        else:
            while self._skipped:  # the model hears best what comes after a little of the line's noise
                self._infer(self._skipped.popleft())
            self._infer(chunk)
        self._reset_if_due()
        return self._score

    def _infer(self, chunk: npt.NDArray[np.int16]) -> None:
        window = self._window
        np.multiply(chunk, np.float32(1 / 32768), out=window[0, _CONTEXT_SAMPLES:], dtype=np.float32)
        outputs: list[Any] = list(self._run(None, self._inputs))
        probability, self._inputs["state"] = outputs
        window[0, :_CONTEXT_SAMPLES] = window[0, -_CONTEXT_SAMPLES:]
        self._score = float(probability[0, 0])

    def _reset_if_due(self) -> None:
        self._since_reset += 1
        self._quiet = self._quiet + 1 if self._score < _CLEARLY_QUIET else 0
        if self._since_reset >= _RESET_CHUNKS and self._quiet >= _QUIET_CHUNKS and not self.in_speech:
            self._forget()

    def _forget(self) -> None:
        self._inputs["state"] = self._state
        self._window[0, :_CONTEXT_SAMPLES] = 0.0
        self._since_reset = 0
        self._quiet = 0
