"""Learns an adapter (LoRA) for a bundled language model from lessons.

    python train.py MODEL.gguf LESSONS.jsonl ADAPTER.gguf

Wants PyTorch and gguf, and nothing else of offhook, so that it runs on any machine with a GPU: minutes there,
an hour or two on two cores, with adapters in the upper half of the layers alone (--first). The weights stay
as they are quantized: what the adapter learns makes up for that too.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from torch import Tensor, nn
from torch.nn import functional as F

LINEAR = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
ADAPTED = ("attn_q", "attn_v", "attn_output", "ffn_up", "ffn_down")


class Linear(nn.Module):
    """A layer that stays as it is."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Adapted(Linear):
    """The same, and the adapter's two matrices beside it."""

    def __init__(self, weight: Tensor, bias: Tensor | None, rank: int, alpha: float) -> None:
        super().__init__(weight, bias)
        out, into = weight.shape
        self.scale = alpha / rank
        self.a = nn.Parameter(torch.randn(rank, into, device=weight.device) / math.sqrt(into))
        self.b = nn.Parameter(torch.zeros(out, rank, device=weight.device))

    def forward(self, x: Tensor) -> Tensor:
        low = F.linear(x, self.a.to(x.dtype)).flatten(0, -2)
        as_it_is = F.linear(x, self.weight, self.bias)
        b = (self.b * self.scale).to(x.dtype)
        return torch.addmm(as_it_is.flatten(0, -2), low, b.T).view(as_it_is.shape)


