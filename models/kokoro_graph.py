"""Kokoro's network (kokoro-onnx's int8 export), taken apart and made quicker.

Its front makes the features of a whole clause of tokens, and is quick; its generator makes the sound of
features, and takes nine tenths of the time. What keeps the generator from working piece by piece is that
its layers are normalized by their mean and variance over the clause. Those hardly change from one
clause of a voice to another, so here they are inputs, taken once from a sentence of that voice.

Convolutions of 8-bit numbers are done as multiplications of matrices, for which onnxruntime uses the
instructions made for it (AVX-512 VNNI and the like); its own ConvInteger doesn't, and takes 2.5 times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.onnx_graph import Graph, Node, node

_DURATIONS = b"/encoder/Clip_output_0"
_FEATURES = b"/decoder/decoder/generator/LeakyRelu_output_0"
_SOURCE = b"/decoder/decoder/generator/Concat_3_output_0"
_GENERATOR = b"/decoder/decoder/generator/"
_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Halves:
    """Three ONNX models. `front` takes `tokens`, `style` and `speed`; its outputs are `features`
    (1, channels, n), `source` (1, channels, 60 n + 1) and the tokens' durations in pairs of frames.
    `statistics` makes the `moments` of features and source; `generator` makes sound of all of these."""

    front: bytes
    statistics: bytes
    generator: bytes
    features: str
    source: str
    moments: tuple[str, ...]


def halves(model: bytes) -> Halves:
    """The ONNX `model` in two, and what the second needs. Raises ValueError if it isn't Kokoro's."""
    graph = Graph(model)
    _multiply(graph)
    moments = [
        each.outputs[0]
        for each in graph.nodes
        if each.op == b"ReduceMean" and each.outputs[0].startswith(_GENERATOR)
    ]
    halves = (_FEATURES, _SOURCE)
    front = graph.model([*halves, _DURATIONS])
    statistics = graph.model(moments, given=halves)
    _normalize_by(graph, moments)
    return Halves(
        front=front,
        statistics=statistics,
        generator=graph.model(graph.outputs, given=[*halves, *moments]),
        features=_FEATURES.decode(),
        source=_SOURCE.decode(),
        moments=tuple(name.decode() for name in moments),
    )


def _normalize_by(graph: Graph, moments: list[bytes]) -> None:
    """Let the generator's layers scale and shift by the given moments: two steps instead of six."""
    users = _users(graph)

    def user(made: Node, op: bytes) -> Node:
        return next(each for each in users[made.outputs[0]] if each.op == op)

    normalized: dict[bytes, list[Node]] = {}
    for mean in graph.nodes:
        if mean.outputs[0] not in moments or users[mean.outputs[0]][0].op != b"Sub":
            continue
        difference = user(mean, b"Sub")
        variance = user(user(difference, b"Mul"), b"ReduceMean")
        root = user(user(variance, b"Add"), b"Sqrt")
        normal = user(root, b"Div")
        for scaled in users[normal.outputs[0]]:
            shifted = user(scaled, b"Add")
            made = shifted.outputs[0]
            scale, shift, product = made + b"/scale", made + b"/shift", made + b"/product"
            normalized[made] = [
                node(b"Div", [_other(scaled, normal), root.outputs[0]], [scale]),
                node(b"Mul", [mean.outputs[0], scale], [made + b"/moved"]),
                node(b"Sub", [_other(shifted, scaled), made + b"/moved"], [shift]),
                node(b"Mul", [difference.inputs[0], scale], [product]),
                node(b"Add", [product, shift], [made]),
            ]
    graph.nodes = [new for each in graph.nodes for new in normalized.get(each.outputs[0], [each])]


def _multiply(graph: Graph) -> None:
    """Replace each ConvInteger of stride 1, with all that makes floats of what it makes."""
    users = _users(graph)
    makers = {name: each for each in graph.nodes for name in each.outputs}
    multiplied: dict[bytes, list[Node]] = {}
    for each in graph.nodes:
        if each.op != b"ConvInteger" or each.ints(b"strides") != (1,):
            continue
        (after,) = users[each.outputs[0]]
        bias = b""
        if after.op == b"Add":
            bias = _other(after, each)
            while makers[bias].op != b"Div":  # it is divided by the scale, to be an integer, and shaped
                bias = makers[bias].inputs[0]
            bias = makers[bias].inputs[0]
            (after,) = users[after.outputs[0]]
        (made,) = (user.outputs[0] for user in users[after.outputs[0]])
        multiplied[made] = list(_product(graph, each, bias, made, makers[each.inputs[0]].outputs[1]))
    graph.nodes = [new for each in graph.nodes for new in multiplied.get(each.outputs[0], [each])]


def _product(graph: Graph, convolution: Node, bias: bytes, made: bytes, scale: bytes) -> Iterator[Node]:
    """The convolution as one multiplication: each row of its left side is all that a step depends on."""
    quantized, weights, zero, weights_zero = convolution.inputs
    out, channels, size = graph.constant(weights).shape
    matrix = graph.constant(weights).transpose(2, 1, 0).reshape(size * channels, out)
    # Signed, since there are instructions for the product of unsigned and signed numbers.
    for name, value in ((b"/matrix", matrix), (b"/zero", graph.constant(weights_zero))):
        graph.add_constant(made + name, (value.astype(np.int16) - 128).astype(np.int8))
    rows = made + b"/rows"
    yield node(b"Transpose", [quantized], [rows], perm=(0, 2, 1))
    if size > 1:
        (dilation,), pads = convolution.ints(b"dilations"), convolution.ints(b"pads")
        graph.add_constant(made + b"/pads", np.array([0, pads[0], 0, 0, pads[1], 0]))
        graph.add_constant(made + b"/axis", np.array([1]))
        yield node(b"Pad", [rows, made + b"/pads", zero], [made + b"/padded"])
        taps = [made + b"/tap%d" % tap for tap in range(size)]
        for tap, name in enumerate(taps):
            behind = (size - 1 - tap) * dilation
            graph.add_constant(name + b"/from", np.array([tap * dilation]))
            graph.add_constant(name + b"/to", np.array([-behind if behind else _LAST]))
            span = [name + b"/from", name + b"/to", made + b"/axis"]
            yield node(b"Slice", [made + b"/padded", *span], [name])
        rows = made + b"/taps"
        yield node(b"Concat", taps, [rows], axis=2)
    factors = [rows, made + b"/matrix", scale, weights.removesuffix(b"_quantized") + b"_scale"]
    factors += [zero, made + b"/zero", *([bias] if bias else [])]
    yield node(b"MatMulIntegerToFloat", factors, [made + b"/product"], domain=b"com.microsoft")
    yield node(b"Transpose", [made + b"/product"], [made], perm=(0, 2, 1))


def _users(graph: Graph) -> dict[bytes, list[Node]]:
    users: dict[bytes, list[Node]] = {}
    for each in graph.nodes:
        for name in dict.fromkeys(each.inputs):
            users.setdefault(name, []).append(each)
    return users


def _other(taker: Node, made: Node) -> bytes:
    (name,) = (name for name in taker.inputs if name != made.outputs[0])
    return name
