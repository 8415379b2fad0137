"""The text that each step of apply sends to a node: wireloom's hands, and a few calls of them."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, takewhile

from wireloom.network.stand_in import stand_in_name
from wireloom.observe.parse import make_fingerprint
from wireloom.observe.probes import RUNNING
from wireloom.observe.shell import read_functions
from wireloom.plan.filed import read_guard
from wireloom.plan.plan import Command, NodePlan
from wireloom.plan.teardown import Teardown
from wireloom.render.desired import ConfigFile, NodeDesired, text_digest
from wireloom.render.unit import drop_in_path
from wireloom.render.wg_quick import MARK, SECTION
from wireloom.values import Address, PublicKey

LEASE = read_functions("wireloom.apply", "lease.sh")
HANDS = (
    RUNNING
    + read_functions("wireloom.apply", "node.sh")
    + LEASE
    + read_functions("wireloom.apply", "transaction.sh")
    + read_functions("wireloom.apply", "proof.sh")
)

TEARDOWN = read_functions("wireloom.apply", "teardown.sh")
ROTATION = read_functions("wireloom.apply", "rotation.sh")

NOTHING = make_fingerprint("", "")
"""Of a machine on which nothing of ours runs, or is noted."""

PEERS_PER_COMMAND = 200
"""`wg set` takes many peers at once; this many stay far below the kernel's limit on arguments."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A peer that must answer before a change is confirmed.

    With ``fresh_key`` a handshake with that key must be newer than the change, too.
    """

    address: Address
    fresh_key: PublicKey | None = None

    def __str__(self) -> str:
        """``address,key`` as proof.sh takes it."""
        return f"{self.address},{self.fresh_key or ''}"


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose hand it is on a node's interface: the id of one apply, who runs it, since when (ISO 8601)."""

    interface: str
    id: str
    who: str
    when: str

    def hold(self) -> str:
        """Have the machine for this apply."""
        return self._script("alone", self._hold)

    def stage(
        self,
        desired: NodeDesired,
        plan: NodePlan,
        public_key: PublicKey,
        *,
        note: "Note",
        heard: Sequence[Neighbour],
    ) -> str:
        """Have the machine; write and check the files that the plan has for it. Nothing of it is live.

        Answers ``heard`` for each neighbour that answers before the change.
        """
        config = plan.config or desired.config
        lines = [*_text("config_head", config.head), *_new_text("config_body", plan.filed, config.body)]
        lines += [
            *_text("note", f"{note.stamp(config)}apply={self.id}\n"),
            *_text("record", note.record(config)),
        ]
        lines += ["alone", self._hold]
        lines.append("still_nothing" if plan.fingerprint == NOTHING else _call("unchanged", plan.fingerprint))
        lines.append(_call("stage", text_digest(note.record(config) + config.keyless), str(public_key)))
        if plan.first_config:
            key_line = 1
            lines.append(_call("bare", str(plan.first_config.head.count("\n") + key_line), MARK))
        if heard:
            lines.append(_call("heard", *map(str, heard)))
        return self._script(*lines)

    def commit(self, plan: NodePlan, *, seconds: int) -> str:
        """Change the running state in place; it undoes itself in ``seconds`` unless it is confirmed.

        Answers ``since``, the time before all of it: an interface that starts shakes hands at once. It has no
        older handshakes.
        """
        lines = ["alone", _call("keep", self.id), "still_staged", _call("arm", self.id, str(seconds))]
        lines.append("echo since=1" if plan.start else "date +since=%s")
        lines += [_call("place", plan.unit.file.path, plan.unit.file.text)] if plan.unit else []
        lines += ["reload_units"] if plan.unit else []
        lines += _bring_up(plan)
        lines.append(_before(plan))
        lines += [_call("run", *command) for command in gather_peers(plan.commands)]
        lines.append(_call("committed", read_guard(plan.config.keyless) if plan.config else ""))
        undo = "\n".join(
            ["undo_running() {", ":", *_undo(plan), "}", f'take_back {shlex.quote(self.id)} "$1"']
        )
        return "\n".join(
            [
                f"interface={shlex.quote(self.interface)}",
                *_text("hands", f"interface={shlex.quote(self.interface)}\n{HANDS}"),
                *_text("what_undoes", f"{undo}\n"),
                'eval "$(hands)"',
                *lines,
                "",
            ]
        )

    def prove(self, seconds: int, since: int, neighbours: Sequence[Neighbour]) -> str:
        """Wait for the neighbours to answer; answers ``unproven`` for each that does not in time."""
        return self._script(
            _call("waits", self.id), _call("prove", str(seconds), str(since), *map(str, neighbours))
        )

    def ask(self, seconds: int, neighbours: Sequence[Neighbour]) -> str:
        """The same of a network that nobody changes; of a key, that there was a handshake with it at all."""
        return self._script(_call("prove", str(seconds), "1", *map(str, neighbours)))

    def nudge(self, peers: Sequence[Neighbour]) -> str:
        """Send each of them a packet by the interface, and wait for nothing: who can't dial, does."""
        return self._script(_call("provoke", *map(str, peers)))

    def keep(self) -> tuple[str, ...]:
        """Lines before others: these are not run on a machine that this apply has no more."""
        return f"interface={shlex.quote(self.interface)}", LEASE, _call("keep", self.id)

    def beat(self, seconds: int = 0) -> str:
        """Keep the machine. With ``seconds``, a committed change there waits that long from now."""
        lines = [f"interface={shlex.quote(self.interface)}", LEASE, _call("beat", self.id, str(seconds)), ""]
        return "\n".join(lines)

    def confirm(self, config: ConfigFile) -> str:
        """Put the staged file in place of the old one, and note the generation."""
        return self._script("alone", _call("confirm", self.id, config.digest))

    def withdraw(self) -> str:
        """Leave the machine as it was, however far this apply came there. Answers ``outcome``."""
        return self._script(_call("withdraw", self.id))

    def tear_down(self, teardown: Teardown) -> str:
        """Take the network off, with a line ``did`` for each thing. Nothing of it can be had back."""
        return self._script(
            TEARDOWN,
            "alone",
            _call("keep", self.id),
            _call("unchanged", teardown.fingerprint),
            "take_down",
            *(_call("take", what, *command) for what, command in teardown.commands),
            _call("erase", drop_in_path(self.interface), stand_in_name(self.interface)),
        )

    def rekey(self) -> str:
        """Make a new private key, which nothing runs with yet. Answers ``public_key``."""
        return self._script(ROTATION, "alone", _call("keep", self.id), "rekey")

    def is_rekeyed(self) -> str:
        """Answer ``rekeyed`` where the key is a new one, of a rotation that is not over."""
        return self._script(ROTATION, "is_rekeyed")

    def restore_key(self) -> str:
        """Give the key up that `rekey` has made."""
        return self._script(ROTATION, "alone", _call("keep", self.id), "restore_key")

    def end_rotation(self) -> str:
        """The key that `rekey` has made is the node's like any other."""
        return self._script(ROTATION, "alone", _call("keep", self.id), "end_rotation")

    def find_obstacles(self, device: str) -> str:
        """Answer ``link`` where the key file is one, and ``rule`` for each of a firewall that has to know."""
        return self._script(ROTATION, _call("find_obstacles", device))

    def find_strays(self, addresses: Sequence[Address]) -> str:
        """Answer ``stray`` for each of these that packets go to by another interface than this one."""
        return self._script(ROTATION, _call("find_strays", self.interface, *map(str, addresses)))

    @property
    def _hold(self) -> str:
        return _call("hold", self.id, self.who, self.when)

    def _script(self, *lines: str) -> str:
        return _script(self.interface, *lines)


