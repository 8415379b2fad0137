"""The text that each step of apply sends to a node: ``node.sh`` and one call."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, groupby

from wireloom.plan.plan import Command, NodePlan
from wireloom.render.desired import ConfigFile, NodeDesired
from wireloom.values import Address, PublicKey

HANDS = (files(__package__) / "node.sh").read_text(encoding="utf-8")

PEERS_PER_COMMAND = 200
"""`wg set` takes many peers at once; this many stay far below the kernel's limit on arguments."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A peer that must answer before a change is confirmed.

    With ``fresh_key`` a handshake with that key must be newer than the change, too.
    """

    address: Address
    fresh_key: PublicKey | None

    def __str__(self) -> str:
        """``address,key`` as ``prove`` takes it."""
        return f"{self.address},{self.fresh_key or ''}"


def make_key_script(interface: str) -> str:
    """Make a key where there is none, and answer with the public one."""
    return _script(interface, "make_key")


def stage_script(desired: NodeDesired, plan: NodePlan, public_key: PublicKey) -> str:
    """Write and check the files that the plan has for this node; nothing of it is live."""
    config = plan.config or desired.config
    lines = [*_text("config_head", config.head, config), *_text("config_body", config.body, config)]
    lines.append(_call("stage", config.digest, str(public_key)))
    if plan.first_config:
        lines.append(_call("bare", plan.first_config.digest, str(public_key)))
    return _script(desired.interface, *lines)


def commit_script(interface: str, plan: NodePlan) -> str:
    """Bring the interface up if need be and change the running state in place.

    Answers ``since``, the time before all of it: an interface that starts shakes hands at once.
    """
    lines = ["still_staged", "echo since=$(date +%s)"]
    lines += [_call("place", plan.unit.file.path, plan.unit.file.text)] if plan.unit else []
    # Enabling makes systemd read its units again, too.
    lines += ["enable_at_boot"] if plan.enable else ["reload_units"] if plan.unit else []
    lines += ["start"] if plan.start else []
    lines += [_call("run", *command) for command in gather_peers(plan.commands)]
    return _script(interface, *lines)


def unstage_script(interface: str) -> str:
    """Take the staged file away from a node whose running state was not touched."""
    return _script(interface, "unstage")


def undo_script(interface: str, plan: NodePlan, config: ConfigFile) -> str:
    """Bring the running state back and take the staged file away; nothing where that is in place already."""
    lines = [_call("undo", *command) for command in gather_peers(plan.inverse)]
    if plan.unit:
        path, before = plan.unit.file.path, plan.unit.before
        lines += [_call("displace", path) if before is None else _call("place", path, before), "reload_units"]
    return _script(interface, _call("unless_confirmed", config.digest), *lines, "unstage")


def prove_script(interface: str, seconds: int, since: int, neighbours: Sequence[Neighbour]) -> str:
    """Wait for the neighbours to answer; answers ``unproven`` for each that does not in time."""
    return _script(interface, _call("prove", str(seconds), str(since), *map(str, neighbours)))


def confirm_script(interface: str, config: ConfigFile, *, fleet: str, generation: int, network: str) -> str:
    """Put the staged file in place of the old one, and note the generation."""
    return _script(interface, _call("confirm", fleet, str(generation), network, config.digest))


def gather_peers(commands: Iterable[Command]) -> Iterator[Command]:
    """Join neighbouring ``wg set IF peer …`` commands into one process, in the same order."""
    for prefix, group in groupby(commands, key=_peer_prefix):
        if prefix is None:
            yield from group
            continue
        arguments = [command[len(prefix) :] for command in group]
        for start in range(0, len(arguments), PEERS_PER_COMMAND):
            yield (*prefix, *chain.from_iterable(arguments[start : start + PEERS_PER_COMMAND]))


def _peer_prefix(command: Command) -> Command | None:
    """``wg set IF`` where the command is about a peer."""
    return command[:3] if command[:2] == ("wg", "set") and command[3:4] == ("peer",) else None


def _script(interface: str, *lines: str) -> str:
    return "\n".join([f"interface={shlex.quote(interface)}", HANDS, "alone", *lines, ""])


def _call(function: str, *arguments: str) -> str:
    return " ".join([function, *map(shlex.quote, arguments)])


def _text(function: str, text: str, config: ConfigFile) -> Iterator[str]:
    """A shell function that prints a text. Its end mark holds a digest of the text: it can't be in it."""
    end = f"END_{config.digest}"
    yield f"{function}() {{"
    yield f"cat <<'{end}'"
    yield f"{text}{end}"
    yield "}"
