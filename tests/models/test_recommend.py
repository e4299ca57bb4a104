from __future__ import annotations

import pytest

from models.llm.recommend import fit, known

MODELS = {model.name: model for model in known()}


@pytest.mark.parametrize(
    ("name", "memory_mb", "gpu_mb", "cores", "where"),
    [
        ("qwen2.5:1.5b", 8000, None, 2, "cpu"),
        ("llama3.2:3b", 8000, None, 2, "no"),  # too slow beside the others
        ("llama3.2:3b", 8000, None, 8, "cpu"),
        ("qwen2.5:7b", 64000, None, 32, "no"),  # too slow without a GPU
        ("qwen2.5:7b", 8000, 24000, 4, "gpu"),
        ("qwen2.5:7b", 8000, 4000, 4, "no"),
        ("qwen2.5:1.5b", 8000, 500, 4, "cpu"),
        ("qwen2.5:1.5b", 900, None, 8, "no"),
        ("qwen2.5:1.5b", None, None, 8, "cpu"),  # nobody says how much there is
    ],
)
def test_where_a_model_fits(
    name: str, memory_mb: float | None, gpu_mb: float | None, cores: int, where: str
) -> None:
    model = MODELS[name]
    found, why = fit(model, num_ctx=4096, calls=4, memory_mb=memory_mb, gpu_mb=gpu_mb, cores=cores)
    assert found == where
    assert why


def test_more_calls_take_more_memory() -> None:
    model = MODELS["llama3.2:3b"]
    few, many = (model.memory_mb(num_ctx=4096, calls=calls) for calls in (4, 20))
    assert many - few == 4 * 4096 * model.token_kb / 1024


def test_they_are_listed_from_the_smallest_on() -> None:
    sizes = [model.parameters_b for model in known()]
    assert sizes == sorted(sizes)
