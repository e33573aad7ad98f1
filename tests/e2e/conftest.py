"""Fixtures: one running system for the tests of a file, and a depot of its own for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import running
from tests.e2e.day import Day

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The running system for all tests of a file, each of which has a depot of its own and leaves every process running."""
    yield from running(tmp_path_factory.mktemp("stack"))


@pytest.fixture
def day(stack: Any) -> Iterator[Day]:
    """A depot with three drivers whose phones listen."""
    found = Day(stack, f"day-{next(NUMBERS)}")
    yield found
    refused = stack.settings.state / "refused"
    assert not refused.exists(), f"the checker refused a plan: {list(refused.iterdir())}"
    for phone in found.phones.values():
        phone.done.set()
