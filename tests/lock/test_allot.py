# ruff: noqa: E501 - a row of a table stays a row
"""Who is given which address, and that it stays so."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.network.fleets import named
from wireloom.errors import UserError
from wireloom.lock.allot import allot
from wireloom.lock.file import parse_lock, print_lock
from wireloom.lock.footing import Footing, Stance
from wireloom.lock.lock import Lock, LockedNode
from wireloom.values import NodeName


def given4(lock: Lock) -> dict[str, str]:
    """The members' IPv4 addresses, by their last part."""
    return {name: str(node.ipv4).rpartition(".")[2] for name, node in lock.members.items()}


def history(*fleets: str, ipv4: str = "10.99.0.0/24") -> Lock:
    """The lock after fleets of these names, one apply each."""
    lock = Lock("shop")
    for names in fleets:
        lock = allot(named(*names.split(), ipv4=ipv4), lock)
        lock = replace(lock, generation=lock.generation + 1)
    return lock


HISTORIES = {
    "file order, from the first usable": (["c a b"], {"c": "1", "a": "2", "b": "3"}),
    "the order of the file changes": (["a b c", "c b a"], {"a": "1", "b": "2", "c": "3"}),
    "a node in front": (["a b", "z a b"], {"z": "3", "a": "1", "b": "2"}),
    "removing one renumbers nobody": (["a b c", "a c"], {"a": "1", "c": "3"}),
    "what was freed is not reused": (["a b c", "a c", "a c d"], {"a": "1", "c": "3", "d": "4"}),
    "freed and added at once": (["a b c", "a d c"], {"a": "1", "c": "3", "d": "4"}),
    "who comes back has its own again": (["a b c", "a c d", "a b c d"], {"a": "1", "b": "2", "c": "3", "d": "4"}),
    "who leaves twice": (["a b", "a", "a b", "a", "a c", "a b c"], {"a": "1", "b": "2", "c": "3"}),
}  # fmt: skip


@pytest.mark.parametrize(("fleets", "expected"), HISTORIES.values(), ids=HISTORIES)
def test_addresses_stay(fleets: list[str], expected: dict[str, str]) -> None:
    assert expected == given4(history(*fleets))


def test_addresses_outlive_the_range_in_the_file() -> None:
    before = history("a b c", "a c")
    without = replace(allot(named("c", "a", ipv4=None), before), generation=before.generation + 1)
    assert [node.ipv4 for node in without.members.values()] == [None, None]
    assert parse_lock(print_lock(without), Path("fleet.lock")) == without
    assert given4(allot(named("c", "a", "d", ipv4="10.99.0.0/24"), without)) == {"c": "3", "a": "1", "d": "4"}


def test_without_a_range_nobody_is_given_an_address() -> None:
    lock = allot(named("a", "b", ipv4=None), Lock("shop"))
    assert lock.nodes == {"a": LockedNode(), "b": LockedNode()}
    assert parse_lock(print_lock(lock), Path("fleet.lock")) == lock


FULL = {
    "the longest released goes first": (["a b c d e f", "b c d e f", "c d e f", "c d e f x"], {"x": "1"}),
    "then the next": (["a b c d e f", "b c d e f", "c d e f", "c d e f x", "c d e f x y"], {"x": "1", "y": "2"}),
    "its first holder gets another": (["a b c d e f", "b c d e f", "c d e f", "c d e f x", "c d e f x a"], {"x": "1", "a": "2"}),
}  # fmt: skip


@pytest.mark.parametrize(("fleets", "expected"), FULL.values(), ids=FULL)
def test_a_full_range_reuses_what_was_released(fleets: list[str], expected: dict[str, str]) -> None:
    found = given4(history(*fleets, ipv4="10.99.0.0/29"))
    assert expected == {name: found[name] for name in expected}


def test_a_released_node_loses_an_address_that_had_to_be_given_away() -> None:
    lock = history("a b c d e f", "b c d e f", "b c d e f x", ipv4="10.99.0.0/29")
    assert LockedNode(released=1) == lock.nodes[NodeName("a")]


def test_a_full_range_is_an_error_that_names_the_node() -> None:
    with pytest.raises(UserError, match=r"the range 10\.99\.0\.0/30 has no address left for `c`"):
        history("a b c", ipv4="10.99.0.0/30")


@pytest.mark.parametrize("after", ["10.99.0.0/16", "10.99.0.0/29"])
def test_a_range_that_still_holds_the_addresses_renumbers_nobody(after: str) -> None:
    lock = allot(named("a", "b", ipv4=after), history("a b"))
    assert given4(lock) == {"a": "1", "b": "2"}


def test_another_range_gives_new_addresses() -> None:
    lock = allot(named("a", "b", ipv4="10.98.0.0/24"), history("a b"))
    assert [str(node.ipv4) for node in lock.members.values()] == ["10.98.0.1", "10.98.0.2"]


def moved(lock: Lock, *ranges: str) -> dict[str, list[str]]:
    """The addresses of the nodes, former ones last, after the fleet has had these ranges."""
    for ipv4 in ranges:
        lock = allot(named("a", "b", ipv4=ipv4), lock)
    return {name: list(map(str, node.addresses)) for name, node in lock.members.items()}


R, S = "10.99.0.0/24", "10.98.0.0/24"


def test_a_node_keeps_its_former_address_and_gets_it_back_with_the_range() -> None:
    lock = history("c a b", "a b")
    assert moved(lock, S) == {"a": ["10.98.0.1", "10.99.0.2"], "b": ["10.98.0.2", "10.99.0.3"]}
    assert moved(lock, S, R) == {"a": ["10.99.0.2", "10.98.0.1"], "b": ["10.99.0.3", "10.98.0.2"]}


