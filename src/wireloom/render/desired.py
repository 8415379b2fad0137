"""What one node should have: its configuration file, its interface, its unit."""

import hashlib
from dataclasses import dataclass

from wireloom.lock.footing import Stance
from wireloom.network.network import Lead, Network, Peer
from wireloom.render.guard import render_guard
from wireloom.render.unit import drop_in_path, render_drop_in
from wireloom.render.wg_quick import FENCE_METRIC, render_files, render_head, render_peer
from wireloom.values import Interface, NodeName, Prefix

__all__ = ["FENCE_METRIC", "ConfigFile", "NodeDesired", "UnitFile", "render_node"]


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A wg-quick file that is put together on its node: head, the PrivateKey line, body.

    The private key is never in it. ``digest`` names its content: the SHA-256, in hex, of head + body.
    """

    path: str
    head: str
    body: str

    @property
    def keyless(self) -> str:
        """The text without the PrivateKey line."""
        return self.head + self.body

    @property
    def digest(self) -> str:
        """The SHA-256 of the text without the PrivateKey line, in hex."""
        return text_digest(self.keyless)


def text_digest(keyless: str) -> str:
    """What names a configuration: the SHA-256, in hex, of its text without the PrivateKey line."""
    return hashlib.sha256(keyless.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file of systemd's, 0644, which is told to read its units again after a change of it.

    ``purpose``: what it is good for, in a few words.
    """

    path: str
    text: str
    purpose: str


@dataclass(frozen=True, slots=True)
class NodeDesired:
    """All that one node should have. ``peers`` without a public key are not in the file yet.

    ``also``: another port that it hears. ``guard``: the nftables table as one line for ``nft``; empty: there
    shall be none. ``drop_in`` is for machines with systemd. ``leads``, ``relieves`` and ``two_ways`` are of
    the Network: something only while keys are rotated.
    """

    name: NodeName
    fleet: str
    interface: str
    addresses: tuple[Interface, ...]
    port: int
    mtu: int
    peers: tuple[Peer, ...]
    ranges: tuple[Prefix, ...]
    fenced: tuple[Prefix, ...]
    config: ConfigFile
    guard: str
    drop_in: UnitFile
    also: int | None = None
    leads: tuple[Lead, ...] = ()
    relieves: str | None = None
    two_ways: bool = False

    @property
    def stance(self) -> Stance:
        """Where it stands between the others."""
        return Stance(self.port, self.ranges, self.also)

    @property
    def bare_config(self) -> ConfigFile:
        """Generation 0 of a new node: key and address, no peers."""
        return ConfigFile(self.config.path, self.config.head, "")


def render_node(network: Network, name: NodeName) -> NodeDesired:
    """The part of a Network that is one node's."""
    member = network.members[name]
    text, purpose = render_drop_in(member, network.fleet, network.relieves)
    peers = tuple(network.peers(name))
    body = "".join(render_peer(peer) for peer in peers if peer.public_key is not None)
    return NodeDesired(
        name=name,
        fleet=network.fleet,
        interface=network.interface,
        addresses=member.interfaces,
        port=network.port,
        mtu=network.mtu,
        peers=peers,
        ranges=network.ranges,
        fenced=network.fenced,
        config=ConfigFile(config_path(network.interface), render_head(network, name), body),
        guard=render_guard(network, name),
        drop_in=UnitFile(drop_in_path(network.interface), text, purpose),
        also=network.also,
        leads=member.leads,
        relieves=network.relieves,
        two_ways=network.two_ways,
    )


def network_digest(network: Network) -> str:
    """One name for the whole network: the SHA-256 over every node's name and file, in hex."""
    whole = hashlib.sha256()
    for name, head, body in render_files(network):
        whole.update(f"{name}\n{head}".encode())
        for text in body:
            whole.update(text.encode())
    return whole.hexdigest()


def config_path(interface: str) -> str:
    """Where wg-quick looks for the configuration of an interface (wg-quick(8))."""
    return f"/etc/wireguard/{interface}.conf"


def key_path(interface: str) -> str:
    """Where a node keeps the private key that it made."""
    return f"/etc/wireguard/{interface}.key"
