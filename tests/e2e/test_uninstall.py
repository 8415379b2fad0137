"""The network comes off its machines, whole, and off nobody else's: through the command line."""

from tests.e2e.world import World
from tests.faults.world import Mesh

LISTING = """
find /etc/wireguard /var/lib/wireloom /run/wireloom ! -name busy -type f
ip -br link show type wireguard; ip -br link show wg0
ip route show type unreachable; nft list tables
true
"""
NAME = "--yes-i-mean"
DEAF = (
    "table inet deaf { chain in { type filter hook input priority 0; tcp dport 22 reject with tcp reset; }; }"
)


def files(world: World, node: str) -> list[str]:
    return world.shell(node, LISTING).splitlines()


def endings(world: World, *words: str, expect: int = 0) -> dict[str, str]:
    told = world.json("uninstall", NAME, world.name, *words, expect=expect)
    return {one["node"]: one["ending"] for one in told["nodes"]}


def test_without_the_fleets_name_nothing_is_touched(mended: World) -> None:
    before = files(mended, "db1")
    asked = mended.run("uninstall", expect=1).stderr
    assert "wg0 goes off cp1, w1, cp2, db1, build1, with keys and history" in asked
    assert "Nobody can be asked here" in asked
    refused = mended.run("uninstall", NAME, "another", expect=1).stderr
    assert f"this fleet is `{mended.name}`, not `another`" in refused
    unknown = mended.run("uninstall", "db1", "db2", NAME, mended.name, expect=1).stderr
    assert "no node is named db2" in unknown
    assert files(mended, "db1") == before


def test_one_machine_goes_and_comes_back_as_a_new_one(mended: World) -> None:
    others = files(mended, "cp1")
    gone = mended.run("uninstall", "db1", NAME, mended.name)
    assert gone.stdout == (
        "db1: gone: interface wg0, route unreachable 10.99.0.0/16, table inet wireloom, its key and files\n"
    )
    assert "Take db1 out of fleet.yaml, or the next apply brings it back." in gone.stderr
    assert (files(mended, "db1"), files(mended, "cp1")) == ([], others)
    assert endings(mended, "db1") == {"db1": "unchanged"}
    mended.run("apply", "--yes")
    assert mended.settles("holds")


def test_who_does_not_answer_is_pending_and_who_is_not_ours_is_left(mended: World) -> None:
    mended.shell("db1", f"nft '{DEAF}'")
    mended.shell("w1", "cp -p /etc/wireguard/wg0.conf /root; echo '[Interface]' >/etc/wireguard/wg0.conf")
    try:
        told = mended.run("uninstall", "w1", "db1", "cp2", NAME, mended.name, expect=1)
        assert endings(mended, "db1", expect=2) == {"db1": "pending"}
    finally:
        mended.shell("db1", "nft delete table inet deaf")
        mended.shell("w1", "mv /root/wg0.conf /etc/wireguard/wg0.conf")
    assert "w1 stays as it is: /etc/wireguard/wg0.conf is not wireloom's: not touched." in told.stderr
    assert "w1: failed: /etc/wireguard/wg0.conf is not wireloom's: not touched\n" in told.stdout
    assert "db1: pending: " in told.stdout
    assert "cp2: gone: interface wg0" in told.stdout


def test_a_machine_that_another_apply_holds_is_left_and_the_others_go(mended: World) -> None:
    mended.shell("w1", "printf '%s\\n' other 99999999999 now ben@shed >/run/wireloom/wg0/lease")
    try:
        told = mended.json("uninstall", "w1", "cp2", NAME, mended.name, expect=1)
    finally:
        mended.shell("w1", "rm /run/wireloom/wg0/lease")
    first, second = told["nodes"]
    assert (first["ending"], first["step"]) == ("failed", "hold")
    assert "held by ben@shed since now" in first["detail"]
    assert second["ending"] == "changed"
    assert "/etc/wireguard/wg0.conf" in files(mended, "w1")


