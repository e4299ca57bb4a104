"""What a Piper voice's network is made of: taken apart, so that it can speak before it is done.

The first half makes frames of phonemes, and is quick; the second makes sound of frames, and takes most
of the time. It is made of convolutions only, so that the sound of a few frames needs no more than
those frames and some on either side.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from models.onnx_graph import Graph, Node, with_output

_FIRST_OF_DECODER = b"dec.conv_pre.weight"


@dataclass(frozen=True)
class Halves:
    """Two ONNX models. `encoder` has the outputs `frames` (1, channels, n) and the phonemes' durations in
    frames; `decoder` takes `frames`, and of the voice's own inputs what it needs."""

    encoder: bytes
    decoder: bytes
    frames: str


def halves(model: bytes) -> Halves | None:
    """The ONNX `model` in two. None if it isn't built as Piper's are. Raises ValueError if it isn't ONNX."""
    graph = Graph(model)
    durations = _durations(graph.nodes)
    first = [node for node in graph.nodes if _FIRST_OF_DECODER in node.inputs]
    if durations is None or len(first) != 1:
        return None
    frames = first[0].inputs[0]
    return Halves(
        encoder=graph.model([frames, durations]),
        decoder=graph.model(graph.outputs, given=[frames]),
        frames=frames.decode(),
    )


def with_durations(model: bytes) -> bytes:
    """The ONNX `model` with its phoneme durations as a further output, if it can be found.

    The network computes that (its one `Ceil` node rounds the durations up) but doesn't return it.
    Returns `model` itself if it has them already or has no single `Ceil` node. Raises ValueError if
    it isn't an ONNX model.
    """
    graph = Graph(model)
    durations = _durations(graph.nodes)
    return model if durations is None or durations in graph.outputs else with_output(model, durations)


def _durations(nodes: Collection[Node]) -> bytes | None:
    names = [name for node in nodes if node.op == b"Ceil" for name in node.outputs]
    return names[0] if len(names) == 1 else None
