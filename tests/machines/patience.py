"""Waiting for a condition, within bounds."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_for(
    look: Callable[[], Answer | None], what: Callable[[], str], *, seconds: float = 30.0, pause: float = 0.05
) -> Answer:
    """Look again and again until the answer is true; the answer. Fails with ``what`` when the time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what()}"
        time.sleep(pause)
    return answer
