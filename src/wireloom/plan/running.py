"""The running interface, wanted against seen: only the attributes that differ, by wg and ip.

Not ``wg syncconf``: it sends every endpoint and allowed IP again and costs packets of peers that did
not change. No peer is removed to be changed, no port is set that stands already.
"""

from collections.abc import Iterable, Iterator, Mapping

from wireloom.network.network import Peer
from wireloom.observe.state import LinkSeen, PeerSeen, RouteSeen
from wireloom.plan.plan import Action, Change, Command, Risk
from wireloom.render.desired import FENCE_METRIC, NodeDesired, key_path
from wireloom.render.wg_quick import KEEPER
from wireloom.values import Interface, Prefix, PublicKey


def plan_running(
    desired: NodeDesired,
    link: LinkSeen,
    filed: Mapping[PublicKey, PeerSeen],
    names: Mapping[PublicKey, str],
    *,
    together: bool,
) -> Iterator[Change]:
    """The changes that bring a running interface to what is wanted.

    ``filed`` are the peers as the node's present file has them: with the endpoint that is planned
    there already, a peer that is found at another of its addresses has roamed, and roaming is not undone.
    ``names`` tell whose a key was. ``together``: nodes with the present file don't understand those with the
    new one.
    """
    yield from _plan_port(desired, link, together=together)
    yield from _plan_mark(desired, link)
    yield from _plan_mtu(desired, link)
    yield from _plan_addresses(desired, link, together=together)
    yield from _plan_keeper(desired, link)
    yield from _plan_peers(desired, link, filed, names)


def plan_key(
    desired: NodeDesired, running: PublicKey | None, own: PublicKey | None, filed: PublicKey | None
) -> Iterator[Change]:
    """Give the interface the node's own key where it runs with none, or with another.

    One that its file has, too, can be brought back: until the change is confirmed, the file is the old one.
    """
    name = desired.interface
    if running != own:
        reason = f"it runs with {running}" if running else "it runs without one"
        do = (("wg", "set", name, "private-key", key_path(name)),)
        from_file = 'sed -n \'s/^PrivateKey = //p\' "$1" | wg set "$2" private-key /dev/stdin'
        known = running is not None and running == filed
        undo = (("sh", "-c", from_file, "sh", desired.config.path, name),) if known else ()
        yield Change(Action.UPDATE, f"key of {name}", reason, Risk.DISRUPTIVE, do, undo, together=True)


def _plan_port(desired: NodeDesired, link: LinkSeen, *, together: bool) -> Iterator[Change]:
    if link.port != desired.port:
        yield Change(
            Action.UPDATE,
            f"listen port of {desired.interface}",
            f"{link.port} → {desired.port}",
            Risk.DISRUPTIVE if together else Risk.BRIEF,
            (("wg", "set", desired.interface, "listen-port", str(desired.port)),),
            (("wg", "set", desired.interface, "listen-port", str(link.port)),),
            together=together,
        )


def _plan_mark(desired: NodeDesired, link: LinkSeen) -> Iterator[Change]:
    if link.fwmark:
        yield Change(
            Action.UPDATE,
            f"fwmark of {desired.interface}",
            f"{link.fwmark:#x} → off: a mark can lead packets past the routes",
            Risk.BRIEF,
            (("wg", "set", desired.interface, "fwmark", "0"),),
            (("wg", "set", desired.interface, "fwmark", f"{link.fwmark:#x}"),),
        )


def _plan_mtu(desired: NodeDesired, link: LinkSeen) -> Iterator[Change]:
    def set_mtu(mtu: int) -> tuple[Command, ...]:
        return (("ip", "link", "set", "dev", desired.interface, "mtu", str(mtu)),)

    if link.mtu != desired.mtu:
        reason = f"{link.mtu} → {desired.mtu}"
        target = f"mtu of {desired.interface}"
        yield Change(Action.UPDATE, target, reason, Risk.BRIEF, set_mtu(desired.mtu), set_mtu(link.mtu))
    if not link.up:
        switch = ("ip", "link", "set", "dev", desired.interface)
        target = f"interface {desired.interface}"
        yield Change(Action.UPDATE, target, "it is down", Risk.NONE, ((*switch, "up"),), ((*switch, "down"),))


