"""After a reboot the mesh comes back by itself."""

from tests.machines.machines import Machines


def test_one_reboots_right_after_an_apply(mended: Machines) -> None:
    db1 = mended["db1"]
    mended.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    mended.operator.run("apply", "--yes")

    db1.restart()

    assert db1.shell("cat /sys/class/net/wg0/mtu") == "1400\n"
    assert mended.operator.settles("holds")
    assert mended.operator.changes() == []
