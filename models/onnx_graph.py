"""Reads, cuts and rewrites ONNX graphs.

Loading a graph of 60 MB with the onnx package to take it apart takes 0.6 s and three copies in memory,
hence the few lines that read and write protobuf here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SHAPES = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_INTS, _ATTRIBUTE_TYPE = 1, 3, 8, 20
_OF_INT, _OF_INTS = 2, 7
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_SMALL_INTS, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 5, 8, 9
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT = 1, 2, 1, 1
_ELEMENTS = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}
_FLOAT = 1
_NUMBER, _BYTES = 0, 2  # protobuf's wire types

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Node:
    """One operation. Made by `node`, or read from a graph."""

    op: bytes
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    whole: memoryview | bytes  # with its key and its size

    def ints(self, name: bytes) -> tuple[int, ...]:
        """An attribute that is a number or a list of them; empty if it isn't there."""
        (body,) = [field.body for field in _fields(memoryview(self.whole))]
        for field in _fields(body):
            if field.number == _NODE_ATTRIBUTE and _name(field.body, _ATTRIBUTE_NAME) == name:
                return _ints(field.body, _ATTRIBUTE_INTS) or _ints(field.body, _ATTRIBUTE_INT)
        return ()


def node(
    op: bytes,
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    *,
    domain: bytes = b"",
    **attributes: int | Iterable[int],
) -> Node:
    inputs, outputs = tuple(inputs), tuple(outputs)
    body = [_message(_NODE_INPUT, name) for name in inputs]
    body += [_message(_NODE_OUTPUT, name) for name in outputs]
    body += [_message(_NODE_OP_TYPE, op), _message(_NODE_DOMAIN, domain)]
    for name, value in attributes.items():
        values = (
            [_integer(_ATTRIBUTE_TYPE, _OF_INT), _integer(_ATTRIBUTE_INT, value)]
            if isinstance(value, int)
            else [_integer(_ATTRIBUTE_TYPE, _OF_INTS), *(_integer(_ATTRIBUTE_INTS, each) for each in value)]
        )
        body.append(_message(_NODE_ATTRIBUTE, _message(_ATTRIBUTE_NAME, name.encode()) + b"".join(values)))
    return Node(op, inputs, outputs, _message(_GRAPH_NODE, b"".join(body)))