def _plan_addresses(desired: NodeDesired, link: LinkSeen, *, together: bool) -> Iterator[Change]:
    """New addresses first: the kernel drops the connected route with the last address that carried it."""

    def put(address: Interface) -> Command:
        return ("ip", "address", "replace", str(address), "dev", desired.interface)

    def take(address: Interface, staying: Iterable[Interface]) -> tuple[Command, ...]:
        """The kernel may take others along: those that stay are put back."""
        delete = ("ip", "address", "del", str(address), "dev", desired.interface)
        return (delete, *(put(one) for one in staying if _is_taken_along(one, address)))

    for address in desired.addresses:
        if address not in link.addresses:
            yield Change(
                Action.CREATE,
                f"address {address}",
                "not on the interface",
                Risk.NONE,
                (put(address),),
                take(address, sorted(link.addresses, key=str)),
            )
    leaving = sorted(link.addresses - set(desired.addresses), key=str)
    for place, address in enumerate(leaving, 1):
        yield Change(
            Action.DELETE,
            f"address {address}",
            "not this node's in the lock",
            Risk.DISRUPTIVE,
            take(address, [*desired.addresses, *leaving[place:]]),
            (put(address),),
            together=together,
        )


def _plan_keeper(desired: NodeDesired, link: LinkSeen) -> Iterator[Change]:
    """The file sets it when the interface starts; one that was there before IPv6 was is told now."""

    def keep(value: int) -> tuple[Command, ...]:
        return (write_number(KEEPER.format(interface=desired.interface), value),)

    if link.keeper <= 0 and any(address.version == 6 for address in desired.addresses):
        reason = f"{link.keeper} → 1: IPv6 addresses would be lost when the link goes down"
        target = f"keep_addr_on_down of {desired.interface}"
        yield Change(Action.UPDATE, target, reason, Risk.NONE, keep(1), keep(link.keeper))


def write_number(path: str, value: int) -> Command:
    """The command that puts a number into a file of /proc."""
    return "sh", "-c", 'echo "$1" >"$2"', "sh", str(value), path


def _is_taken_along(address: Interface, removed: Interface) -> bool:
    """Whether removing one address of a link can remove another.

    In IPv4 the second address of a subnet goes with the first, unless promote_secondaries is set
    (Linux, ip-sysctl). In IPv6 an address is there once whatever its prefix: given again with another, it is
    not changed, and goes with the old one.
    """
    return address != removed and (address.ip == removed.ip or address.network == removed.network)


def _plan_peers(
    desired: NodeDesired, link: LinkSeen, filed: Mapping[PublicKey, PeerSeen], names: Mapping[PublicKey, str]
) -> Iterator[Change]:
    """Additions before removals. Adding a peer moves its AllowedIPs to it from whoever had them."""
    wanted = {peer.public_key: peer for peer in desired.peers if peer.public_key is not None}
    for key, peer in wanted.items():
        seen = link.peers.get(key)
        if seen is None:
            arguments = _peer_arguments(peer, key)
            yield Change(
                Action.CREATE,
                f"peer {peer.name}",
                _introduce(peer),
                Risk.NONE,
                (("wg", "set", desired.interface, *arguments),),
                (("wg", "set", desired.interface, "peer", str(key), "remove"),),
            )
        else:
            yield from _plan_peer(desired.interface, peer, seen, filed.get(key))
    for key, seen in link.peers.items():
        if key not in wanted:
            whose = names.get(key, "unknown")
            yield Change(
                Action.DELETE,
                f"peer {whose}",
                f"key {key} is nobody's in the fleet",
                Risk.NONE,
                (("wg", "set", desired.interface, "peer", str(key), "remove"),),
                (("wg", "set", desired.interface, *_seen_arguments(seen)),),
            )


def _introduce(peer: Peer) -> str:
    way = f"dialled at {peer.endpoint}" if peer.endpoint else "waits to be dialled"
    return f"{', '.join(map(str, peer.allowed_ips))}, {way}"


def _peer_arguments(peer: Peer, key: PublicKey) -> Command:
    return (
        "peer",
        str(key),
        *(("endpoint", str(peer.endpoint)) if peer.endpoint else ()),
        *(("persistent-keepalive", str(peer.keepalive)) if peer.keepalive else ()),
        "allowed-ips",
        ",".join(map(str, peer.allowed_ips)),
    )


def _seen_arguments(seen: PeerSeen) -> Command:
    endpoint = ("endpoint", str(seen.endpoint)) if seen.endpoint else ()
    keepalive = ("persistent-keepalive", str(seen.keepalive)) if seen.keepalive else ()
    return ("peer", str(seen.public_key), *endpoint, *keepalive, "allowed-ips", _join(seen.allowed_ips))


def _join(prefixes: frozenset[Prefix]) -> str:
    return ",".join(sorted(map(str, prefixes)))