def test_a_former_address_is_given_to_nobody_else() -> None:
    lock = allot(named("a", ipv4=S), history("a"))
    assert given4(allot(named("z", "a", ipv4=R), lock)) == {"z": "2", "a": "1"}


def test_nothing_that_was_never_applied_is_kept() -> None:
    assert moved(allot(named("a", "b", ipv4=R), Lock("shop")), S) == {"a": ["10.98.0.1"], "b": ["10.98.0.2"]}


def test_former_addresses_go_with_the_last_node_that_uses_their_range() -> None:
    lock = allot(named("a", ipv4=S), history("a"))
    both, one = (Footing.of(Stance(1, tuple(map(ip_network, ranges)))) for ranges in ([R, S], [S]))
    assert [len(lock.on(footing).nodes[NodeName("a")].former) for footing in (both, one)] == [1, 0]


EDGES = {"broadcast": ("10.99.0.7", "10.99.0.0/29"), "network": ("10.99.0.8", "10.99.0.8/29")}


@pytest.mark.parametrize(("held", "after"), EDGES.values(), ids=EDGES)
def test_a_smaller_range_makes_an_address_unusable(held: str, after: str) -> None:
    lock = Lock("shop", nodes={NodeName("a"): LockedNode(ipv4=IPv4Address(held))})
    address = allot(named("a", ipv4=after), lock).nodes[NodeName("a")].ipv4
    assert next(ip_network(after).hosts()) == address


def test_a_released_address_that_is_unusable_now_is_never_given() -> None:
    gone = LockedNode(ipv4=IPv4Address("10.99.0.3"), released=1)
    lock = Lock("shop", 1, nodes={NodeName("gone"): gone})
    with pytest.raises(UserError, match="no address left for `c`"):
        allot(named("a", "b", "c", ipv4="10.99.0.0/30"), lock)


def test_both_families_are_given_side_by_side() -> None:
    lock = allot(named("a", "b", ipv6="fd42::/64"), Lock("shop"))
    assert [tuple(map(str, node.addresses)) for node in lock.members.values()] == [
        ("10.99.0.1", "fd42::1"),
        ("10.99.0.2", "fd42::2"),
    ]


def test_a_family_that_is_added_leaves_the_other_alone() -> None:
    lock = allot(named("z", "a", "b", ipv4="10.99.0.0/24", ipv6="fd42::/64"), history("a b"))
    assert given4(lock) == {"z": "3", "a": "1", "b": "2"}
    assert {n: str(k.ipv6) for n, k in lock.members.items()} == {
        "z": "fd42::1",
        "a": "fd42::2",
        "b": "fd42::3",
    }


def test_a_family_that_is_dropped_is_dropped_from_the_lock() -> None:
    lock = allot(named("a", ipv4=None, ipv6="fd42::/64"), history("a b"))
    assert (None, IPv6Address("fd42::1")) == (lock.nodes[NodeName("a")].ipv4, lock.nodes[NodeName("a")].ipv6)


def test_a_node_that_left_is_marked_with_the_generation_it_was_last_in() -> None:
    assert history("a b", "a b", "a").nodes[NodeName("b")].released == 2


def test_keys_and_host_keys_are_kept_through_leaving_and_return() -> None:
    lock = history("a b").with_host_keys({NodeName("b"): "ssh-ed25519 AAAA"})
    back = allot(named("a", "b"), allot(named("a"), lock))
    assert lock.nodes[NodeName("b")] == back.nodes[NodeName("b")]


# ---- properties

NAMES = [f"n{number}" for number in range(10)]
step = st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=6)
some_range = st.sampled_from(["10.99.0.0/28", "10.99.0.0/24", "10.99.0.8/29", "fd42::/125", "fd42::/64"])


def one_step(names: list[str], prefix: str, lock: Lock) -> Lock:
    family = {"ipv4": None, "ipv6": prefix} if ":" in prefix else {"ipv4": prefix}
    lock = allot(named(*names, **family), lock)
    return replace(lock, generation=lock.generation + 1)


@given(st.lists(step, min_size=1, max_size=8), some_range)
@settings(max_examples=80)
def test_whatever_happens_addresses_are_unique_usable_and_stay(steps: list[list[str]], prefix: str) -> None:
    lock, held = Lock("shop"), {}
    for names in steps:
        lock = one_step(names, prefix, lock)
        now = {name: node.addresses[0] for name, node in lock.members.items()}
        assert set(names) == set(now)
        assert len(set(now.values())) == len(now)
        network = ip_network(prefix)
        assert all(one in network for one in now.values())
        assert not {network.network_address, network.broadcast_address} & set(now.values())
        assert {name: held[name] for name in names if name in held} == {n: now[n] for n in names if n in held}
        assert print_lock(lock) == print_lock(parse_lock(print_lock(lock), Path("shop.lock")))
        held = now


@given(st.lists(step, min_size=1, max_size=5), st.lists(some_range, min_size=5, max_size=5))
@settings(max_examples=60)
def test_ranges_that_change_on_the_way(steps: list[list[str]], prefixes: list[str]) -> None:
    lock = Lock("shop")
    for names, prefix in zip(steps, prefixes, strict=False):
        lock = one_step(names, prefix, lock)
        addresses = [one for node in lock.nodes.values() for one in node.addresses]
        assert len(set(addresses)) == len(addresses)
        assert all(ip_address(str(node.addresses[0])) in ip_network(prefix) for node in lock.members.values())


@given(step, some_range)
@settings(max_examples=40)
def test_alloting_again_changes_nothing(names: list[str], prefix: str) -> None:
    once = one_step(names, prefix, Lock("shop"))
    family = {"ipv4": None, "ipv6": prefix} if ":" in prefix else {"ipv4": prefix}
    assert once == allot(named(*names, **family), once)
