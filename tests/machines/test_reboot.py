"""After a reboot the mesh comes back by itself."""

from tests.machines.machines import Machines


def test_one_machine_reboots_that_is_the_jump_host_too(mesh: Machines) -> None:
    mesh["alpha"].restart()
    assert mesh.operator.settles("holds")
    assert mesh.operator.changes() == []


def test_all_machines_reboot_at_once(mesh: Machines) -> None:
    boots = [machine.run("cat", "/proc/sys/kernel/random/boot_id") for machine in mesh]
    mesh.reboot()
    assert not set(boots) & {machine.run("cat", "/proc/sys/kernel/random/boot_id") for machine in mesh}
    assert mesh.operator.settles("holds")
    assert mesh.operator.changes() == []