def _plan_peer(interface: str, peer: Peer, seen: PeerSeen, filed: PeerSeen | None) -> Iterator[Change]:
    """One peer that stays: an attribute is sent only if it differs."""
    was: list[str] = []
    do: list[str] = []
    undo: list[str] = []
    is_new = filed is None or filed.endpoint != peer.endpoint
    if peer.endpoint and peer.endpoint != seen.endpoint and (is_new or not peer.may_be_at(seen.endpoint)):
        was.append(f"endpoint {seen.endpoint or 'none'} → {peer.endpoint}")
        do += ["endpoint", str(peer.endpoint)]
        undo += ["endpoint", str(seen.endpoint)] if seen.endpoint else []
    if peer.keepalive != seen.keepalive:
        was.append(f"keepalive {seen.keepalive} → {peer.keepalive}")
        do += ["persistent-keepalive", str(peer.keepalive)]
        undo += ["persistent-keepalive", str(seen.keepalive)]
    if seen.preshared:  # and can't be brought back: a key is not looked at
        was.append("preshared key → none")
        do += ["preshared-key", "/dev/null"]
    if frozenset(peer.allowed_ips) != seen.allowed_ips:
        was.append(
            f"allowed IPs {_join(seen.allowed_ips) or 'none'} → {', '.join(map(str, peer.allowed_ips))}"
        )
        do += ["allowed-ips", ",".join(map(str, peer.allowed_ips))]
        undo += ["allowed-ips", _join(seen.allowed_ips)]
    if do:
        head = ("wg", "set", interface, "peer", str(peer.public_key))
        undone: tuple[Command, ...] = ((*head, *undo),) if undo else ()
        commands: tuple[Command, ...] = ((*head, *do),)
        if peer.keepalive == seen.keepalive > 0 and "endpoint" in do:
            # Off and on: it sends a packet now, so that the NAT lets the peer in by the new way.
            commands = (
                (*head, *do, "persistent-keepalive", "0"),
                (*head, "persistent-keepalive", str(peer.keepalive)),
            )
        yield Change(Action.UPDATE, f"peer {peer.name}", "; ".join(was), Risk.BRIEF, commands, undone)


def plan_fences(
    desired: NodeDesired, routes: frozenset[RouteSeen], filed: frozenset[RouteSeen], *, alone: bool
) -> Iterator[Change]:
    """The fence of every range, and none of a range that is given up: it may lie inside of a new one.

    Where the fleet is not ``alone`` on the machine, a fence that our file has not ``filed`` is another one's.
    """
    there = find_fences(routes)
    ours = there if alone else find_fences(filed)
    for old in there:
        if old in ours and old not in desired.fenced:
            target, reason = f"route unreachable {old}", "not a range of the fleet any more"
            take, put = remove_fence(old), _fence(old, "replace")
            yield Change(Action.DELETE, target, reason, Risk.NONE, (take,), (put,))
    for prefix in desired.fenced:
        if prefix not in there:
            target, reason = (
                f"route unreachable {prefix}",
                "packets would leave in clear while the interface is down",
            )
            put, take = _fence(prefix, "replace"), remove_fence(prefix)
            yield Change(Action.CREATE, target, reason, Risk.NONE, (put,), (take,))


def find_fences(routes: frozenset[RouteSeen]) -> list[Prefix]:
    """The ranges that are fenced, by these routes."""
    return sorted(
        {one.to for one in routes if (one.kind, one.metric) == ("unreachable", FENCE_METRIC)}, key=str
    )


def remove_fence(prefix: Prefix) -> Command:
    """The command that takes a fence away."""
    return _fence(prefix, "del")


def _fence(prefix: Prefix, verb: str) -> Command:
    return _ip_route(prefix, verb, "unreachable", str(prefix), "metric", str(FENCE_METRIC))


def plan_connected(desired: NodeDesired, link: LinkSeen, routes: frozenset[RouteSeen]) -> Iterator[Change]:
    """The connected route of an address, which somebody may have taken away by hand.

    The first address of a subnet, or a link that comes up, brings it along.
    """
    there = {address.network for address in link.addresses} if link.up else set()
    for address in desired.addresses:
        prefix = address.network
        if prefix in there and not any(
            one.to == prefix and one.device == desired.interface for one in routes
        ):
            source = ("scope", "link", "src", str(address.ip)) if prefix.version == 4 else ("metric", "256")
            route = (str(prefix), "dev", desired.interface, "proto", "kernel", *source)
            yield Change(
                Action.CREATE,
                f"route {prefix} dev {desired.interface}",
                "no route leads to the peers",
                Risk.NONE,
                (_ip_route(prefix, "replace", *route),),
                (_ip_route(prefix, "del", *route),),
            )


def _ip_route(prefix: Prefix, verb: str, *arguments: str) -> Command:
    return ("ip", f"-{prefix.version}", "route", verb, *arguments)
