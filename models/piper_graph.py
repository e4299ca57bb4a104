"""What a Piper voice's network is made of: taken apart, so that it can speak before it is done.

The first half makes frames of phonemes, and is quick; the second makes sound of frames, and takes most
of the time. It is made of convolutions only, so that the sound of a few frames needs no more than
those frames and some on either side. Loading the 60 MB graph with the onnx package to do it takes 0.6 s
and three copies in memory, hence the few lines that read protobuf here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SHAPES = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP_TYPE = 1, 2, 4
_INITIALIZER_NAME = 8
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT = 1, 2, 1, 1
_FLOAT = 1
_BYTES = 2  # protobuf's wire type of strings and messages
_FIRST_OF_DECODER = b"dec.conv_pre.weight"


@dataclass(frozen=True)
class Halves:
    """Two ONNX models. `encoder` has the outputs `frames` (1, channels, n) and the phonemes' durations in
    frames; `decoder` takes `frames`, and of the voice's own inputs what it needs."""

    encoder: bytes
    decoder: bytes
    frames: str


@dataclass(frozen=True)
class _Field:
    number: int
    body: memoryview
    whole: memoryview  # with its key and its size


@dataclass(frozen=True)
class _Node:
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    op: bytes
    whole: memoryview


def halves(model: bytes) -> Halves | None:
    """The ONNX `model` in two. None if it isn't built as Piper's are. Raises ValueError if it isn't ONNX."""
    graph = [field for field in _fields(memoryview(model)) if field.number == _MODEL_GRAPH]
    if len(graph) != 1:
        return None
    parts = list(_fields(graph[0].body))
    nodes = [_node(part) for part in parts if part.number == _GRAPH_NODE]
    durations = _durations(nodes)
    first = [node for node in nodes if _FIRST_OF_DECODER in node.inputs]
    if durations is None or len(first) != 1:
        return None
    frames = first[0].inputs[0]
    outputs = [_name(part.body) for part in parts if part.number == _GRAPH_OUTPUT]
    made_of_floats = _message(_VALUE_TYPE, _message(_TYPE_TENSOR, bytes([_TENSOR_ELEMENT << 3, _FLOAT])))
    frames_in = _message(_GRAPH_INPUT, _message(_VALUE_NAME, frames) + made_of_floats)
    return Halves(
        encoder=_with_graph(model, graph[0], _part(parts, nodes, (frames, durations))),
        decoder=_with_graph(model, graph[0], _part(parts, nodes, outputs, given=frames) + frames_in),
        frames=frames.decode(),
    )


def with_durations(model: bytes) -> bytes:
    """The ONNX `model` with its phoneme durations as a further output, if it can be found.

    The network computes that (its one `Ceil` node rounds the durations up) but doesn't return it.
    Returns `model` itself if it has them already or has no single `Ceil` node. Raises ValueError if
    it isn't an ONNX model.
    """
    graphs = [field.body for field in _fields(memoryview(model)) if field.number == _MODEL_GRAPH]
    parts = [part for graph in graphs for part in _fields(graph)]
    name = _durations([_node(part) for part in parts if part.number == _GRAPH_NODE])
    if name is None or name in {_name(part.body) for part in parts if part.number == _GRAPH_OUTPUT}:
        return model
    # Protobuf merges messages that are concatenated.
    return model + _message(_MODEL_GRAPH, _message(_GRAPH_OUTPUT, _message(_VALUE_NAME, name)))


def _durations(nodes: Collection[_Node]) -> bytes | None:
    names = [name for node in nodes if node.op == b"Ceil" for name in node.outputs]
    return names[0] if len(names) == 1 else None


def _part(
    parts: Collection[_Field], nodes: Collection[_Node], outputs: Collection[bytes], given: bytes = b""
) -> bytes:
    """The fields of a graph that computes `outputs`, where `given` needn't be computed."""
    makers = {name: node for node in nodes for name in node.outputs}
    needed: set[bytes] = set()
    open_names = list(outputs)
    while open_names:
        name = open_names.pop()
        if name not in needed and name != given:
            needed.add(name)
            if name in makers:
                open_names += makers[name].inputs
    kept = [node.whole for node in nodes if not needed.isdisjoint(node.outputs)]
    for part in parts:
        if part.number in (_GRAPH_INITIALIZER, _GRAPH_INPUT):
            key = _INITIALIZER_NAME if part.number == _GRAPH_INITIALIZER else _VALUE_NAME
            if _name(part.body, key) in needed:
                kept.append(part.whole)
        elif part.number not in (_GRAPH_NODE, _GRAPH_OUTPUT, _GRAPH_SHAPES):
            kept.append(part.whole)
    return b"".join([*kept, *(_message(_GRAPH_OUTPUT, _message(_VALUE_NAME, name)) for name in outputs)])


def _with_graph(model: bytes, old: _Field, graph: bytes) -> bytes:
    rest = (field.whole for field in _fields(memoryview(model)) if field.number != old.number)
    return b"".join([*rest, _message(_MODEL_GRAPH, graph)])


def _node(field: _Field) -> _Node:
    parts = list(_fields(field.body))

    def texts(number: int) -> tuple[bytes, ...]:
        return tuple(bytes(part.body) for part in parts if part.number == number)

    return _Node(texts(_NODE_INPUT), texts(_NODE_OUTPUT), b"".join(texts(_NODE_OP_TYPE)), field.whole)


def _name(message: memoryview, number: int = _VALUE_NAME) -> bytes:
    return next((bytes(part.body) for part in _fields(message) if part.number == number), b"")


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a protobuf message; a number's `body` is empty."""
    at = 0
    while at < len(message):
        began = at
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        size = 0
        if wire_type == _BYTES:
            size, at = _varint(message, at)
        elif wire_type == 0:
            _, at = _varint(message, at)
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise ValueError("This isn't an ONNX model.")
        if at + size > len(message):
            raise ValueError("The ONNX model is cut short.")
        yield _Field(number, message[at : at + size], message[began : at + size])
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("This isn't an ONNX model.")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _message(field: int, body: bytes) -> bytes:
    size = len(body)
    prefix = bytearray([field << 3 | _BYTES])
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + body
