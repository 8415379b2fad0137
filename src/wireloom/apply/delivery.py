"""Files too large for one script: sent piece by piece over the open connections, or fetched by machines."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from wireloom.apply.step import STEP_TIMEOUT, read_answer
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

PIECE = 8 * 1024 * 1024
"""Bytes that go with one script: what is sent again, at most, where a connection breaks."""

FETCH_TIMEOUT = 900.0
"""Seconds for a machine to fetch a release: 70 MB over a slow line."""

PIECE_TIMEOUT = 600.0
"""Seconds for one piece: all machines that lack it share the operator's line."""


class Payload(Protocol):
    """A file that is here. ``digest`` is its SHA-256 in hex."""

    @property
    def digest(self) -> str: ...  # noqa: D102  # the class says it
    @property
    def size(self) -> int: ...  # noqa: D102

    def read(self, start: int, length: int) -> bytes:
        """A piece of it. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that is to be at ``path`` on a machine: sent from here, or fetched from ``url``.

    ``version``: what it must say of itself when it is asked as k3s is; empty where it is nothing to ask.
    """

    path: str
    mode: int
    digest: str
    payload: Payload | None = None
    url: str = ""
    version: str = ""


Script = Callable[..., str]
"""What makes a script of calls of k3s.sh."""

Answers = dict[NodeName, Completed | TransportError]


async def deliver(
    crew: Crew,
    deliveries: Mapping[NodeName, Delivery],
    script: Script,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Answers:
    """Have each machine's file in its place; who has it already is left alone. The last answer of each.

    What is sent goes on where an earlier try was cut off.
    """
    found = await crew.run(
        {name: script(_call("wants", one, f"{one.mode:o}", one.version)) for name, one in deliveries.items()},
        timeout=STEP_TIMEOUT,
    )
    missing = {name: one for name, one in deliveries.items() if _have(found[name]) not in {None, "all"}}
    fetched = {name: one for name, one in missing.items() if one.payload is None}
    fetches = {name: script(_fetch(one), _finish(one)) for name, one in fetched.items()}
    answers = found | await crew.run(fetches, timeout=FETCH_TIMEOUT)
    for group in _gather((name, one) for name, one in missing.items() if one.payload is not None):
        answers |= await _send(crew, group, found, script, progress)
    return answers


def _have(answer: Completed | TransportError) -> str | None:
    good = isinstance(answer, Completed) and answer.status == 0
    return read_answer(answer).get("have", "0") if good else None


def _fetch(one: Delivery) -> str:
    return _call("fetch", one, one.url)


def _finish(one: Delivery) -> str:
    return _call("finish", one, f"{one.mode:o}", one.version)


def _call(function: str, one: Delivery, *arguments: str) -> str:
    """Archives of images are named by the user: blanks and worse may be in a path."""
    return " ".join([function, *map(shlex.quote, (one.path, one.digest, *arguments))])


def _gather(deliveries: Iterable[tuple[NodeName, Delivery]]) -> Iterator[dict[NodeName, Delivery]]:
    """Machines that get the same file get each piece at the same time: it is read once."""
    groups: dict[tuple[str, str], dict[NodeName, Delivery]] = {}
    for name, one in deliveries:
        groups.setdefault((one.path, one.digest), {})[name] = one
    return iter(groups.values())


async def _send(
    crew: Crew,
    group: Mapping[NodeName, Delivery],
    found: Answers,
    script: Script,
    progress: Callable[[str], None],
) -> Answers:
    """One file to the machines that lack it, from where each of them is."""
    one = next(iter(group.values()))
    payload = one.payload
    assert payload is not None  # noqa: S101  # the caller asks only for these
    reached = {name: min(int(_have(found[name]) or 0), payload.size) for name in group}
    # A piece that came half is sent again from its beginning.
    reached = {name: size if size == payload.size else size - size % PIECE for name, size in reached.items()}
    answers: Answers = {}
    for start in range(0, payload.size, PIECE):
        names = [name for name, size in reached.items() if size == start]
        if not names:
            continue
        progress(f"sending {one.path.rpartition('/')[2]}: {100 * start // payload.size} %")
        sent = await crew.run(
            dict.fromkeys(names, script(_call("grow", one, str(start)))),
            timeout=PIECE_TIMEOUT,
            data=payload.read(start, PIECE),
        )
        answers |= sent
        for name in names:
            answer = sent[name]
            good = isinstance(answer, Completed) and answer.status == 0
            reached[name] = min(start + PIECE, payload.size) if good else -1
    whole = [name for name, size in reached.items() if size == payload.size]
    return answers | await crew.run(dict.fromkeys(whole, script(_finish(one))), timeout=STEP_TIMEOUT)
