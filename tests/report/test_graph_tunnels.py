from dataclasses import replace
from itertools import combinations

import pytest

from tests.report.graph_fleets import fleet, large, net, node, site, small
from wireloom.report.tunnels import Bundle, Detail, Spoke, Way, compose, find_tunnels


def tunnels_of(one):
    return list(find_tunnels(net(one), one.sites))


def ends(tunnels, way):
    return {(tunnel.near, tunnel.far) for tunnel in tunnels if tunnel.way is way}


def test_every_pair_of_a_full_mesh_is_found_once():
    found = [frozenset((tunnel.near, tunnel.far)) for tunnel in tunnels_of(small())]
    assert sorted(map(sorted, found)) == sorted(map(sorted, combinations(small().nodes, 2)))


def test_neighbours_with_private_addresses_use_them():
    assert ends(tunnels_of(small()), Way.PRIVATE) == {("cp1", "w1"), ("nas1", "nas2")}


def test_neighbours_without_a_private_range_use_public_addresses():
    assert ("db1", "db2") in ends(tunnels_of(small()), Way.PUBLIC)


def test_the_node_behind_nat_is_the_one_that_dials():
    dialled = ("cp1", "w1", "db1", "db2")
    assert ends(tunnels_of(small()), Way.ONE_WAY) == {
        (nas, other) for nas in ("nas1", "nas2") for other in dialled
    }


def test_the_dialler_knows_the_endpoint_and_the_dialled_one_knows_none():
    found = {(tunnel.near, tunnel.far): tunnel for tunnel in tunnels_of(small())}
    one = found["nas1", "cp1"]
    assert (str(one.to_far), one.to_near) == ("203.0.113.10:51820", None)


def test_two_nats_of_different_sites_have_no_tunnel():
    apart = fleet(
        "apart",
        [site("home", nat=True), site("office", nat=True), site("dc")],
        [node("a", "home", nat=True), node("b", "office", nat=True), node("c", "dc", public="192.0.2.1")],
    )
    assert {("a", "c"), ("b", "c")} == {(tunnel.near, tunnel.far) for tunnel in tunnels_of(apart)}


@pytest.mark.parametrize("name", ["cp1", "nas2"])
def test_a_peer_that_does_not_know_the_other_is_no_tunnel(name):
    network = net(small())
    deaf = replace(network, views={**network.views, name: ()})
    assert all(name not in (tunnel.near, tunnel.far) for tunnel in find_tunnels(deaf, small().sites))


def test_an_address_in_the_private_range_of_one_site_is_not_private_to_another():
    routed = fleet(
        "routed",
        [site("one", "10.0.0.0/8"), site("two", "10.0.0.0/8")],
        [node("a", "one", public="10.1.0.1"), node("b", "two", public="10.2.0.1")],
    )
    assert ends(tunnels_of(routed), Way.PUBLIC) == {("a", "b")}


@pytest.mark.parametrize(
    ("detail", "sites", "each"),
    [
        (Detail.TUNNELS, 4, 4),
        (Detail.SITE_PAIRS, 1, 17),
        (Detail.SITE_PAIRS, 9, 2),
        (Detail.SITES, 10, 2),
    ],
)
def test_the_detail_is_what_stays_readable(detail, sites, each):
    one = large(sites, each)
    assert compose(net(one), one.sites).detail is detail


def test_bundles_hold_every_tunnel_by_sites_and_way():
    picture = compose(net(small()), small().sites)
    assert picture.bundles == (
        Bundle("fsn", "fsn", Way.PRIVATE, 1),
        Bundle("sin", "sin", Way.PUBLIC, 1),
        Bundle("office", "office", Way.PRIVATE, 1),
        Bundle("fsn", "sin", Way.PUBLIC, 4),
        Bundle("office", "fsn", Way.ONE_WAY, 4),
        Bundle("office", "sin", Way.ONE_WAY, 4),
    )


@pytest.mark.parametrize(("sites", "each"), [(1, 30), (6, 5), (12, 3)])
def test_no_tunnel_is_lost_in_bundles(sites, each):
    one, nodes = large(sites, each, nat_sites=1), sites * each
    assert compose(net(one), one.sites).tunnel_count == nodes * (nodes - 1) // 2


def test_spokes_sum_up_what_a_site_has_with_all_others():
    assert compose(net(small()), small().sites).spokes == {
        "fsn": (Spoke("fsn", Way.PUBLIC, True, 4, 1), Spoke("fsn", Way.ONE_WAY, False, 4, 1)),
        "sin": (Spoke("sin", Way.PUBLIC, True, 4, 1), Spoke("sin", Way.ONE_WAY, False, 4, 1)),
        "office": (Spoke("office", Way.ONE_WAY, True, 8, 2),),
    }


def test_a_site_without_nodes_is_left_out():
    sites = {**small().sites, "empty": site("empty")}
    assert list(compose(net(small()), sites).sites) == ["fsn", "sin", "office"]


def test_a_site_without_details_is_still_there():
    assert list(compose(net(small()), {}).sites) == ["fsn", "sin", "office"]
