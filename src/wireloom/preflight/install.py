"""Bring missing commands to a machine: which packages, by which script, and what its end means. Pure."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from wireloom.observe.state import NodeState, Seen
from wireloom.preflight.finding import Check, Finding
from wireloom.preflight.packages import Family, advise_copy, find_family
from wireloom.preflight.tools import find_installable
from wireloom.values import NodeName

SECONDS = 240
"""How long one command of a package manager may take; a slow mirror needs its time, and a dead one ends."""

TIMED_OUT = 124
"""The exit status of timeout(1) when the time was up."""

EXCERPT = 400
"""Characters of a package manager's own words that a finding quotes."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What one machine gets. ``state`` is how it was seen without."""

    state: NodeState
    family: Family
    packages: tuple[str, ...]

    @property
    def node(self) -> NodeName:
        """The machine's name."""
        return self.state.name

    @property
    def seconds(self) -> float:
        """How long its script may take, with some time for the connection."""
        return SECONDS * len(self.family.unattended) + 20.0

    def __str__(self) -> str:
        """As a person would type it."""
        return f"{self.family.install} {' '.join(self.packages)}"


def plan_installations(seen: Seen, *, underlay: bool = True) -> Iterator[Installation]:
    """What is missing and can be had, on every machine that answered with sense.

    ``underlay``: one is built there.
    """
    for state in seen.values():
        if isinstance(state, NodeState) and not state.garbled:
            family = find_family(state)
            packages = family.packages_of(find_installable(state, underlay=underlay)) if family else ()
            if family and packages:
                yield Installation(state, family, packages)


def install_script(installation: Installation) -> str:
    """Nobody is asked anything, no service is restarted for it, and no command waits for ever."""
    *before, last = installation.family.unattended
    lines = ["export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 ZYPP_LOCK_TIMEOUT=60"]
    lines += [_bounded(command) for command in (*before, (*last, *installation.packages))]
    return "\n".join([*lines, ""])


def _bounded(command: tuple[str, ...]) -> str:
    return f"timeout {SECONDS} {shlex.join(command)} >&2"


def judge_installation(installation: Installation, status: int, said: str) -> Finding | None:
    """What an installation that failed means; None for one that went well."""
    if status == 0:
        return None
    family, packages = installation.family, installation.packages
    words = " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())
    excerpt = f': "…{words[-EXCERPT:]}"' if len(words) > EXCERPT else f': "{words}"' if words else ""
    how = f"was not done within {SECONDS} s" if status == TIMED_OUT else f"failed (exit status {status})"
    return Finding(
        installation.node,
        Check.INSTALL,
        f"{installation} {how}{excerpt}",
        advise_copy(installation.state, family, packages),
    )
