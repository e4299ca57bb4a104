"""Kokoro's network (kokoro-onnx's int8 export), taken apart and made quicker.

Its front makes the features of a whole clause of tokens, and is quick; its generator makes the sound of
features, and takes nine tenths of the time. What keeps the generator from working piece by piece is that
its layers are normalized by their mean and variance over the clause. So these are inputs here.

Convolutions of 8-bit numbers are done as multiplications of matrices, for which onnxruntime uses the
instructions made for it (AVX-512 VNNI and the like); its ConvInteger doesn't, and takes 2.5 times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from models.onnx_graph import Graph, Node, node

RATE_HZ = 24_000
FRAME_SAMPLES = 300
SOURCE_STEPS = 60  # of the source, a frame
_DURATIONS = b"/encoder/Clip_output_0"
_FEATURES = b"/decoder/decoder/generator/LeakyRelu_output_0"
_SOURCE = b"/decoder/decoder/generator/Concat_3_output_0"
_GENERATOR = b"/decoder/decoder/generator/"
_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Halves:
    """Three ONNX models. `front` takes `tokens`, `style` and `speed`; its outputs are `features`
    (1, channels, n), `source` (1, channels, 60 n + 1) and the tokens' durations in pairs of frames.
    `generator` makes sound of these and of the `moments`, pairs of a mean and a variance. `whole` makes the
    sound of a clause by its own moments, and tells them behind it."""

    front: bytes
    generator: bytes
    whole: bytes
    features: str
    source: str
    moments: tuple[tuple[str, str], ...]


def halves(model: bytes) -> Halves:
    """The ONNX `model` in two, and what the second needs. Raises ValueError if it isn't Kokoro's."""
    graph = Graph(model)
    if not {_DURATIONS, _FEATURES, _SOURCE} <= {name for each in graph.nodes for name in each.outputs}:
        raise ValueError("This ONNX model isn't built as Kokoro is.")
    _multiply(graph)
    given = [_FEATURES, _SOURCE]
    front = graph.model([*given, _DURATIONS])
    nodes = graph.nodes
    moments = _normalize(graph)
    generator = graph.model(graph.outputs, given=[*given, *chain(*moments)])
    graph.nodes = nodes
    return Halves(
        front=front,
        generator=generator,
        whole=graph.model([*graph.outputs, *chain(*moments)], given=given),
        features=_FEATURES.decode(),
        source=_SOURCE.decode(),
        moments=tuple((mean.decode(), variance.decode()) for mean, variance in moments),
    )


def _normalize(graph: Graph) -> list[tuple[bytes, bytes]]:
    """Let the generator's layers scale and shift, as their moments tell: two steps instead of six.

    Returns the names of the moments.
    """
    users = _users(graph)

    def user(made: Node, op: bytes) -> Node | None:
        return next((each for each in users[made.outputs[0]] if each.op == op), None)

    moments: list[tuple[bytes, bytes]] = []
    normalized: dict[bytes, list[Node]] = {}
    for mean in graph.nodes:
        if mean.op != b"ReduceMean" or not mean.outputs[0].startswith(_GENERATOR):
            continue
        chain_of = [mean]
        for op in (b"Sub", b"Mul", b"ReduceMean", b"Add", b"Sqrt", b"Div"):
            following = user(chain_of[-1], op)
            if following is None:
                break
            chain_of.append(following)
        if len(chain_of) < 7:  # it is itself a variance
            continue
        _, difference, _, variance, _, root, normal = chain_of
        moments.append((mean.outputs[0], variance.outputs[0]))
        for scaled in users[normal.outputs[0]]:
            (shifted,) = users[scaled.outputs[0]]
            made = shifted.outputs[0]
            scale, moved, shift, product = (
                made + end for end in (b"/scale", b"/moved", b"/shift", b"/product")
            )
            normalized[made] = [
                node(b"Div", [_other(scaled, normal), root.outputs[0]], [scale]),
                node(b"Mul", [mean.outputs[0], scale], [moved]),
                node(b"Sub", [_other(shifted, scaled), moved], [shift]),
                node(b"Mul", [difference.inputs[0], scale], [product]),
                node(b"Add", [product, shift], [made]),
            ]
    graph.nodes = [new for each in graph.nodes for new in normalized.get(each.outputs[0], [each])]
    return moments


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