class Graph:
    """The graph of an ONNX model: its nodes in order, to be replaced at will, and its constants."""

    def __init__(self, model: bytes) -> None:
        """Raises ValueError if `model` isn't ONNX."""
        fields = list(_fields(memoryview(model)))
        self._around: list[memoryview | bytes] = [
            field.whole for field in fields if field.number != _MODEL_GRAPH
        ]
        self._kept: list[memoryview] = []
        self._inputs: dict[bytes, memoryview] = {}
        self._constants: dict[bytes, memoryview | bytes] = {}
        self.nodes: list[Node] = []
        self.outputs: list[bytes] = []
        graphs = (field.body for field in fields if field.number == _MODEL_GRAPH)
        for part in (part for graph in graphs for part in _fields(graph)):
            if part.number == _GRAPH_NODE:
                self.nodes.append(_node(part))
            elif part.number == _GRAPH_INITIALIZER:
                self._constants[_name(part.body, _TENSOR_NAME)] = part.whole
            elif part.number == _GRAPH_INPUT:
                self._inputs[_name(part.body, _VALUE_NAME)] = part.whole
            elif part.number == _GRAPH_OUTPUT:
                self.outputs.append(_name(part.body, _VALUE_NAME))
            elif part.number != _GRAPH_SHAPES:  # shapes in between are wrong once the graph is cut
                self._kept.append(part.whole)

    def constant(self, name: bytes) -> Array:
        """Raises KeyError, also for a type that isn't read here."""
        (body,) = [field.body for field in _fields(memoryview(self._constants[name]))]
        element = _ELEMENTS[_ints(body, _TENSOR_TYPE)[0]]
        shape = _ints(body, _TENSOR_DIMS)
        for field in _fields(body):
            if field.number == _TENSOR_RAW:
                return np.frombuffer(field.body, element).reshape(shape)
        return np.array(_ints(body, _TENSOR_SMALL_INTS), element).reshape(shape)

    def add_constant(self, name: bytes, value: Array) -> None:
        kind = next(kind for kind, element in _ELEMENTS.items() if element == value.dtype)
        body = [_integer(_TENSOR_DIMS, size) for size in value.shape]
        body += [_integer(_TENSOR_TYPE, kind), _message(_TENSOR_NAME, name)]
        body.append(_message(_TENSOR_RAW, np.ascontiguousarray(value).tobytes()))
        self._constants[name] = _message(_GRAPH_INITIALIZER, b"".join(body))

    def model(self, outputs: Collection[bytes], given: Collection[bytes] = ()) -> bytes:
        """An ONNX model of what it takes to compute `outputs` where the floats `given` are inputs."""
        makers = {name: node for node in self.nodes for name in node.outputs}
        needed: set[bytes] = set()
        open_names = list(outputs)
        while open_names:
            name = open_names.pop()
            if name not in needed:
                needed.add(name)
                if name in makers and name not in given:
                    open_names += makers[name].inputs
        floats = _message(_VALUE_TYPE, _message(_TYPE_TENSOR, _integer(_TENSOR_ELEMENT, _FLOAT)))
        wanted = needed.difference(given)
        graph: list[memoryview | bytes] = [*self._kept]
        graph += [node.whole for node in self.nodes if not wanted.isdisjoint(node.outputs)]
        graph += [whole for name, whole in self._constants.items() if name in wanted]
        graph += [whole for name, whole in self._inputs.items() if name in wanted]
        graph += [_message(_GRAPH_INPUT, _message(_VALUE_NAME, name) + floats) for name in given]
        graph += [_message(_GRAPH_OUTPUT, _message(_VALUE_NAME, name)) for name in outputs]
        return b"".join([*self._around, _message(_MODEL_GRAPH, b"".join(graph))])


def with_output(model: bytes, name: bytes) -> bytes:
    """The ONNX `model` with what it computes as `name` as a further output."""
    # Protobuf merges messages that are concatenated.
    return model + _message(_MODEL_GRAPH, _message(_GRAPH_OUTPUT, _message(_VALUE_NAME, name)))


@dataclass(frozen=True)
class _Field:
    number: int
    body: memoryview
    whole: memoryview  # with its key and its size


def _node(field: _Field) -> Node:
    parts = list(_fields(field.body))

    def texts(number: int) -> tuple[bytes, ...]:
        return tuple(bytes(part.body) for part in parts if part.number == number)

    return Node(b"".join(texts(_NODE_OP_TYPE)), texts(_NODE_INPUT), texts(_NODE_OUTPUT), field.whole)


def _name(message: memoryview, number: int) -> bytes:
    return next((bytes(part.body) for part in _fields(message) if part.number == number), b"")


def _ints(message: memoryview, number: int) -> tuple[int, ...]:
    """A repeated number, packed or not."""
    found: list[int] = []
    for field in _fields(message):
        at = 0
        while field.number == number and at < len(field.body):
            value, at = _varint(field.body, at)
            found.append(value)
    return tuple(found)


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a protobuf message; the `body` of a number is the number as it is written."""
    at = 0
    while at < len(message):
        began = at
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        body = at
        if wire_type == _BYTES:
            size, body = _varint(message, at)
            at = body + size
        elif wire_type == _NUMBER:
            _, at = _varint(message, at)
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise ValueError("This isn't an ONNX model.")
        if at > len(message):
            raise ValueError("The ONNX model is cut short.")
        yield _Field(number, message[body:at], message[began:at])


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


def _number(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _integer(field: int, value: int) -> bytes:
    return _number(field << 3 | _NUMBER) + _number(value)


def _message(field: int, body: bytes) -> bytes:
    return _number(field << 3 | _BYTES) + _number(len(body)) + body
