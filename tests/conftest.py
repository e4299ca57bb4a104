"""What runs beside what, where pytest has two workers (`-n 2 --dist loadgroup`)."""

import pytest

REAL = ("models", "peers", "netns")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs real models and peers takes turns; the rest goes on beside it.

    Those whose calls are timed by a person's patience come last, when the rest is done.
    """
    for item in items:
        if any(item.get_closest_marker(name) for name in REAL):
            item.add_marker(pytest.mark.xdist_group("real"))
    items.sort(key=lambda item: (item.get_closest_marker("xdist_group") is None, _talks(item)))


def _talks(item: pytest.Item) -> bool:
    return item.path.parent.name in ("e2e", "transports")
