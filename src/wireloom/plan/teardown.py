"""What is taken off a machine whose network goes: what wireloom has put there for this fleet."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wireloom.errors import Diagnostic
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.stand_in import stand_in_fleet
from wireloom.observe.state import ConfigKind, GuardKind, KeyKind, LinkSeen, NodeState, Seen
from wireloom.plan.filed import read_fences, read_guard
from wireloom.plan.plan import Command
from wireloom.plan.running import find_fences, remove_fence
from wireloom.preflight.machine import tell_garbled
from wireloom.preflight.ownership import WIREGUARD_KINDS
from wireloom.render.desired import config_path, key_path
from wireloom.render.guard import REMOVE, TABLE, render_guard
from wireloom.values import Address, Interface, NodeName


@dataclass(frozen=True, slots=True)
class Teardown:
    """One machine's. ``commands``, each with what it takes away, are for when the interface is gone.

    ``fingerprint``: how the machine was seen; it must be so still.
    """

    fingerprint: str
    commands: tuple[tuple[str, Command], ...]


def find_obstacle(network: Network, lock: Lock, state: NodeState) -> Diagnostic | None:
    """Why a machine must not be touched: what is there is not this fleet's, or could not go whole."""
    what, hint = _whose_else(network, state) or _keeps(network, lock, state) or ("", "")
    return Diagnostic(what, where=state.name, hint=hint) if what else None


def plan_teardown(network: Network, lock: Lock, state: NodeState) -> Teardown | None:
    """What is taken off a machine; None where nothing of the fleet is there."""
    if not _is_there(lock, state):
        return None
    return Teardown(state.fingerprint, tuple(_commands(network, state)))


def refuse_way(network: Network, seen: Seen, going: Collection[NodeName]) -> Iterator[Diagnostic]:
    """The operator's own way to a machine must not go with the network: to one that goes, or through one."""
    owners = {one.ip: name for name in going for one in _interfaces(seen.get(name))}
    hint = "reach it another way, by its public or private address, and run this again"
    for name, state in seen.items():
        client = state.client if isinstance(state, NodeState) else None
        if client is None or not any(client in one.network for one in _interfaces(state)):
            continue
        if name in going:
            yield Diagnostic(f"you come to it over {network.interface} itself", where=name, hint=hint)
        elif client in owners:
            what = f"you come to it over {network.interface}, by way of {owners[client]}"
            yield Diagnostic(what, where=name, hint=hint)


def _interfaces(state: object) -> Collection[Interface]:
    """The addresses that the interface of a machine has, with their networks."""
    return state.link.addresses if isinstance(state, NodeState) and state.link else ()


def tell_key(network: Network, state: NodeState) -> str:
    """What is said of a machine with nothing of the fleet's but, perhaps, a key; empty where it has none."""
    there = state.key_kind is not KeyKind.ABSENT
    return f"{key_path(network.interface)} stays: the lock does not know it" if there else ""


def _is_there(lock: Lock, state: NodeState) -> bool:
    """A key by itself may be for another interface of that name: it is the fleet's if the lock has it."""
    locked = lock.nodes.get(state.name)
    enrolled = state.public_key is not None and locked is not None and locked.public_key == state.public_key
    runs = state.link is not None and _is_made_here(lock, state, state.link)
    return state.stamp is not None or state.config.kind is not ConfigKind.ABSENT or enrolled or runs


def _whose_else(network: Network, state: NodeState) -> tuple[str, str] | None:
    """What stands there is another one's, as it says itself."""
    path = config_path(network.interface)
    head = state.config.keyless.partition("\n")[0]
    if state.garbled:
        return tell_garbled(state, network.interface)
    if state.others_of(stand_in_fleet(network.fleet)):
        return "its keys are being rotated", "`wireloom rotate` goes on with it; then run this again"
    if state.stamp is not None and state.stamp.fleet != network.fleet:
        return f"{network.interface} is the fleet `{state.stamp.fleet}`'s", ""
    if state.config.kind is ConfigKind.FOREIGN:
        return f"{path} is not wireloom's", ""
    if head and f" of the fleet {network.fleet}:" not in head:
        return f"{path} is another fleet's", ""
    return None


def _keeps(network: Network, lock: Lock, state: NodeState) -> tuple[str, str] | None:
    """The interface is not the one that wireloom made, or something of it would stay."""
    interface = network.interface
    if state.link is not None and not _is_made_here(lock, state, state.link):
        return f"wireloom did not make {interface}", "it has neither the node's key nor its address"
    if not _is_there(lock, state):
        for other, one in state.others.items():
            if one.fleet == network.fleet:
                return f"this fleet is on {other} there", f"write `interface: {other}` under `underlay:`"
    addresses = _addresses(lock, state.name)
    for seen in sorted(state.ground.addresses, key=str):
        if seen.address.ip in addresses and seen.device != interface:
            hint = f"give {seen.device} its name back, or take it away there"
            return f"{seen.address.ip} is on {seen.device}: was {interface} renamed?", hint
    if "nft" not in state.system.tools and _is_there(lock, state) and _loads_guard(network, state):
        return "nft not found: the guard can't be taken away", "install nftables there, and run this again"
    return None


def _loads_guard(network: Network, state: NodeState) -> bool:
    """Whether a guard that is there is this fleet's: by its file; where that is gone, by the fleet file."""
    if state.config.kind is ConfigKind.OURS:
        return read_guard(state.config.keyless) != ""
    return render_guard(network, state.name) != "" and not any(one.guarded for one in state.others.values())


def _is_made_here(lock: Lock, state: NodeState, link: LinkSeen) -> bool:
    """WireGuard, with the node's key or with its address."""
    locked = lock.nodes.get(state.name)
    keys = {state.public_key, state.config.public_key, locked.public_key if locked else None} - {None}
    addresses = _addresses(lock, state.name)
    known = link.public_key in keys or any(one.ip in addresses for one in link.addresses)
    return link.kind in WIREGUARD_KINDS and known


def _addresses(lock: Lock, name: NodeName) -> tuple[Address, ...]:
    locked = lock.nodes.get(name)
    return locked.addresses if locked else ()


def _commands(network: Network, state: NodeState) -> Iterator[tuple[str, Command]]:
    """For what stays where an interface goes down, unless it is somebody else's on the same machine."""
    ours = {*find_fences(read_fences(state.config.keyless)), *network.fenced}
    for prefix in find_fences(state.routes):
        if prefix in ours:
            yield f"route unreachable {prefix}", remove_fence(prefix)
    if state.guard is not GuardKind.ABSENT and (not state.others or _loads_guard(network, state)):
        yield f"table {TABLE}", ("nft", REMOVE)
