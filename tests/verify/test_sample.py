"""Which pairs are tested: all in a small fleet; in a large one some, that leave nobody out."""

from ipaddress import ip_interface

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.report.graph_fleets import large, net
from wireloom.network.network import Member, Network, Peer
from wireloom.values import NodeName, SiteName
from wireloom.verify.sample import ALL_PAIRS_UP_TO, STRIDES, choose_pairs


def network(sites: list[int], mute: set[frozenset[int]]) -> Network:
    """Node N stands in site ``sites[N]``; two nodes whose numbers are in ``mute`` are no peers."""
    names = [NodeName(f"n{number}") for number in range(len(sites))]
    members = {
        name: Member(name, SiteName(f"s{site}"), (ip_interface("10.0.0.1/8"),), None, nat=False)
        for name, site in zip(names, sites, strict=True)
    }
    views = {
        name: tuple(
            Peer(other, None, None, ())
            for theirs, other in enumerate(names)
            if theirs != own and frozenset({own, theirs}) not in mute
        )
        for own, name in enumerate(names)
    }
    return Network("t", "wg0", 1, 1420, (), (), None, members, views)


@st.composite
def large_networks(draw: st.DrawFn) -> Network:
    size = draw(st.integers(ALL_PAIRS_UP_TO + 1, ALL_PAIRS_UP_TO + 30))
    sites = draw(st.lists(st.integers(0, draw(st.integers(0, 6))), min_size=size, max_size=size))
    recluses = draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
    return network(sites, {frozenset({one, other}) for one in recluses for other in recluses if one != other})


@pytest.mark.parametrize("size", [1, 2, ALL_PAIRS_UP_TO])
def test_up_to_fifty_nodes_every_pair_is_tested(size: int) -> None:
    pairs = choose_pairs(network([0] * size, set()))
    assert sum(map(len, pairs.values())) == size * (size - 1)


def test_a_sample_of_a_small_fleet_is_as_one_of_a_large_fleet() -> None:
    pairs = choose_pairs(network([0] * 40, set()), sample=True)
    assert {len(others) for others in pairs.values()} == {len(STRIDES)}
    assert {other for others in pairs.values() for other in others} == set(pairs)


def test_above_fifty_nodes_a_few_pairs_of_each_node_are_tested() -> None:
    whole = net(large(4, 100))
    pairs = choose_pairs(whole)
    assert max(map(len, pairs.values())) <= len(STRIDES) + 3
    assert sum(map(len, pairs.values())) < 400 * 399 / 50


def many_that_only_dial() -> Network:
    """Forty nodes in a row that can't reach each other, and twenty that everybody reaches."""
    return network([0] * 60, {frozenset({one, other}) for one in range(40) for other in range(one)})


@settings(max_examples=60)
@example(many_that_only_dial())
@given(large_networks())
def test_a_sample_leaves_nobody_out(whole: Network) -> None:
    pairs = choose_pairs(whole)
    peers = {name: {peer.name for peer in whole.peers(name)} for name in whole.members}
    assert {name for name, others in pairs.items() if others} == {
        name for name, them in peers.items() if them
    }
    assert {other for others in pairs.values() for other in others} == set().union(*peers.values())


@settings(max_examples=60)
@given(large_networks())
def test_a_sample_has_every_two_sites_in_both_directions(whole: Network) -> None:
    def sites(pairs: dict[NodeName, list[NodeName]]) -> set[tuple[str, str]]:
        return {
            (whole.members[name].site, whole.members[other].site)
            for name, others in pairs.items()
            for other in others
        }

    everybody = {name: [peer.name for peer in whole.peers(name)] for name in whole.members}
    assert sites(choose_pairs(whole)) == sites(everybody)


@settings(max_examples=60)
@given(large_networks())
def test_a_sample_has_only_peers_and_each_once(whole: Network) -> None:
    for name, others in choose_pairs(whole).items():
        assert len(others) == len(set(others))
        assert set(others) <= {peer.name for peer in whole.peers(name)}


def test_the_same_network_gives_the_same_sample() -> None:
    assert choose_pairs(net(large(3, 20))) == choose_pairs(net(large(3, 20)))
