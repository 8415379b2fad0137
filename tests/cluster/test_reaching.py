"""By which address kubectl is to reach a server."""

from dataclasses import replace

import pytest

from tests.cluster import fleets
from tests.network.fleets import lock_of
from wireloom.cluster.reaching import PUBLIC, UNDERLAY, Way, find_way, parse_way
from wireloom.errors import UserError
from wireloom.network.topology import weave
from wireloom.values import NodeName

WAYS = {
    "192.0.2.1": "https://192.0.2.1:6443",
    "192.0.2.1:8443": "https://192.0.2.1:8443",
    "2001:db8::1": "https://[2001:db8::1]:6443",
    "[2001:db8::1]": "https://[2001:db8::1]:6443",
    "[2001:DB8:0::1]:8443": "https://[2001:db8::1]:8443",
    "localhost:16443": "https://localhost:16443",
    "API.example.com": "https://api.example.com:6443",
}


@pytest.mark.parametrize(("text", "url"), WAYS.items(), ids=WAYS)
def test_a_way_is_a_host_and_perhaps_a_port(text: str, url: str) -> None:
    assert parse_way(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":6443",
        "a:b",
        "a:0",
        "a:70000",
        "1.2.3",
        "300.1.1.1",
        "a b",
        "https://a",
        "[::1",
        "::1]",
        "a/b",
        "-a",
        "u@h",
    ],
)
def test_what_is_no_way_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_way(text)


@pytest.mark.parametrize("via", [None, UNDERLAY])
def test_by_the_underlay_it_is_the_servers_own_address(via: str | None) -> None:
    assert way(via) == Way("10.99.0.1")


CNI = {"encrypt": "cni", "flannel_backend": "wireguard-native"}


def test_where_no_underlay_is_built_it_is_no_way() -> None:
    with pytest.raises(UserError, match="--via underlay: no underlay is built under this cluster"):
        way(UNDERLAY, **CNI)


def test_across_clouds_without_an_underlay_machines_reach_it_in_public() -> None:
    assert way(None, **CNI) == Way("203.0.113.10")


def test_in_one_private_network_without_an_underlay_they_reach_it_there() -> None:
    fleet = fleets.cluster(fleets.CP1, fleets.W1, **CNI)
    assert find_way(fleet, weave(fleet, lock_of(fleet)), fleets.CP1.name, None) == Way("10.0.0.2")


def test_where_no_underlay_is_built_no_guard_closes_the_outside() -> None:
    assert way(PUBLIC, **CNI) == Way("203.0.113.10")


def test_another_way_is_taken_as_it_is() -> None:
    assert way(Way("localhost", 16443)) == Way("localhost", 16443)


@pytest.mark.parametrize("options", [{"public_api": True}, {"guard": False}])
def test_by_the_outside_where_it_is_open(options: dict[str, bool]) -> None:
    assert way(PUBLIC, **options) == Way("203.0.113.10")


def test_what_the_guard_closes_is_no_way() -> None:
    with pytest.raises(UserError) as error:
        way(PUBLIC)
    assert str(error.value) == (
        "--via public: the guard closes 6443 to the outside\n"
        "    write `public_api: true` under `kubernetes:` and apply; or leave --via out: by the underlay"
    )


def test_a_server_behind_nat_has_no_public_way() -> None:
    fleet = fleets.cluster(replace(fleets.CP1, public=()), fleets.W1, public_api=True)
    with pytest.raises(UserError, match="cp1: has no public address"):
        find_way(fleet, weave(fleet, lock_of(fleet)), NodeName("cp1"), PUBLIC)


def way(via: str | Way | None, *, guard: bool = True, **options: object) -> Way:
    fleet = fleets.cluster(**options)
    fleet = replace(fleet, underlay=replace(fleet.underlay, guard=guard))
    return find_way(fleet, weave(fleet, lock_of(fleet)), NodeName("cp1"), via)
