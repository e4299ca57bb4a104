"""Make a Piper voice say how long each phoneme lasts.

The network computes that (its one `Ceil` node rounds the durations up) but doesn't return it. Loading
the 60 MB graph with the onnx package to add an output takes 0.6 s and three copies in memory; but
protobuf merges messages that are concatenated, so appending a graph that has only the output does it.
"""

from __future__ import annotations

from collections.abc import Iterator

_MODEL_GRAPH = 7
_GRAPH_NODE = 1
_GRAPH_OUTPUT = 12
_NODE_OUTPUT = 2
_NODE_OP_TYPE = 4
_VALUE_NAME = 1
_BYTES = 2  # protobuf's wire type of strings and messages


def with_durations(model: bytes) -> bytes:
    """The ONNX `model` with its phoneme durations as a further output, if it can be found.

    Returns `model` itself if it has them already or has no single `Ceil` node. Raises ValueError if
    it isn't an ONNX model.
    """
    view = memoryview(model)
    graphs = [body for field, body in _fields(view) if field == _MODEL_GRAPH]
    names = {name for graph in graphs for name in _ceil_outputs(graph)}
    outputs = {name for graph in graphs for name in _output_names(graph)}
    if len(names) != 1 or names & outputs:
        return model
    (name,) = names
    output = _message(_VALUE_NAME, name)
    return model + _message(_MODEL_GRAPH, _message(_GRAPH_OUTPUT, output))


def _ceil_outputs(graph: memoryview) -> Iterator[bytes]:
    for field, body in _fields(graph):
        if field == _GRAPH_NODE:
            node = list(_fields(body))
            if any(part == _NODE_OP_TYPE and bytes(value) == b"Ceil" for part, value in node):
                yield from (bytes(value) for part, value in node if part == _NODE_OUTPUT)


def _output_names(graph: memoryview) -> Iterator[bytes]:
    for field, body in _fields(graph):
        if field == _GRAPH_OUTPUT:
            yield from (bytes(value) for part, value in _fields(body) if part == _VALUE_NAME)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a protobuf message; others are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire_type = key >> 3, key & 7
        if wire_type == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("The ONNX model is cut short.")
            yield field, message[at : at + size]
            at += size
        elif wire_type == 0:
            _, at = _varint(message, at)
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise ValueError("This isn't an ONNX model.")


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
