"""Machines without systemd: the documentation says what starts the interface at boot, and is run here."""

from tests.documents import find_blocks
from tests.e2e.world import World

NODES = ("cp1", "w1", "cp2", "db1", "build1")

POWER_CUT = """\
ip link delete wg0
nft delete table inet wireloom
ip route flush type unreachable
"""
"""The running state goes, and what is on the disk stays."""

LEFT = "ip -br link show wg0; nft list tables; ip route show type unreachable"


def test_a_plan_says_that_there_is_no_boot_entry_and_an_apply_makes_it(world: World) -> None:
    planned = {(one["node"], one["action"], one["target"]) for one in world.json("plan", expect=2)["changes"]}
    assert {(node, "enable", "boot entry of wg0") for node in NODES} <= planned
    assert "boot entry of wg0" in world.run("apply", "--yes").stdout
    assert world.on("w1", "ls", "/var/lib/wireloom/boot") == "wg0\n"


def test_after_a_power_cut_the_documented_lines_bring_the_mesh_back(mended: World) -> None:
    boot, *_ = find_blocks("files-on-a-node.md", "Without systemd")
    for node in NODES:
        mended.shell(node, POWER_CUT)
        assert mended.shell(node, LEFT, expect=None) == ""
    assert mended.json("verify", expect=2)["verdict"] == "falsified"

    for node in NODES:
        mended.shell(node, boot)

    assert mended.settles("holds")
    assert mended.json("plan")["changes"] == []


def test_the_documented_lines_start_nothing_where_nothing_is_to_be_started(mended: World) -> None:
    boot, *_ = find_blocks("files-on-a-node.md", "Without systemd")
    mended.shell("w1", f"rm /var/lib/wireloom/boot/wg0\n{POWER_CUT}")
    mended.shell("w1", boot, expect=None)
    assert mended.shell("w1", LEFT, expect=None) == ""


def test_a_removed_boot_entry_is_drift_that_an_apply_mends(mended: World) -> None:
    mended.shell("w1", "rm /var/lib/wireloom/boot/wg0")
    (change,) = mended.json("plan", expect=2)["changes"]
    assert (change["node"], change["action"], change["target"]) == ("w1", "enable", "boot entry of wg0")

    mended.run("apply", "--yes")

    assert mended.on("w1", "ls", "/var/lib/wireloom/boot") == "wg0\n"
    assert mended.json("plan")["changes"] == []
