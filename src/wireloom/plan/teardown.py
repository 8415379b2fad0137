"""What is taken off a machine whose network goes: what wireloom has put there for this fleet."""

from collections.abc import Iterator
from dataclasses import dataclass

from wireloom.errors import Diagnostic
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import ConfigKind, GuardKind, KeyKind, NodeState
from wireloom.plan.filed import read_fences, read_guard
from wireloom.plan.plan import Command
from wireloom.plan.running import find_fences, remove_fence
from wireloom.preflight.machine import tell_garbled
from wireloom.preflight.ownership import is_our_link
from wireloom.render.desired import config_path, key_path
from wireloom.render.guard import REMOVE, TABLE
from wireloom.values import NodeName


@dataclass(frozen=True, slots=True)
class Teardown:
    """One machine's. ``commands``, each with what it takes away, are for when the interface is gone.

    ``fingerprint``: how the machine was seen; it must be so still.
    """

    name: NodeName
    fingerprint: str
    commands: tuple[tuple[str, Command], ...]


def whose_else(network: Network, state: NodeState) -> str:
    """Why what is there must not be touched; empty where it is this fleet's, or nothing is there."""
    interface = network.interface
    if state.garbled:
        return tell_garbled(state, interface)[0]
    if state.stamp is not None and state.stamp.fleet != network.fleet:
        return f"{interface} is the fleet `{state.stamp.fleet}`'s"
    if state.config.kind is ConfigKind.FOREIGN:
        return f"{config_path(interface)} is not wireloom's"
    if state.config.keyless and f" of the fleet {network.fleet}:" not in state.config.keyless.splitlines()[0]:
        return f"{config_path(interface)} is another fleet's"
    if state.link is not None and not is_our_link(network, state, state.link):
        return f"wireloom did not make {interface}"
    return ""


def plan_teardown(lock: Lock, state: NodeState) -> Teardown | None:
    """What is taken off a machine; None where nothing of the fleet is there.

    A key by itself may be kept for another interface of that name: it is the fleet's if the lock has it.
    """
    locked = lock.nodes.get(state.name)
    enrolled = state.public_key is not None and locked is not None and locked.public_key == state.public_key
    if state.stamp is None and state.config.kind is ConfigKind.ABSENT and not enrolled:
        return None
    return Teardown(state.name, state.fingerprint, tuple(_commands(state)))


def refuse_way(state: NodeState, interface: str) -> Iterator[Diagnostic]:
    """The operator's own way to a machine must not go with the network."""
    ranges = [address.network for address in state.link.addresses] if state.link else []
    if any(state.client in one for one in ranges if state.client is not None):
        hint = "reach it another way, by its public or private address, and run this again"
        yield Diagnostic(f"you come to it over {interface} itself", where=state.name, hint=hint)


def tell_key(network: Network, state: NodeState) -> str:
    """What is said of a machine with nothing of the fleet's but, perhaps, a key; empty where it has none."""
    there = state.key_kind is not KeyKind.ABSENT
    return f"{key_path(network.interface)} stays: the lock does not know it" if there else ""


def _commands(state: NodeState) -> Iterator[tuple[str, Command]]:
    """For what stays where an interface goes down, unless it is another fleet's of the same machine."""
    filed = state.config.keyless
    for prefix in find_fences(state.routes, read_fences(filed), alone=not state.others):
        yield f"route unreachable {prefix}", remove_fence(prefix)
    if state.guard is not GuardKind.ABSENT and (read_guard(filed) or not state.others):
        yield f"table {TABLE}", ("nft", REMOVE)
