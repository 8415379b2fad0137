"""A file of ours, read back, is what it was written from."""

import pytest
from hypothesis import given, settings

from tests.network.fleets import key, lock_of, named
from tests.network.test_topology import fleets
from wireloom.intent.fleet import Fleet
from wireloom.network.topology import weave
from wireloom.observe.state import RouteSeen
from wireloom.plan.filed import read_fences, read_filed, read_stance
from wireloom.render.desired import FENCE_METRIC, render_node


@given(fleets())
@settings(max_examples=60)
def test_what_is_rendered_is_read_back(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    for name in network.members:
        desired = render_node(network, name)
        found = read_filed(desired.config.keyless, key(1))
        assert (found.port, found.mtu, found.public_key) == (desired.port, desired.mtu, key(1))
        assert found.addresses == frozenset(desired.addresses)
        assert read_stance(desired.config.keyless) == desired.stance
        assert {
            peer.public_key: (peer.endpoint, frozenset(peer.allowed_ips), peer.keepalive)
            for peer in desired.peers
        } == {one: (peer.endpoint, peer.allowed_ips, peer.keepalive) for one, peer in found.peers.items()}
        assert read_fences(desired.config.keyless) == {
            RouteSeen("unreachable", prefix, "", FENCE_METRIC) for prefix in desired.fenced
        }


NONSENSE = {
    "an address": ("Address = 10.99.0.1/16", "Address = here"),
    "a port": ("ListenPort = 51820", "ListenPort = many"),
    "a peer's key": ("PublicKey = ", "PublicKey = x"),
    "a peer's endpoint": ("Endpoint = 203", "Endpoint = db.example.org, 203"),
    "a peer's allowed IPs": ("AllowedIPs = 10.99.0.2/32", "AllowedIPs = 10.99.0.2/16"),
    "a fence": ("unreachable 10.99.0.0/16 metric 4000000", "unreachable default"),
}


@pytest.mark.parametrize(("old", "new"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_passed_over(old: str, new: str) -> None:
    fleet = named("a", "b", "c")
    desired = render_node(weave(fleet, lock_of(fleet)), next(iter(fleet.nodes)))
    assert old in desired.config.keyless
    text = desired.config.keyless.replace(old, new, 1)
    assert key(3) in read_filed(text, None).peers
    assert len(read_fences(text)) <= 1
