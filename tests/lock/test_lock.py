"""What a lock takes in, and what it never changes."""

from tests.network.fleets import key, lock_of, named
from wireloom.lock.allot import allot
from wireloom.values import NodeName

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
