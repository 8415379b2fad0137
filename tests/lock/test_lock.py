"""What a lock takes in, and what it never changes."""

from ipaddress import ip_network

import pytest

from tests.network.fleets import key, lock_of, named
from wireloom.errors import UserError
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.values import NodeName, Prefix

CP1, NOBODY = NodeName("cp1"), NodeName("nobody")


def test_keys_are_put_in() -> None:
    lock = lock_of(named("cp1", "w1")).with_keys({CP1: key(9)})
    assert [key(9), key(2)] == [node.public_key for node in lock.nodes.values()]


def test_keys_of_strangers_are_passed_over() -> None:
    lock = lock_of(named("cp1"))
    assert lock == lock.with_keys({NOBODY: key(9)}).with_host_keys({NOBODY: "ssh-ed25519 A"})


def test_a_host_key_is_pinned_once() -> None:
    lock = lock_of(named("cp1")).with_host_keys({CP1: "ssh-ed25519 A"})
    assert lock.with_host_keys({CP1: "ssh-ed25519 B"}).nodes[CP1].ssh_host_key == "ssh-ed25519 A"


def test_a_lock_is_not_changed_in_place() -> None:
    lock = lock_of(named("cp1"))
    lock.with_keys({CP1: key(9)})
    assert key(1) == lock.nodes[CP1].public_key


def test_released_nodes_are_no_members() -> None:
    assert list(allot(named("cp1"), lock_of(named("cp1", "w1"))).members) == ["cp1"]


def told(*ranges: str) -> dict[NodeName, tuple[Prefix, ...]]:
    """The pod ranges of cp1, w1 and so on, parted by spaces."""
    return {
        NodeName(name): tuple(map(ip_network, one.split()))
        for name, one in zip(("cp1", "w1", "w2"), ranges, strict=False)
    }


def pods_of(lock: Lock) -> list[str]:
    return [" ".join(map(str, node.pods)) for node in lock.nodes.values()]


def test_pod_ranges_are_those_that_the_cluster_tells_now() -> None:
    lock = lock_of(named("cp1", "w1", "w2")).with_pods(told("10.42.0.0/24 fd00:42::/64", "10.42.1.0/24"))
    assert pods_of(lock) == ["10.42.0.0/24 fd00:42::/64", "10.42.1.0/24", ""]
    assert pods_of(lock.with_pods({NodeName("w2"): told("10.42.1.0/24")[CP1]})) == ["", "", "10.42.1.0/24"]
    assert pods_of(lock.with_pods({})) == ["", "", ""]


OVERLAPS = {
    "the same": ("10.42.0.0/24", "10.42.1.0/24", "10.42.0.0/24"),
    "one in the other": ("10.42.0.0/16", "10.43.1.0/24", "10.42.7.0/24"),
    "in the second family": ("10.42.0.0/24 fd00:42::/64", "10.42.1.0/24", "fd00:42::/64"),
}


@pytest.mark.parametrize("ranges", OVERLAPS.values(), ids=OVERLAPS)
def test_a_pod_range_of_two_nodes_is_refused(ranges: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="to the pods of `cp1` and of `w2`"):
        lock_of(named("cp1", "w1", "w2")).with_pods(told(*ranges))


def test_who_leaves_has_no_pods_any_more() -> None:
    lock = lock_of(named("cp1", "w1"), generation=3).with_pods(told("10.42.0.0/24", "10.42.1.0/24"))
    assert pods_of(allot(named("cp1"), lock)) == ["10.42.0.0/24", ""]