class Layer(nn.Module):
    def __init__(self, model: Model, number: int) -> None:
        super().__init__()
        self.of = (model.heads, model.kv_heads, model.pairs)
        get = lambda name: model.tensors[f"blk.{number}.{name}"]  # noqa: E731
        for name in LINEAR:
            bias = model.tensors.get(f"blk.{number}.{name}.bias")
            weight = get(f"{name}.weight")
            adapted = name in ADAPTED and number >= model.first
            setattr(
                self,
                name,
                Adapted(weight, bias, model.rank, model.alpha) if adapted else Linear(weight, bias),
            )
        self.register_buffer("attn_norm", get("attn_norm.weight"), persistent=False)
        self.register_buffer("ffn_norm", get("ffn_norm.weight"), persistent=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, epsilon: float) -> Tensor:
        batch, length, width = x.shape
        heads, kv_heads, pairs = self.of
        size = width // heads
        h = F.rms_norm(x, (width,), self.attn_norm, epsilon)
        q = self.attn_q(h).view(batch, length, heads, size).transpose(1, 2)
        k = self.attn_k(h).view(batch, length, kv_heads, size).transpose(1, 2)
        v = self.attn_v(h).view(batch, length, kv_heads, size).transpose(1, 2)
        q, k = _turned(q, *turn, pairs=pairs), _turned(k, *turn, pairs=pairs)
        k, v = (one.repeat_interleave(heads // kv_heads, dim=1) for one in (k, v))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.attn_output(seen.transpose(1, 2).reshape(batch, length, width))
        h = F.rms_norm(x, (width,), self.ffn_norm, epsilon)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


def _turned(x: Tensor, cos: Tensor, sin: Tensor, *, pairs: bool) -> Tensor:
    """Rotated by its place: each two neighbours, or each with the one half a head further."""
    if pairs:
        first, second = x[..., 0::2], x[..., 1::2]
        return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(-2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Model(nn.Module):
    """Qwen2 or Llama as a GGUF file has it, with adapters in the layers from `first` on."""

    def __init__(
        self, file: Path, device: str, dtype: torch.dtype, rank: int, alpha: float, first: int
    ) -> None:
        super().__init__()
        reader = gguf.GGUFReader(str(file))
        self.kind = reader.fields["general.architecture"].contents()
        self.pairs = self.kind == "llama"
        said = lambda key: reader.fields[f"{self.kind}.{key}"].contents()  # noqa: E731
        self.heads, self.kv_heads = said("attention.head_count"), said("attention.head_count_kv")
        self.base, self.epsilon = said("rope.freq_base"), said("attention.layer_norm_rms_epsilon")
        self.rank, self.alpha, self.first = rank, alpha, first
        with ThreadPoolExecutor() as pool:
            arrays = pool.map(lambda one: dequantize(one.data, one.tensor_type), reader.tensors)
            self.tensors = {
                one.name: torch.from_numpy(np.array(array)).to(device, dtype)
                for one, array in zip(reader.tensors, arrays, strict=True)
            }
        self.layers = nn.ModuleList(Layer(self, number) for number in range(said("block_count")))
        self.words, self.norm = self.tensors["token_embd.weight"], self.tensors["output_norm.weight"]
        self.output = self.tensors.get("output.weight", self.words)

    def forward(self, ids: Tensor, places: Tensor, mask: Tensor) -> Tensor:
        """The last layer's states, [batch, length, width]; `mask` is [batch, 1, length, length]."""
        size = self.words.shape[1] // self.heads
        speeds = self.base ** (-torch.arange(0, size, 2, device=ids.device).float() / size)
        angles = places[:, None, :, None].float() * speeds
        turn = angles.cos().to(self.words.dtype), angles.sin().to(self.words.dtype)
        x = F.embedding(ids, self.words)
        with torch.no_grad():
            for layer in self.layers[: self.first]:
                x = layer(x, turn, mask, self.epsilon)
        for layer in self.layers[self.first :]:
            x = layer(x, turn, mask, self.epsilon)
        return F.rms_norm(x, (x.shape[-1],), self.norm, self.epsilon)

    def adopt(self, file: Path) -> None:
        """Begin with what another adapter, of the same layers and rank, has learned."""
        reader = gguf.GGUFReader(str(file))
        learned = {one.name: torch.from_numpy(np.array(one.data)) for one in reader.tensors}
        share = reader.fields[gguf.Keys.Adapter.LORA_ALPHA].contents() / self.alpha
        with torch.no_grad():
            for name, tensor in self.adapter():
                tensor.copy_(learned.pop(name) * (share if name.endswith("lora_b") else 1.0))
        if learned:
            raise SystemExit(f"{file} adapts what isn't adapted here: {next(iter(learned))}")

    def adapter(self) -> Iterator[tuple[str, Tensor]]:
        for number, layer in enumerate(self.layers[self.first :], self.first):
            for name in ADAPTED:
                one = getattr(layer, name)
                yield f"blk.{number}.{name}.weight.lora_a", one.a
                yield f"blk.{number}.{name}.weight.lora_b", one.b


@dataclass
class Lesson:
    """As lessons.py writes it, which isn't here where there is nothing else of offhook."""

    kind: str
    language: str
    beginning: list[int]
    branches: list[list[int]]
    taught: list[list[bool]]

    @property
    def length(self) -> int:
        return len(self.beginning) + sum(map(len, self.branches))

    def tensors(self, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ids, places, which branch each token is of (0: the beginning, -1: none), and what comes next where
        that is taught (-1 elsewhere)."""
        ids, places, branch, following = (torch.full((length,), fill) for fill in (0, 0, -1, -1))
        first = len(self.beginning)
        ids[:first] = torch.tensor(self.beginning)
        places[:first] = torch.arange(first)
        branch[:first] = 0
        at = first
        for number, (own, taught) in enumerate(zip(self.branches, self.taught, strict=True), 1):
            span = slice(at, at + len(own))
            ids[span] = torch.tensor(own)
            places[span] = torch.arange(first, first + len(own))
            branch[span] = number
            learned = torch.where(torch.tensor(taught), torch.tensor(own), -1)
            following[at : at + len(own) - 1] = learned[1:]
            at += len(own)
        return ids, places, branch, following


@dataclass
class Batch:
    ids: Tensor
    places: Tensor
    mask: Tensor
    following: Tensor
    weight: Tensor

    @classmethod
    def of(cls, some: Sequence[Lesson], device: str, choice_weight: float) -> Batch:
        longest = -(-max(one.length for one in some) // 64) * 64
        columns = zip(*(one.tensors(longest) for one in some), strict=True)
        ids, places, branch, following = (torch.stack(column).to(device) for column in columns)
        causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        alike = branch[:, :, None] == branch[:, None, :]
        mask = (causal & (alike | (branch[:, None, :] == 0)))[:, None]
        weights = [choice_weight if one.kind == "choice" else 1.0 for one in some]
        weight = torch.tensor(weights, device=device)[:, None].expand(following.shape)
        return cls(ids, places, mask, following, weight)


def read(file: Path) -> list[Lesson]:
    return [Lesson(**json.loads(line)) for line in file.read_text().splitlines()]


def losses(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Of each token that is taught, and its weight."""
    states = model(batch.ids, batch.places, batch.mask)
    taught = batch.following >= 0
    logits = F.linear(states[taught], model.output).float()
    return F.cross_entropy(logits, batch.following[taught], reduction="none"), batch.weight[taught]


def batches(lessons: Sequence[Lesson], tokens: int, chance: random.Random) -> list[list[Lesson]]:
    """Of like length, none with more than so many tokens; in no order."""
    made: list[list[Lesson]] = [[]]
    for one in sorted(lessons, key=lambda one: (one.length, chance.random())):
        if made[-1] and (len(made[-1]) + 1) * one.length > tokens:
            made.append([])
        made[-1].append(one)
    chance.shuffle(made)
    return made


@torch.no_grad()
def judged(model: Model, lessons: Sequence[Lesson], device: str, tokens: int) -> dict[str, float]:
    """The mean loss of each kind."""
    sums: dict[str, list[float]] = {}
    for kind in sorted({f"{one.kind} {one.language}" for one in lessons}):
        of_kind = [one for one in lessons if f"{one.kind} {one.language}" == kind]
        for some in batches(of_kind, tokens, random.Random(0)):
            sums.setdefault(kind, []).extend(losses(model, Batch.of(some, device, 1.0))[0].tolist())
    return {kind: sum(all_) / len(all_) for kind, all_ in sums.items()}


def train(model: Model, lessons: Sequence[Lesson], held: Sequence[Lesson], told: argparse.Namespace) -> None:
    chance = random.Random(told.seed)
    torch.manual_seed(told.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=told.rate, weight_decay=told.decay, betas=(0.9, 0.98)
    )
    order = [some for _ in range(told.epochs) for some in batches(lessons, told.tokens, chance)]
    steps = len(order) // told.gather
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1, (step + 1) / (0.06 * steps)) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        ),
    )
    began = time.monotonic()
    shown: list[float] = []
    for step in range(steps):
        some = [
            Batch.of(one, told.device, told.choice_weight)
            for one in order[step * told.gather : (step + 1) * told.gather]
        ]
        total = sum(float(one.weight[one.following >= 0].sum()) for one in some)
        for batch in some:
            lost, weight = losses(model, batch)
            (lost * weight).sum().div(total).backward()
            shown.append(float(((lost * weight).sum() / weight.sum()).detach()))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        rate.step()
        if step % 10 == 9 or step == steps - 1:
            print(
                f"{step + 1}/{steps} {sum(shown) / len(shown):.4f} {time.monotonic() - began:.0f} s",
                flush=True,
            )
            shown.clear()
        if held and (step + 1) % max(1, steps // told.epochs) == 0:
            said = judged(model, held, told.device, told.tokens)
            print("held out:", " ".join(f"{kind} {loss:.3f}" for kind, loss in said.items()), flush=True)
        if told.save and step % told.save == told.save - 1:
            write(model, told.adapter, told.alpha * told.share)


def write(model: Model, file: Path, alpha: float) -> None:
    writer = gguf.GGUFWriter(str(file), model.kind)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for name, tensor in model.adapter():
        writer.add_tensor(name, tensor.detach().to(torch.float16).cpu().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("lessons", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--on", type=Path, help="an adapter to go on from: of the same --rank and --first")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--first", type=int, default=0, help="layer that is adapted")
    parser.add_argument("--alpha", type=float, default=32.0)
    parser.add_argument(
        "--share", type=float, default=1.0, help="of it that is used: less keeps more of what the model knew"
    )
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=12000, help="of a batch")
    parser.add_argument("--gather", type=int, default=1, help="batches of a step")
    parser.add_argument("--choice-weight", type=float, default=3.0)
    parser.add_argument("--held", type=Path, help="lessons that are held out")
    parser.add_argument(
        "--save", type=int, default=0, help="steps after which the adapter is written each time"
    )
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    taught = read(told.lessons)
    held = read(told.held) if told.held else []
    began = time.monotonic()
    torch.manual_seed(told.seed)
    model = Model(told.model, told.device, torch.bfloat16, told.rank, told.alpha, told.first)
    if told.on:
        model.adopt(told.on)
    tokens = sum(one.length for one in taught)
    print(f"loaded in {time.monotonic() - began:.0f} s; {len(taught)} lessons, {tokens} tokens", flush=True)
    if held:
        said = judged(model, held, told.device, told.tokens)
        print("held out:", " ".join(f"{kind} {loss:.3f}" for kind, loss in said.items()), flush=True)
    train(model, taught, held, told)
    write(model, told.adapter, told.alpha * told.share)


if __name__ == "__main__":
    main()
