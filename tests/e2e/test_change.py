"""Changes on a running mesh: what did not change must not feel them."""

import subprocess
import time
from pathlib import Path

from tests.e2e.world import WIRELOOM, World, lost_packets


def ping_all_the_while(world: World, node: str, address: str) -> object:
    """200 packets a second for six seconds."""
    return world.popen("lab", "exec", node, "--", "ping", "-q", "-i", "0.005", "-c", "1200", address)


def test_a_peer_comes_and_goes_and_nobody_else_loses_a_packet(mended: World) -> None:
    whole = mended.fleet_file.read_text()
    mended.without("db1")
    mended.run("apply", "--yes")
    interface = mended.on("w1", "cat", "/sys/class/net/wg0/ifindex")
    pings = [ping_all_the_while(mended, "w1", "10.99.0.1"), ping_all_the_while(mended, "build1", "10.99.0.3")]

    mended.fleet_file.write_text(whole)
    mended.run("apply", "--yes")
    mended.without("db1")
    mended.run("apply", "--yes")

    assert [lost_packets(ping.communicate(timeout=60)[0]) for ping in pings] == [0, 0]
    assert mended.on("w1", "cat", "/sys/class/net/wg0/ifindex") == interface


def test_a_removed_node_renumbers_nobody_and_gets_its_address_back(mended: World) -> None:
    mended.without("cp2")
    mended.run("apply", "--yes")
    assert mended.on("db1", "wg", "show", "wg0", "peers").count("\n") == 3
    assert "10.99.0.4/16" in mended.on("db1", "ip", "-br", "address", "show", "wg0")


def test_a_node_that_does_not_answer_is_pending_and_stays_a_peer(mended: World) -> None:
    mended.shell("db1", "kill $(cat /run/sshd/pid)")
    key = mended.on("db1", "wg", "show", "wg0", "public-key").strip()
    mended.without("cp2")

    pending = mended.run("apply", "--yes", expect=2)

    assert "db1" in pending.stdout + pending.stderr
    assert key in mended.on("w1", "wg", "show", "wg0", "peers")
    mended.on("w1", "ping", "-c", "1", "-W", "2", "10.99.0.4")
    assert mended.json("plan", expect=1)["unreachable"][0]["node"] == "db1"
    mended.shell("db1", "/usr/sbin/sshd -f /run/sshd/config")
    caught_up = mended.run("apply", "--yes")
    assert "1 changed" in caught_up.stdout


def test_hand_made_drift_is_seen_and_put_right(mended: World) -> None:
    key = mended.on("cp1", "wg", "show", "wg0", "public-key").strip()
    mended.shell(
        "w1",
        f"wg set wg0 peer {key} allowed-ips 10.99.0.200/32 persistent-keepalive 7;"
        " ip address add 10.99.0.77/16 dev wg0; ip link set wg0 mtu 1300; chmod 644 /etc/wireguard/wg0.conf;"
        " ip route del unreachable 10.99.0.0/16; echo '# by hand' >>/etc/wireguard/wg0.conf;"
        " wg set wg0 fwmark 51; chown 1234 /etc/wireguard/wg0.conf /etc/wireguard/wg0.key",
    )

    targets = {change["target"] for change in mended.json("plan", expect=2)["changes"]}

    assert targets == {
        "file /etc/wireguard/wg0.conf",
        "key /etc/wireguard/wg0.key",
        "peer cp1",
        "address 10.99.0.77/16",
        "mtu of wg0",
        "fwmark of wg0",
        "route unreachable 10.99.0.0/16",
    }
    mended.run("apply", "--yes")
    assert mended.json("plan")["changes"] == []
    assert mended.json("verify")["verdict"] == "holds"
    owners = mended.shell("w1", "stat -c '%u %a' /etc/wireguard/wg0.conf /etc/wireguard/wg0.key")
    assert owners == "0 600\n0 600\n"


def test_a_file_with_another_key_is_written_anew_before_a_reboot_reads_it(mended: World) -> None:
    key = mended.on("w1", "wg", "show", "wg0", "public-key").strip()
    mended.shell("w1", 'sed -i "s,^PrivateKey = .*,PrivateKey = $(wg genkey)," /etc/wireguard/wg0.conf')
    [change] = mended.json("plan", expect=2)["changes"]
    assert (change["target"], change["reason"]) == (
        "file /etc/wireguard/wg0.conf",
        "its private key is not the one in /etc/wireguard/wg0.key",
    )
    mended.run("apply", "--yes")
    mended.shell("w1", "wg-quick down wg0; wg-quick up wg0")
    assert mended.on("w1", "wg", "show", "wg0", "public-key").strip() == key
    assert mended.settles("holds")


