"""The way from bare machines to a mesh, with the WireGuard of the kernel."""

import json

import pytest

from tests.kernel.conftest import VIRTUAL, FirstApply
from tests.machines.machines import Machines

NODES = {"cp1", "db1", "w1"}


def test_the_plan_names_every_node_and_the_apply_changes_it(first_apply: FirstApply) -> None:
    assert {node for node, _, _ in first_apply.planned} == NODES
    assert first_apply.endings == dict.fromkeys(NODES, "changed")


def test_the_mesh_is_proven_and_nothing_is_left_to_do(first_apply: FirstApply) -> None:
    assert (first_apply.verified["verdict"], first_apply.left) == ("holds", [])


@pytest.mark.parametrize("name", VIRTUAL)
def test_the_interface_is_the_kernels(mesh: Machines, name: str) -> None:
    link = json.loads(mesh[name].run("ip", "-json", "-details", "link", "show", "wg0"))[0]
    modules = {line.split()[0] for line in mesh[name].run("lsmod").splitlines()}
    assert link["linkinfo"]["info_kind"] == "wireguard"
    assert modules & {"wireguard", "tun"} == {"wireguard"}
    assert mesh[name].run("pgrep", "wireguard-go", expect=1) == ""


def test_a_second_apply_touches_nothing(mesh: Machines) -> None:
    def look() -> list[str]:
        return [
            machine.shell(
                "stat -c '%n %Y %y %i' /etc/wireguard/* /var/lib/wireloom/*; cat /sys/class/net/wg0/ifindex;"
                " systemctl show wg-quick@wg0 -p ActiveEnterTimestampMonotonic -p InvocationID"
            )
            for machine in mesh
        ]

    before = look()
    mesh.operator.run("apply", "--yes")
    assert look() == before
