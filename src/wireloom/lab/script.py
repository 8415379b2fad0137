"""A lab plan as files: batches for ``ip``, rule sets for ``nft``, and lists that the lab's shell reads.

Nothing of a fleet ever becomes part of a shell script: the scripts are fixed, and these files are their
data. So there is nothing to quote, and one odd name can't change what is run.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from importlib.resources import files as resources

from wireloom.errors import UserError
from wireloom.lab.plan import Cable, Firewall, LabPlan, Namespace, Port, Role, Route
from wireloom.values import Address

SCRIPTS = ("init.sh", "machine.sh", "network.sh")

# What the files can carry without quoting. The fleet's own check is stricter; this one protects the lab
# from fleets that were made by hand.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_SYSCTLS = {
    # Packets come in where the way back does not lead: several private ranges, next hops that are
    # link-local. What the host has set for its own interfaces is inherited, hence every one by name.
    True: ("net/ipv4/conf/*/rp_filter 0", "net/ipv4/ip_forward 1", "net/ipv6/conf/all/forwarding 1"),
    False: ("net/ipv4/conf/*/rp_filter 2", "net/ipv4/ip_forward 0", "net/ipv6/conf/all/forwarding 0"),
}


def files(plan: LabPlan) -> Mapping[str, str]:
    """The files of a lab: path (relative to the lab's directory) → text, the fixed scripts among them.

    ``namespaces`` and ``links`` are batches for ``ip``; ``machines`` has a name and an ssh port per line;
    ``networks/NAMESPACE/`` holds what happens inside of one: ``sysctl``, ``ip`` and, on a router, ``nft``.
    """
    _refuse_odd_words(plan)
    text = {name: resources("wireloom.lab").joinpath(name).read_text("utf-8") for name in SCRIPTS}
    text["namespaces"] = _lines(f"netns add {one.name}" for one in plan.namespaces)
    text["links"] = _lines(_cable(one) for one in plan.cables)
    text["machines"] = _lines(f"{one.node} {one.ssh_port}" for one in plan.machines.values())
    text["authorized_keys"] = f"{plan.operator_key}\n"
    for one in plan.namespaces:
        text[f"networks/{one.name}/sysctl"] = _lines(_SYSCTLS[one.role in (Role.ROUTER, Role.INTERNET)])
        text[f"networks/{one.name}/ip"] = _lines(_inside(one))
        if one.firewall:
            text[f"networks/{one.name}/nft"] = _lines(_rules(one.firewall))
    return text


def digest(text: Mapping[str, str]) -> str:
    """What tells two labs apart: a SHA-256 over all their files, in hexadecimal."""
    total = sha256()
    for path in sorted(text):
        total.update(f"{path}\0{text[path]}\0".encode())
    return total.hexdigest()


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _refuse_odd_words(plan: LabPlan) -> None:
    words = {plan.name, *plan.machines, *(one.name for one in plan.namespaces)}
    odd = sorted(word for word in words if not _WORD.fullmatch(word))
    if odd:
        raise UserError.one(
            f"no lab can be made with the name {odd[0]!r}",
            hint="names are letters, digits, dots, dashes and underscores, a letter or digit first",
        )


def _cable(cable: Cable) -> str:
    (left_namespace, left), (right_namespace, right) = cable.left, cable.right
    return f"link add {left} netns {left_namespace} type veth peer name {right} netns {right_namespace}"


def _inside(namespace: Namespace) -> Iterator[str]:
    """The batch for the inside of a namespace: interfaces with their addresses, then routes."""
    for port in sorted(namespace.ports, key=lambda one: not one.is_bridge):
        yield from _port(port)
    for route in namespace.routes:
        yield _route(route)


def _port(port: Port) -> Iterator[str]:
    if port.is_bridge:
        # Without snooping, or neighbour discovery waits for a multicast querier that is not there.
        yield f"link add {port.name} type bridge mcast_snooping 0"
    if port.bridge:
        yield f"link set dev {port.name} master {port.bridge}"
    if port.name != "lo":
        # Addresses are all given by the plan: none made up by the kernel, none waited for (DAD).
        yield f"link set dev {port.name} addrgenmode none"
    for own in port.addresses:
        nodad = " nodad" if own.version == 6 else ""
        broadcast = " broadcast +" if own.version == 4 and own.network.prefixlen < 31 else ""
        yield f"address add {own}{broadcast} dev {port.name}{nodad}"
    yield f"link set dev {port.name} up"


def _route(route: Route) -> str:
    via = f" via {route.via}" if route.via else ""
    onlink = " onlink" if route.via else ""
    source = f" src {route.source}" if route.source else ""
    return f"route add {route.to}{via} dev {route.device}{onlink}{source}"


def _rules(wall: Firewall) -> Iterator[str]:
    """The rule set of a site's router; ``uplink``, ``lan`` and ``pub*`` are its interfaces."""
    yield "table inet lab {"
    yield "chain input {"
    yield "type filter hook input priority 0; policy accept"
    yield 'iifname "uplink" ct state established,related accept'
    yield 'iifname "uplink" meta l4proto { icmp, ipv6-icmp } accept'
    yield 'iifname "uplink" drop'
    yield "}"
    yield "chain forward {"
    yield "type filter hook forward priority 0; policy accept"
    yield "ct state established,related accept"
    yield from _match('iifname "uplink"', "daddr", wall.dialable, "accept")
    yield 'iifname "uplink" drop'
    yield from _match('oifname "uplink"', "saddr", (*wall.routable, *wall.masked), "accept")
    yield 'oifname "uplink" reject with icmpx type admin-prohibited'
    # A machine that is not on the private network has no way into it.
    yield 'iifname "pub*" oifname "lan" drop'
    yield "}"
    yield "chain postrouting {"
    yield "type nat hook postrouting priority 100; policy accept"
    for outside in wall.outside:
        family = "ip" if outside.version == 4 else "ip6"
        own = tuple(one for one in wall.masked if one.version == outside.version)
        yield from _match('oifname "uplink"', "saddr", own, f"snat {family} to {outside}")
    yield "}"
    yield "}"


def _match(where: str, field: str, addresses: Iterable[Address], verdict: str) -> Iterator[str]:
    """One rule per family that has addresses: an empty set is a syntax error in ``nft``."""
    for version, family in ((4, "ip"), (6, "ip6")):
        own = [str(one) for one in addresses if one.version == version]
        if own:
            yield f"{where} {family} {field} {{ {', '.join(own)} }} {verdict}"