@dataclass(frozen=True, slots=True)
class Note:
    """What a node keeps about a generation: whose it is, and, for its history, who made it and why.

    ``network`` is the digest of the whole network; ``when`` an ISO 8601 time; ``what`` a line for people.
    """

    fleet: str
    generation: int
    network: str
    who: str
    when: str
    what: str

    def stamp(self, config: ConfigFile) -> str:
        """The text of ``/var/lib/wireloom/IF.state``."""
        fields = {
            "fleet": self.fleet,
            "generation": self.generation,
            "network": self.network,
            "digest": config.digest,
        }
        return "".join(f"{name}={value}\n" for name, value in fields.items())

    def record(self, config: ConfigFile) -> str:
        """The head of a stored generation; its configuration, without the key, follows.

        Four lines, which `observe.history` reads.
        """
        fields = {"who": self.who, "when": self.when, "what": self.what, "digest": config.digest}
        return "".join(f"# {name}: {value}\n" for name, value in fields.items())


def make_key_script(interface: str) -> str:
    """Make a key where there is none, and answer with the public one."""
    return _script(interface, "alone", "make_key")


def _script(interface: str, *lines: str) -> str:
    return "\n".join([f"interface={shlex.quote(interface)}", HANDS, *lines, ""])


def _bring_up(plan: NodePlan) -> Iterator[str]:
    """Now, and at boot."""
    if plan.start:
        yield "start enable" if plan.enable else "start"
    elif plan.enable:
        yield "enable_at_boot"


def _before(plan: NodePlan) -> str:
    """What tells on the node whether the change is undone; see `before` in transaction.sh."""
    if not plan.start:
        return "before seen"
    bare = plan.first_config and all(_peer_prefix(command) for command in plan.commands)
    return "before bare" if bare else "before started"


def _undo(plan: NodePlan) -> Iterator[str]:
    yield from (_call("undo", *command) for command in gather_peers(plan.inverse))
    if plan.unit:
        path, before = plan.unit.file.path, plan.unit.before
        yield _call("displace", path) if before is None else _call("place", path, before)
        yield "reload_units"


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


def _call(function: str, *arguments: str) -> str:
    return " ".join([function, *map(shlex.quote, arguments)])


def _text(function: str, text: str) -> Iterator[str]:
    """A shell function that prints a text."""
    yield from (f"{function}() {{", *_print(text), "}")


def _new_text(function: str, old: str, new: str) -> Iterator[str]:
    """A shell function that prints the end of a file anew, without what stays at both ends of it.

    ``old`` is the present file without its key line, empty where it is not known. One node more, or less, is
    a few lines for each of the others, however many they are.
    """
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    tail = _count_alike(reversed(before), reversed(after))
    body = old.find(SECTION)
    first = len(old[:body].splitlines()) if body >= 0 else len(before)
    head = _count_alike(before[first:], after[: len(after) - tail])
    yield f"{function}() {{"
    if head:
        yield f"kept {first + 1} {first + head}"
    yield from _print("".join(after[head : len(after) - tail]))
    if tail:
        yield f"kept {len(before) - tail + 1} {len(before)}"
    yield "}"


def _count_alike(some: Iterable[str], others: Iterable[str]) -> int:
    """How many are the same, from the first on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(some, others, strict=False)))


def _print(text: str) -> Iterator[str]:
    """Shell that prints a text, without a process for it."""
    yield f"printf %s {shlex.quote(text)}"
