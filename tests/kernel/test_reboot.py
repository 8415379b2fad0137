"""After a reboot, or a moment without power, the mesh comes back by itself."""

from tests.kernel.virtual import VirtualMachine
from tests.machines.machines import Machines


def test_one_loses_power_right_after_an_apply_while_another_reboots(mended: Machines) -> None:
    cp1, db1 = mended["cp1"], mended["db1"]
    assert isinstance(cp1, VirtualMachine)
    mended.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    mended.operator.run("apply", "--yes")

    ended = cp1.lose_power(), db1.reboot()
    cp1.settle(not_as=ended[0])
    db1.settle(not_as=ended[1])

    assert [one.shell("cat /sys/class/net/wg0/mtu") for one in (cp1, db1)] == ["1400\n"] * 2
    assert mended.operator.settles("holds")
    assert mended.operator.changes() == []
