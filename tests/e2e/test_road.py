"""The whole road on five machines: plan, apply, verify, status, and once more with nothing to do."""

import json
from pathlib import Path

import pytest

from tests.e2e.world import World

FILES = "/etc/wireguard/wg0.conf /etc/wireguard/wg0.key /var/lib/wireloom/wg0.state"


def test_a_plan_names_every_change_and_writes_nothing(world: World) -> None:
    before = {path: path.read_bytes() for path in world.directory.rglob("*") if path.is_file()}

    plan = world.json("plan", expect=2)

    assert plan["version"] == 1
    changes = {(one["node"], one["action"], one["target"]) for one in plan["changes"]}
    for node, peer in (("cp1", "w1"), ("cp1", "build1"), ("build1", "db1")):
        assert (node, "create", f"peer {peer}") in changes
    assert ("w1", "create", "key /etc/wireguard/wg0.key") in changes
    assert all(set(one) == {"node", "action", "target", "reason", "risk"} for one in plan["changes"])
    assert before == {path: path.read_bytes() for path in world.directory.rglob("*") if path.is_file()}
    assert world.shell("cp1", "ls /etc/wireguard") == ""


def test_verify_before_the_first_apply_is_not_good(world: World) -> None:
    evidence = world.json("verify", expect=2)
    assert evidence["verdict"] == "falsified"


def test_apply_then_every_claim_holds_and_nothing_is_left_to_do(applied: World) -> None:
    evidence = applied.json("verify")

    assert evidence["version"] == 1
    assert evidence["verdict"] == "holds"
    kinds = {"answers", "handshake", "peers", "mtu", "canary", "dial", "fragments"}
    assert {claim["claim"] for claim in evidence["claims"]} == kinds == set(evidence["kinds"])
    pairs = {(claim["from"], claim["to"]) for claim in evidence["claims"] if claim["claim"] == "answers"}
    assert len(pairs) == 5 * 4
    assert all(
        set(one) == {"claim", "from", "to", "verdict", "detail", "packets"} for one in evidence["claims"]
    )
    assert applied.json("plan")["changes"] == []


def test_a_second_apply_touches_nothing(applied: World) -> None:
    nodes = ("cp1", "w1", "cp2", "db1", "build1")

    def look() -> list[str]:
        seen = [
            applied.shell(node, f"stat -c '%n %Y %y %i' {FILES}; wg show wg0 peers | sort") for node in nodes
        ]
        return [*seen, str(applied.lock_file.stat().st_mtime_ns), applied.lock_file.read_text()]

    before = look()
    applied.run("apply", "--yes")
    assert look() == before


def test_private_keys_are_on_their_machines_only(applied: World) -> None:
    keys = [applied.shell(node, "cat /etc/wireguard/wg0.key").strip() for node in ("cp1", "w1", "build1")]
    assert len(set(keys)) == 3
    talk = applied.run("-v", "apply", "--yes")
    kept = b"".join(path.read_bytes() for path in applied.directory.rglob("*") if path.is_file())
    for key in keys:
        assert key.encode() not in kept
        assert key not in talk.stdout + talk.stderr
        assert (
            applied.shell("cp2", f"grep -r '{key[:43]}' /etc/wireguard /var/lib /run /tmp /root", expect=1)
            == ""
        )


@pytest.mark.parametrize("path", ["/etc/wireguard/wg0.conf", "/etc/wireguard/wg0.key"])
def test_files_with_keys_are_roots_alone(applied: World, path: str) -> None:
    assert applied.shell("w1", f"stat -c '%a %U' {path}").strip() == "600 root"


def test_the_file_brings_the_network_back_by_itself(applied: World) -> None:
    applied.shell("w1", "wg-quick down wg0 && wg-quick up wg0")
    assert applied.json("plan")["changes"] == []
    # Who can't be dialled still has the old session, and tries a new one after 15 s without an answer.
    assert applied.settles("holds")


def test_the_lock_holds_public_facts_and_is_the_labs(applied: World) -> None:
    lock = json.loads(applied.lock_file.read_text())
    assert lock["nodes"]["cp1"]["ipv4"] == "10.99.0.1"
    assert lock["nodes"]["cp1"]["public_key"] == applied.on("cp1", "wg", "show", "wg0", "public-key").strip()
    assert lock["nodes"]["cp1"]["ssh_host_key"].startswith("ssh-ed25519 ")
    assert not (applied.directory / "fleet.lock").exists()


def test_status_shows_every_peer_alive(applied: World) -> None:
    applied.run("verify")
    status = applied.json("status")
    assert [node["state"] for node in status["nodes"]] == ["up"] * 5
    assert all(node["peers"] == {"fresh": 4, "all": 4} for node in status["nodes"])
    assert "cp1" in applied.run("status").stdout


def test_a_saved_plan_is_applied_or_refused(mended: World) -> None:
    saved = mended.directory / "next.plan"
    mended.edit("underlay: { ipv4: 10.99.0.0/16 }", "underlay: { ipv4: 10.99.0.0/16, mtu: 1400 }")
    mended.run("plan", "-o", str(saved), expect=2)
    mended.shell("w1", "ip link set wg0 mtu 1380")

    refused = mended.run("apply", str(saved), expect=1)
    assert "have changed since this plan" in refused.stderr
    assert mended.shell("cp1", "cat /sys/class/net/wg0/mtu").strip() == "1440"

    mended.shell("w1", "ip link set wg0 mtu 1440")
    mended.run("apply", str(saved))
    assert mended.shell("cp1", "cat /sys/class/net/wg0/mtu").strip() == "1400"


def test_export_is_what_the_machines_have(applied: World, tmp_path: Path) -> None:
    applied.run("export", "-o", str(tmp_path))
    exported = (tmp_path / "w1.conf").read_text()
    there = applied.on("w1", "cat", "/etc/wireguard/wg0.conf")
    keyless = [line for line in there.splitlines() if not line.startswith("PrivateKey = ")]
    assert [line for line in exported.splitlines() if not line.startswith("# ") or line in keyless] == keyless


def test_the_host_of_the_lab_is_left_alone(applied: World) -> None:
    import subprocess

    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert "wg0" not in links
    assert applied.name not in spaces
