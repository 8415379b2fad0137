"""New keys with the kernel's WireGuard: no packet is lost, not even of those that VXLAN wraps."""

from collections.abc import Iterator

import pytest

from tests.kernel.conftest import VIRTUAL
from tests.kernel.pings import pinging
from tests.kernel.virtual import VirtualMachine
from tests.machines.machines import Machines
from tests.machines.patience import wait_for

LONG = 600
"""Seconds for some six applies on machines that are emulated, beside other tests."""

LAY = """
ip link add vx0 type vxlan id 7 local {own} dev wg0 dstport 8472
bridge fdb append 00:00:00:00:00:00 dev vx0 dst {other}
ip address add {inner}/24 dev vx0
ip link set vx0 up
"""


def keys(machines: Machines) -> dict[str, str]:
    return {one.name: one.run("wg", "show", "wg0", "public-key") for one in machines}


@pytest.fixture
def wrapped(mended: Machines) -> Iterator[Machines]:
    """The mesh, and a VXLAN between the two virtual machines, bound to wg0 as flannel's is."""
    cp1, db1 = (mended[name] for name in VIRTUAL)
    cp1.shell(LAY.format(own="10.99.0.1", other="10.99.0.2", inner="10.77.0.1"))
    db1.shell(LAY.format(own="10.99.0.2", other="10.99.0.1", inner="10.77.0.2"))
    yield mended
    for machine in (cp1, db1):
        machine.shell("ip link del vx0 2>/dev/null || true")


def test_no_packet_is_lost_and_what_rides_on_the_interface_does_not_notice(wrapped: Machines) -> None:
    cp1, db1 = wrapped["cp1"], wrapped["db1"]
    before = keys(wrapped)
    indices = [
        one.run("cat", "/sys/class/net/wg0/ifindex", "/sys/class/net/vx0/ifindex") for one in (cp1, db1)
    ]
    assert "wireguard" in cp1.run("ip", "-d", "link", "show", "dev", "wg0")
    with pinging(cp1, "10.99.0.2") as plain, pinging(db1, "10.77.0.1") as inside:
        wrapped.operator.run("rotate", "--yes", timeout=LONG)
    after = keys(wrapped)
    assert (plain.lost, inside.lost) == (set(), set())
    assert min(len(plain.answered), len(inside.answered)) > 100
    assert not set(before.values()) & set(after.values())
    assert indices == [
        one.run("cat", "/sys/class/net/wg0/ifindex", "/sys/class/net/vx0/ifindex") for one in (cp1, db1)
    ]
    assert wrapped.operator.changes() == []


def test_a_machine_that_loses_power_in_the_middle_comes_back_and_the_rotation_goes_on(
    mended: Machines,
) -> None:
    """Nobody knows who has a new key: all are in touch over the stand-in, who comes back, too."""
    cp1, db1 = mended["cp1"], mended["db1"]
    assert isinstance(db1, VirtualMachine)
    before = keys(mended)
    operator = mended.operator.popen("rotate", "--yes", "--confirm-within", "30s")
    assert operator.stdout is not None
    said = iter(operator.stdout)
    for words in ("changing the keys", "confirming"):
        assert any(words in line for line in said)
    operator.kill()
    operator.communicate()
    ended = db1.lose_power()
    db1.settle(not_as=ended)
    assert "wg0-turn" in db1.run("ip", "route", "get", "10.99.0.1")
    # cp1 keeps to the old session for 15 s without an answer (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT).
    answers = "ping -c 1 -W 1 10.99.0.2 >/dev/null && echo yes || true"
    wait_for(lambda: cp1.shell(answers), lambda: cp1.run("wg", "show", "wg0-turn"), seconds=30)
    done = []

    def goes_on() -> bool:
        done.append(mended.operator.run("rotate", "--yes", expect=None, timeout=LONG))
        return done[-1].returncode == 0

    wait_for(goes_on, lambda: str(done[-1].stderr), seconds=120, pause=1)
    assert not set(before.values()) & set(keys(mended).values())
    assert mended.operator.changes() == []
    assert "wg0-turn" not in db1.run("ip", "-br", "link")
