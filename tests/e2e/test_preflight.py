"""``check --nodes`` in a lab: before the first apply and after it."""

from tests.e2e.world import World


def test_the_machines_of_a_lab_are_ready(world: World) -> None:
    done = world.run("check", "--nodes")
    assert done.stdout == "fleet.yaml: 5 machines ready for wg0: 10.99.0.0/16, port 51820\n"


def test_check_alone_looks_at_no_machine(world: World) -> None:
    world.shell("w1", "ip route add blackhole 10.99.3.0/24")
    assert world.run("check").stdout.startswith("fleet.yaml: fine. 5 nodes in 3 sites")
    assert world.json("check", "--nodes", expect=1)["ok"] is False
    world.shell("w1", "ip route del blackhole 10.99.3.0/24")


def test_what_wireloom_made_is_nothing_foreign(applied: World) -> None:
    """The port, the addresses, the routes and their fences are its own, with the interface down, too."""
    assert applied.json("check", "--nodes")["findings"] == []
    applied.shell("w1", "ip link set wg0 down")
    assert applied.json("check", "--nodes")["findings"] == []


def test_what_keeps_k3s_from_a_machine_is_found_too(mended: World) -> None:
    """The machines of a lab have no systemd; those without a role are none of k3s' business."""
    mended.edit("private: [10.0.0.2] }", "private: [10.0.0.2], roles: [k3s-server] }")
    mended.fleet_file.write_text(mended.fleet_file.read_text() + "kubernetes: { version: v1.34.2+k3s1 }\n")
    findings = mended.json("check", "--nodes", expect=1)["findings"]
    assert [(one["node"], one["check"], one["what"]) for one in findings] == [
        ("cp1", "system", "k3s is run by systemd, and this machine has none: not supported yet")
    ]
