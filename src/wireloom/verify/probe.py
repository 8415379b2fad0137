"""The test that runs on a node: pings over the underlay, and full packets beside the tunnel."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wireloom.network.network import Peer
from wireloom.network.topology import OVERHEAD_IPV4, OVERHEAD_IPV6
from wireloom.observe.probes import PEERS, RUNNING
from wireloom.values import Address

PARALLEL = 32
"""Pings that a node sends side by side."""

PINGS = 3
ICMP_HEADER = 8
IP_HEADER = {4: 20, 6: 40}
OVERHEAD = {4: OVERHEAD_IPV4, 6: OVERHEAD_IPV6}


@dataclass(frozen=True, slots=True)
class PingSeen:
    """What a series of pings came to. ``too_long``: the kernel refused the size; the MTU it named, or 0."""

    sent: int
    received: int
    milliseconds: float | None
    too_long: int | None


def probe_script(interface: str, mtu: int, peers: Sequence[Peer]) -> str:
    """The test of some peers from one node, as shell.

    It prints ``ping N TEXT`` for each underlay address of the peers, where TEXT begins with ``astray
    DEVICE`` if the machine would send to it by another device than ``interface``; ``full N TEXT`` and
    ``small N TEXT`` for their endpoints, dialled with packets as large as the tunnel's own and with small
    ones, then ``peer LINE`` with ``wg show dump``, preshared keys hidden, ``listed COUNT peers`` and ``now
    SECONDS seconds``. N is the peer's place in ``peers``; only addresses and numbers go into the script.
    """
    lines = [
        f"interface={interface}",
        RUNNING,
        "way() { ip -o route get \"$1\" 2>/dev/null | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p'; }",
        # What a ping that is too long has room for: iputils of 2024 and BusyBox don't say it.
        'room() { route=$(ip -o route get "$1" 2>/dev/null);'
        ' case $route in *" mtu "*) route=${route##* mtu }; route=${route#lock }; echo "${route%% *}" ;;'
        ' *) device=${route##* dev }; cat "/sys/class/net/${device%% *}/mtu" 2>/dev/null ;; esac; }',
        "probe() { said=$(ping -n -i 0.3 -W 2 $3 2>&1 | tr '\\n' ' ');"
        ' case $said in *mtu*) ;; *"essage too long"*) said="$said mtu=$(room "${3##* }")" ;; esac;'
        f' device=$(test "$1" != ping || way "${{3##* }}");'
        f' test "${{device:-{interface}}}" = {interface} || said="astray $device $said";'
        ' echo "$1 $2 $said"; }',
        # As large as the device on the way lets out: what the tunnel could be made for.
        'large() { device=$(way "$2"); read -r link 2>/dev/null <"/sys/class/net/$device/mtu" || return 0;'
        ' test "$link" -gt "$3" || return 0;'
        " said=$(ping -n -i 0.3 -W 2 -c 2 -M 'do' -s $((link - $4)) $2 2>&1 | tr '\\n' ' ');"
        ' echo "large $1 $link $said"; }',
    ]
    tests = [line for place, peer in enumerate(peers) for line in _tests(place, peer, mtu)]
    for start in range(0, len(tests), PARALLEL):
        lines += [f"{test} &" for test in tests[start : start + PARALLEL]] + ["wait"]
    lines.append(PEERS)
    # How many there are: nobody is a stranger only if all were read.
    lines.append('all=$(wg show "$interface" peers) && echo "listed $(echo "$all" | grep -c .) peers"')
    lines.append("date +'now %s seconds'")
    return "\n".join([*lines, ""])


def _tests(place: int, peer: Peer, mtu: int) -> Iterator[str]:
    for address in peer.addresses:
        yield f"probe ping {place} '-c {PINGS} {address}'"
    if peer.endpoint is not None:
        address = peer.endpoint.address
        size = full_payload(address, mtu)
        yield f"probe full {place} '-c 2 -M do -s {size} {address}'"
        yield f"probe small {place} '-c 2 -s 56 {address}'"
        headers = IP_HEADER[address.version] + ICMP_HEADER
        yield f"large {place} {address} {size + headers} {headers}"


def full_payload(address: Address, mtu: int) -> int:
    """Bytes of ICMP payload that make a packet as large as WireGuard's outer one for a full inner packet.

    Sent beside the tunnel with DF: inside, the outer packet would simply be fragmented.
    """
    return mtu + OVERHEAD[address.version] - IP_HEADER[address.version] - ICMP_HEADER


_COUNTS = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")
_TIMES = re.compile(r"= ([\d.]+)/([\d.]+)/")
_TOO_LONG = re.compile(r"message too long|frag needed|packet too big", re.IGNORECASE)
_MTU = re.compile(r"mtu ?[=:] ?(\d+)")


def parse_ping(text: str) -> PingSeen:
    """The summary of ping(8), iputils or busybox. Raises ValueError where there is none."""
    counts, times, too_long = _COUNTS.search(text), _TIMES.search(text), _TOO_LONG.search(text)
    if counts is None and too_long is None:
        raise ValueError(text.strip()[-120:] or "ping said nothing")
    return PingSeen(
        sent=int(counts[1]) if counts else 0,
        received=int(counts[2]) if counts else 0,
        milliseconds=float(times[2]) if times else None,
        too_long=min(map(int, _MTU.findall(text)), default=0) if too_long else None,
    )
