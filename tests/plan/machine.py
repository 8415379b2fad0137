"""A machine that exists in memory: what ``wg``, ``ip`` and ``wg-quick`` do to one, and what the probes see.

Its rules are Linux's, the unpleasant ones included: an allowed IP belongs to one peer and moves to who asked
last; in IPv4 the second address of a subnet goes with the first; in IPv6 an address is there once, whatever
its prefix, and goes with a link that goes down, unless it is kept; an address brings its connected route.
``test_kernel.py`` holds them against the real thing.
"""

import re
import shlex
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface, ip_network
from itertools import pairwise

from wireloom.observe.state import (
    SECRET,
    Access,
    ConfigKind,
    ConfigSeen,
    GroundSeen,
    GuardKind,
    KeyKind,
    LinkSeen,
    NodeState,
    PeerSeen,
    RouteSeen,
    Stamp,
    SystemSeen,
)
from wireloom.plan.filed import read_guard
from wireloom.plan.plan import Command, NodePlan
from wireloom.preflight.tools import REQUIRED, WANTED
from wireloom.render.desired import ConfigFile
from wireloom.render.guard import REMOVE
from wireloom.render.wg_quick import KEEPER, KEEPER_LINE
from wireloom.values import Endpoint, Interface, NodeName, Prefix, PublicKey

TOOLS = frozenset([*REQUIRED, *WANTED, "apt-get"])
DEBIAN = SystemSeen("Debian GNU/Linux 12", "6.1.0", "x86_64", True, 1.76e9, TOOLS, True)
INTERFACE = "wg0"
FROM_FILE = 'sed -n \'s/^PrivateKey = //p\' "$1" | wg set "$2" private-key /dev/stdin'


class CommandFailed(Exception):
    """What the real command would not have done either."""


@dataclass
class Link:
    kind: str = "wireguard"
    up: bool = True
    mtu: int = 1420
    addresses: list[Interface] = field(default_factory=list)
    key: PublicKey | None = None
    port: int = 0
    fwmark: int = 0
    peers: dict[PublicKey, PeerSeen] = field(default_factory=dict)
    keeper: int = 0