def test_what_was_cut_off_half_way_goes_on(mended: World) -> None:
    """/etc/wireguard can't be written: the interface has gone, and the file that it came from has not."""
    read_only = "mount --bind /etc/wireguard /etc/wireguard; mount -o remount,bind,ro /etc/wireguard"
    mended.shell("cp2", read_only)
    try:
        told = mended.json("uninstall", "cp2", NAME, mended.name, expect=1)["nodes"][0]
    finally:
        mended.shell("cp2", "umount /etc/wireguard")
    assert told["did"] == ["interface wg0", "route unreachable 10.99.0.0/16", "table inet wireloom"]
    assert told["detail"].startswith("not deleted: ")
    assert "Read-only file system" in told["detail"]
    assert endings(mended, "cp2") == {"cp2": "changed"}
    assert files(mended, "cp2") == []


def test_who_interrupts_it_is_told_how_it_stands(mended: World) -> None:
    fault = {"step": "hold", "node": "cp2", "when": "after", "do": "interrupt"}
    done = Mesh(mended).operate(fault, "uninstall", "cp2", NAME, mended.name)
    assert done.returncode == 130
    assert done.stderr.endswith(
        "What is gone is gone, the rest stays as it is: run this again.\n\nwireloom: interrupted\n"
    )
    assert endings(mended, "cp2") == {"cp2": "changed"}


def test_where_a_link_leads_to_stays_and_is_told(mended: World) -> None:
    mended.shell("w1", "mv /etc/wireguard/wg0.key /root/key; ln -s /root/key /etc/wireguard/wg0.key")
    gone = mended.run("uninstall", "w1", NAME, mended.name).stdout
    assert gone.endswith(", the link /etc/wireguard/wg0.key, and not /root/key, its key and files\n")
    assert mended.shell("w1", "ls /root/key; rm /root/key") == "/root/key\n"
    assert files(mended, "w1") == []


OTHER = "# Written by wireloom for db1, a node of the fleet other: change fleet.yaml, not this file."


def test_what_another_fleet_is_about_to_have_stays(mended: World) -> None:
    """Its first apply is under way: a file with a guard is there, another one staged, and no note yet."""
    mended.edit("10.99.0.0/16 }", "10.99.0.0/16, guard: false }")
    mended.run("apply", "--yes")
    mended.shell("db1", "nft add table inet wireloom")
    mended.shell("db1", f"cd /etc/wireguard; echo '{OTHER}' >wg1.conf; cp wg1.conf .wireloom/wg1.conf")
    mended.shell("db1", "ip link add wg1 type veth peer name wg1-")
    mended.shell("db1", "echo \"PreUp = nft 'add table inet wireloom'\" >>/etc/wireguard/wg1.conf")
    try:
        gone = mended.run("uninstall", "db1", NAME, mended.name).stdout
        assert gone == "db1: gone: interface wg0, route unreachable 10.99.0.0/16, its key and files\n"
        left = ["/etc/wireguard/.wireloom/wg1.conf", "/etc/wireguard/wg1.conf", "table inet wireloom"]
        assert sorted(files(mended, "db1")) == left
    finally:
        mended.shell(
            "db1",
            "cd /etc/wireguard; rm -r wg1.conf .wireloom; ip link del wg1; nft delete table inet wireloom",
        )


def test_the_whole_fleet_goes_and_nothing_is_left_of_it(mended: World) -> None:
    everybody = ("cp1", "w1", "cp2", "db1", "build1")
    gone = mended.run("uninstall", NAME, mended.name)
    assert gone.stdout.count(": gone: interface wg0") == len(everybody)
    assert "The next apply brings it back." in gone.stderr
    assert [files(mended, name) for name in everybody] == [[]] * 5
    again = mended.run("uninstall")
    assert again.stdout == "".join(f"{name}: nothing there\n" for name in everybody)