def test_a_link_that_leads_nowhere_is_not_taken_for_no_file(mended: World) -> None:
    """A vault that is not open, say: nothing is written through it, and nothing in its place."""
    mended.shell("w1", "cd /etc/wireguard && mv wg0.conf wg0.away && ln -s /mnt/vault/wg0.conf wg0.conf")
    refused = mended.run("apply", "--yes", expect=1)
    assert "w1: error: /etc/wireguard/wg0.conf is not wireloom's and is never overwritten" in refused.stderr
    assert mended.on("w1", "readlink", "/etc/wireguard/wg0.conf") == "/mnt/vault/wg0.conf\n"
    mended.shell("w1", "cd /etc/wireguard && mv wg0.away wg0.conf")


def test_a_machine_that_lost_its_key_gets_a_new_one_and_everybody_learns_it(mended: World) -> None:
    old = mended.on("w1", "wg", "show", "wg0", "public-key").strip()
    mended.shell("w1", "wg-quick down wg0; rm /etc/wireguard/wg0.key /etc/wireguard/wg0.conf")

    mended.run("apply", "--yes")

    new = mended.on("w1", "wg", "show", "wg0", "public-key").strip()
    peers = mended.on("cp1", "wg", "show", "wg0", "peers")
    assert new != old
    assert new in peers
    assert old not in peers
    assert mended.json("verify")["verdict"] == "holds"


def test_a_change_of_port_and_range_arrives(mended: World) -> None:
    mended.edit("ipv4: 10.99.0.0/16", "ipv4: 10.77.0.0/24, port: 51999")
    mended.run("apply", "--yes")
    assert mended.on("cp1", "wg", "show", "wg0", "listen-port").strip() == "51999"
    assert mended.json("verify")["verdict"] == "holds"
    assert mended.json("plan")["changes"] == []


def until_let_go(world: World) -> None:
    """Apply, again and again while the machines are held for an operator who is not there any more."""
    for _ in range(12):
        done = world.run("apply", "--yes", expect=None)
        if "held by" not in done.stdout:
            break
        time.sleep(2)
    assert done.returncode == 0, done.stdout + done.stderr
    time.sleep(15)  # with nothing to do it asks no machine whether it is held


def test_the_operator_is_killed_at_any_moment_and_the_next_apply_converges(mended: World) -> None:
    whole = mended.fleet_file.read_text()
    for milliseconds in (150, 300, 450, 600, 750, 900, 1050):
        mended.fleet_file.write_text(whole)
        if milliseconds % 100:
            mended.without("db1")
        operator = mended.popen("apply", "--yes", "--confirm-within", "5s")
        time.sleep(milliseconds / 1000)
        operator.kill()
        operator.communicate(timeout=30)
        assert mended.run("plan", expect=None).returncode in {0, 2}
    mended.fleet_file.write_text(whole)
    until_let_go(mended)
    assert mended.json("plan")["changes"] == []
    assert mended.json("verify")["verdict"] == "holds"


def test_a_fleet_is_not_moved_to_another_interface_beside_its_old_one(mended: World) -> None:
    mended.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, interface: wl0")
    refused = mended.run("apply", "--yes", expect=1)
    told = "error: this fleet is on wg0 there, and can't be moved to wl0"
    assert f"cp1, w1, cp2, db1, build1: {told}" in refused.stderr
    assert mended.on("w1", "ls", "/etc/wireguard").split() == ["wg0.conf", "wg0.key"]


def test_a_lab_that_was_not_named_is_not_taken_down(mended: World, tmp_path: Path) -> None:
    done = subprocess.run(
        [WIRELOOM, "lab", "down"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "fleet.yaml" in done.stderr) == (1, True)
    assert mended.on("w1", "true") == ""


def test_a_lab_of_another_file_is_not_taken_down(mended: World, tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(mended.fleet_file.read_text())
    done = subprocess.run(
        [WIRELOOM, "lab", "down"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, f"was built from {mended.fleet_file}" in done.stderr) == (1, True)
    assert mended.on("w1", "true") == ""


def test_a_range_can_grow_although_its_old_fence_lay_inside(mended: World) -> None:
    mended.edit("ipv4: 10.99.0.0/16", "ipv4: 10.96.0.0/12")
    mended.run("apply", "--yes")
    assert mended.settles("holds")
    assert mended.json("plan")["changes"] == []


def test_a_detour_in_clear_is_not_taken_for_an_answer(mended: World) -> None:
    """Both ends have a more special route beside the tunnel, and every ping is answered."""
    mended.shell("cp1", "nft delete table inet wireloom; ip route add 10.99.0.2/32 via 10.0.0.3")
    mended.shell("w1", "nft delete table inet wireloom; ip route add 10.99.0.1/32 via 10.0.0.2")
    assert mended.on("cp1", "ping", "-c", "1", "-W", "2", "10.99.0.2")
    found = mended.json("verify", expect=2)
    assert {(one["from"], one["to"]) for one in found["claims"] if one["verdict"] == "falsified"} == {
        ("cp1", "w1"),
        ("w1", "cp1"),
    }
    mended.shell("cp1", "ip route del 10.99.0.2/32 via 10.0.0.3")
    mended.shell("w1", "ip route del 10.99.0.1/32 via 10.0.0.2")