@dataclass
class Machine:
    name: NodeName
    key: PublicKey | None = None
    key_access: Access = SECRET
    config: ConfigSeen = field(default_factory=lambda: ConfigSeen(ConfigKind.ABSENT))
    stamp: Stamp | None = None
    link: Link | None = None
    routes: set[RouteSeen] = field(default_factory=set)
    enabled: bool = False
    guard: str | None = None
    drop_in: str | None = None

    def seen(self) -> NodeState:
        link = self.link and LinkSeen(
            kind=self.link.kind,
            up=self.link.up,
            mtu=self.link.mtu,
            addresses=frozenset(self.link.addresses),
            public_key=self.link.key,
            port=self.link.port,
            fwmark=self.link.fwmark,
            peers=dict(self.link.peers),
            keeper=self.link.keeper,
        )
        return NodeState(
            name=self.name,
            system=DEBIAN,
            key_kind=KeyKind.GOOD if self.key else KeyKind.ABSENT,
            public_key=self.key,
            key_access=self.key_access if self.key else Access(),
            config=self.config,
            stamp=self.stamp,
            link=link,
            routes=frozenset(self.routes),
            enabled=self.enabled,
            guard=self._guard_kind(),
            drop_in=self.drop_in,
            ground=GroundSeen(families=("debian",)),
        )

    def _guard_kind(self) -> GuardKind:
        if self.guard is None:
            return GuardKind.ABSENT
        return GuardKind.AS_FILED if self.guard == read_guard(self.config.keyless) else GuardKind.OTHER

    # ---- what apply does

    def make_key(self, key: PublicKey) -> None:
        self.key, self.key_access = key, SECRET

    def carry_out(self, plan: NodePlan, *, generation: int, network: str, fleet: str = "shop") -> None:
        """The steps of apply that go well: first file, unit, start, commands, confirmed file and note."""
        if not plan.changes:
            return
        if plan.first_config:
            self._put(plan.first_config)
        if plan.unit:
            assert plan.unit.before == self.drop_in
            self.drop_in = plan.unit.file.text
        self.enabled = self.enabled or plan.enable
        if plan.start:
            self.start()
        for command in plan.commands:
            self.run(command)
        if plan.config:
            self._put(plan.config)
            self.stamp = Stamp(fleet, generation, network, plan.config.digest)

    def _put(self, config: ConfigFile) -> None:
        self.config = ConfigSeen(ConfigKind.OURS, config.keyless, SECRET, self.key is not None, self.key)

    def begin(self, config: ConfigFile) -> None:
        """Generation 0."""
        self._put(config)
        self.start()

    def start(self) -> None:
        """``wg-quick up``, unless the interface is there already."""
        if self.link is not None:
            return
        if self.config.has_key and self.config.public_key is None:
            raise CommandFailed("Key is not the correct length or format")
        interface, *peers = self.config.keyless.split("\n[Peer]\n")
        options = dict(re.findall(r"^(\w+) = (.*)$", interface, re.MULTILINE))
        self.link = Link(
            mtu=int(options["MTU"]),
            port=int(options["ListenPort"]),
            key=self.config.public_key if self.config.has_key else None,
        )
        for hook in re.findall(r"^PreUp = (.*)$", interface, re.MULTILINE):
            self.run(tuple(shlex.split(hook)))
        for text in peers:
            peer = dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))
            words = ["peer", peer["PublicKey"], "allowed-ips", peer["AllowedIPs"].replace(" ", "")]
            words += ["endpoint", peer["Endpoint"]] if "Endpoint" in peer else []
            words += ["persistent-keepalive", peer.get("PersistentKeepalive", "0")]
            self.run(("wg", "set", INTERFACE, *words))
        for address in options["Address"].split(", "):
            self.run(("ip", "address", "replace", address, "dev", INTERFACE))
        self.link.keeper = int(KEEPER_LINE in interface)

    # ---- commands

    def run(self, command: Command) -> None:
        match command:
            case ("wg", "set", interface, *words) if interface == INTERFACE:
                self._wg_set(words)
            case ("ip", "address", verb, address, "dev", interface) if interface == INTERFACE:
                self._ip_address(verb, ip_interface(address))
            case ("ip", "link", "set", "dev", interface, *words) if interface == INTERFACE:
                self._ip_link(words)
            case ("ip", "-4" | "-6", "route", verb, *words) | ("ip", "route", verb, *words):
                self._ip_route(verb, words)
            case ("nft", script):
                self.guard = None if script == REMOVE else script
            case ("sh", "-c", 'echo "$1" >"$2"', "sh", value, path) if path == KEEPER.format(
                interface=INTERFACE
            ):
                assert self.link is not None
                self.link.keeper = int(value)
            case ("sh", "-c", script, "sh", path, interface) if (
                script == FROM_FILE and interface == INTERFACE
            ):
                assert self.link is not None
                assert path == f"/etc/wireguard/{INTERFACE}.conf"
                self.link.key = self.config.public_key
            case ("chown", "0", path) if path == f"/etc/wireguard/{INTERFACE}.key":
                self.key_access = replace(self.key_access, owner=0)
            case ("chmod", "600", path) if path == f"/etc/wireguard/{INTERFACE}.key":
                self.key_access = replace(self.key_access, mode=0o600)
            case _:
                raise CommandFailed(command)

    def _ip_link(self, words: list[str]) -> None:
        assert self.link is not None
        match words:
            case ["up"]:
                self.link.up = True
                self.routes |= {self._connected(address) for address in self.link.addresses}
            case ["down"]:
                self.link.up = False
                if self.link.keeper <= 0:
                    self.link.addresses = [one for one in self.link.addresses if one.version == 4]
                self.routes = {route for route in self.routes if route.device != INTERFACE}
            case ["mtu", number] if 68 <= int(number) <= 65535:
                self.link.mtu = int(number)
            case _:
                raise CommandFailed(words)

    def _connected(self, address: Interface) -> RouteSeen:
        return RouteSeen("unicast", address.network, INTERFACE, 256 if address.version == 6 else 0)

    def _ip_address(self, verb: str, address: Interface) -> None:
        assert self.link is not None
        there = self.link.addresses
        if verb == "replace":
            if address in there or (address.version == 6 and address.ip in [one.ip for one in there]):
                return
            first_of_subnet = address.network not in [one.network for one in there]
            there.append(address)
            if first_of_subnet and self.link.up:
                self.routes.add(self._connected(address))
            return
        if verb != "del" or address not in there:
            raise CommandFailed(verb, address)
        subnet = [one for one in there if one.network == address.network]
        goes_along = subnet if address.version == 4 and subnet[0] == address else [address]
        self.link.addresses = [one for one in there if one not in goes_along]
        if address.network not in [one.network for one in self.link.addresses]:
            self.routes.discard(self._connected(address))

    def _ip_route(self, verb: str, words: list[str]) -> None:
        kind = "unreachable" if words[0] == "unreachable" else "unicast"
        to: Prefix = ip_network(words[1] if kind == "unreachable" else words[0])
        options = dict(pairwise(words))
        device = options.get("dev", "lo" if to.version == 6 else "")
        route = RouteSeen(kind, to, device, int(options.get("metric", 0)))
        if verb == "replace":
            if kind == "unicast" and not (self.link and self.link.up):
                raise CommandFailed("Network is down")
            self.routes.add(route)
        elif verb == "del" and route in self.routes:
            self.routes.remove(route)
        else:
            raise CommandFailed(verb, words)

    def _wg_set(self, words: list[str]) -> None:
        assert self.link is not None
        rest = iter(words)
        key: PublicKey | None = None
        for word in rest:
            match word:
                case "listen-port":
                    self.link.port = int(next(rest))
                case "fwmark":
                    self.link.fwmark = int(next(rest), 0)
                case "private-key":
                    assert next(rest) == f"/etc/wireguard/{INTERFACE}.key"
                    self.link.key = self.key
                case "peer":
                    key = PublicKey(next(rest))
                    blank = PeerSeen(key, None, frozenset(), 0, 0, 0, 0)
                    self.link.peers.setdefault(key, blank)
                case _ if key is None:
                    raise CommandFailed(word)
                case "remove":
                    del self.link.peers[key]
                case "endpoint":
                    self._alter(key, endpoint=Endpoint.parse(next(rest)))
                case "persistent-keepalive":
                    self._alter(key, keepalive=int(next(rest)))
                case "preshared-key":
                    assert next(rest) == "/dev/null"
                    self._alter(key, preshared=False)
                case "allowed-ips":
                    self._allow(key, next(rest))
                case _:
                    raise CommandFailed(word)

    def _alter(self, key: PublicKey, **values: object) -> None:
        assert self.link is not None
        self.link.peers[key] = replace(self.link.peers[key], **values)  # type: ignore[arg-type]

    def _allow(self, key: PublicKey, text: str) -> None:
        assert self.link is not None
        prefixes = frozenset(map(ip_network, text.split(","))) if text else frozenset()
        for other, peer in self.link.peers.items():
            self._alter(other, allowed_ips=prefixes if other == key else peer.allowed_ips - prefixes)
