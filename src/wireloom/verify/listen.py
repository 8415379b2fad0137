"""Listen to what the machines send each other beside the tunnel; a few pings there are the control."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wireloom.network.network import Network
from wireloom.transport.crew import Crew
from wireloom.values import Endpoint, NodeName
from wireloom.verify.audit import (
    Listener,
    audit_filter,
    control_script,
    find_ssh_ports,
    judge_clear,
    judge_traffic,
    known_addresses,
    sort_traffic,
)
from wireloom.verify.canary import RUN_BYTES
from wireloom.verify.claim import Claim, Traffic
from wireloom.verify.watching import STEP_SECONDS, watching


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of listening."""

    claims: tuple[Claim, ...]
    traffic: tuple[Traffic, ...]


FoundAt = Mapping[NodeName, Endpoint | None]


async def listen(network: Network, crew: Crew, found_at: Mapping[NodeName, FoundAt], seconds: float) -> Heard:
    """Capture for so many seconds on each node in ``found_at``, which says where it finds its peers."""
    known = {
        name: addresses
        for name, found in found_at.items()
        if (addresses := known_addresses(network.peers(name), found))
    }
    controls = {name: control_script(found_at[name].values()) for name in known}
    filters = {name: audit_filter(addresses, network.stance.heard) for name, addresses in known.items()}
    run = secrets.token_hex(RUN_BYTES)
    async with watching(crew, run, network.interface, filters, seconds) as seen:
        await asyncio.gather(asyncio.sleep(seconds), crew.run(controls, timeout=STEP_SECONDS, aside=True))
    ssh_ports = find_ssh_ports(
        (around.open_ports, seen.programs.get(name, {})) for name, around in seen.around.items()
    )
    claims: list[Claim] = []
    heard: list[Traffic] = []
    for name, watch in seen.watches.items():
        programs = seen.programs.get(name, {})
        listener = Listener(name, network.interface, network.stance.heard, known[name], programs, ssh_ports)
        traffic = sort_traffic(listener, watch)
        heard += traffic
        sent = [one for one in traffic if one.source == name]
        claims += judge_traffic(name, watch, sent, seconds)
    claims += _from_the_unheard(heard, found_at)
    return Heard(tuple(claims), tuple(_once(heard)))


def _once(heard: Iterable[Traffic]) -> list[Traffic]:
    """Each traffic once, by its sender's own account where there is one."""
    told: dict[tuple[NodeName, NodeName, str], Traffic] = {}
    for one in heard:
        place = (one.source, one.target, str(one.kind))
        if place not in told or one.heard_by == one.source:
            told[place] = one
    return list(told.values())


def _from_the_unheard(heard: Iterable[Traffic], asked: Iterable[NodeName]) -> Iterable[Claim]:
    """What came in clear from a machine that could not be asked itself."""
    known = set(asked)
    return [judge_clear(one) for one in heard if one.source not in known and one.kind.in_clear]
