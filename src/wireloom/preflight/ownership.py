"""Rules about whose the files and the interface on a machine are, and how new they are."""

from collections.abc import Iterator

from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.stand_in import stand_in_fleet
from wireloom.observe.state import ConfigKind, KeyKind, LinkSeen, NodeState
from wireloom.preflight.finding import Check, Finding
from wireloom.render.desired import config_path, key_path
from wireloom.render.guard import TABLE, render_guard

WIREGUARD_KINDS = {"wireguard", "tun"}
"""What `ip -d` says of a link of the kernel's WireGuard, and of a userspace one."""


def check_ownership(network: Network, lock: Lock, state: NodeState) -> Iterator[Finding]:
    """What stands there is wireloom's, of this fleet, and not newer than the lock."""
    yield from _check_owner(network, state)
    yield from _check_others(network, state)
    yield from _check_key(network, state)
    yield from _check_generation(network, lock, state)


def _check_owner(network: Network, state: NodeState) -> Iterator[Finding]:
    interface, path = network.interface, config_path(network.interface)
    if state.config.kind is ConfigKind.FOREIGN:
        yield Finding(
            state.name,
            Check.OWNERSHIP,
            f"{path} is not wireloom's and is never overwritten",
            f"take it away there (wg-quick down {interface}; mv {path} {path}.old) or name another interface"
            " and another port than that one's",
        )
    elif state.link is not None and not _is_our_link(network, state, state.link):
        yield Finding(
            state.name,
            Check.OWNERSHIP,
            f"an interface {interface} is up that wireloom did not make",
            "name another interface under `underlay:`, and another port than that one's"
            if state.link.kind in WIREGUARD_KINDS
            else "it is no WireGuard: name another interface under `underlay:`",
        )


def _check_others(network: Network, state: NodeState) -> Iterator[Finding]:
    """Another interface of the same fleet has its port and its range; of another fleet, perhaps the guard."""
    for interface, other in state.others.items():
        if other.fleet == stand_in_fleet(network.fleet) and interface != network.relief:
            yield Finding(
                state.name,
                Check.OWNERSHIP,
                f"its keys are being rotated: packets may take {interface}",
                "`wireloom rotate` goes on with it",
            )
        elif other.fleet == network.fleet:
            yield Finding(
                state.name,
                Check.OWNERSHIP,
                f"this fleet is on {interface} there, and can't be moved to {network.interface}",
                f"write `interface: {interface}`; or take the old one away on every node first"
                ' (docs/files-on-a-node.md, "Taking a machine out")',
            )
        elif other.guarded and render_guard(network, state.name):
            yield _share_table(network, state, interface, other.fleet)


def _share_table(network: Network, state: NodeState, interface: str, fleet: str) -> Finding:
    """Both fleets want it: for their guards, or ours for another port, which takes its place for a while."""
    theirs = f"`guard: false` under `underlay:` in the file of `{fleet}`, and apply that first"
    if network.trusted is None:
        why, hint = "another port needs the table of that one's guard", f"write {theirs}"
    else:
        why, hint = (
            "a machine has one guard",
            f"write `guard: false` under `underlay:` in this file; or {theirs}",
        )
    return Finding(
        state.name,
        Check.OWNERSHIP,
        f"it is in the fleet `{fleet}`, too, on {interface}, and {why} (table {TABLE})",
        f"{hint}; or take the machine out of one of them",
    )


def _is_our_link(network: Network, state: NodeState, link: LinkSeen) -> bool:
    """WireGuard, and with our file; or the file is gone, but it has this node's key and this fleet's note."""
    if link.kind not in WIREGUARD_KINDS:
        return False
    if state.config.kind is not ConfigKind.ABSENT:
        return True
    noted = state.stamp is not None and state.stamp.fleet == network.fleet
    return noted and link.public_key == state.public_key


def _check_key(network: Network, state: NodeState) -> Iterator[Finding]:
    """Without wg nobody can say what is in the file."""
    if state.key_kind is KeyKind.BROKEN and "wg" in state.system.tools:
        yield Finding(
            state.name,
            Check.OWNERSHIP,
            f"{key_path(network.interface)} holds no WireGuard key",
            "restore it, or remove it there: the next apply makes a new one and tells the peers",
        )


def _check_generation(network: Network, lock: Lock, state: NodeState) -> Iterator[Finding]:
    stamp = state.stamp
    if stamp is None:
        return
    if stamp.fleet != network.fleet:
        yield Finding(
            state.name,
            Check.OWNERSHIP,
            f"this machine is in the fleet `{stamp.fleet}`, not in `{network.fleet}`",
            "take it out of one of them; two fleets on one machine need two interfaces",
        )
    elif not lock.generation:
        yield Finding(
            state.name,
            Check.GENERATION,
            f"it is at generation {stamp.generation}, and the lock knows of none",
            "get the fleet.lock of who applied it; where that is lost, `wireloom recover` makes it anew",
        )
    elif stamp.generation > lock.generation:
        yield Finding(
            state.name,
            Check.GENERATION,
            f"it is at generation {stamp.generation}, the lock knows {lock.generation}",
            "somebody applied from another checkout: get their fleet.yaml and fleet.lock first",
        )
    elif stamp.generation == lock.generation and stamp.network != lock.network:
        yield Finding(
            state.name,
            Check.GENERATION,
            f"its generation {stamp.generation} is another one than the lock's",
            "two checkouts applied the same number: get the other fleet.yaml and fleet.lock first",
        )
