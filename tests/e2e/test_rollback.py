"""A change that can't be proven is taken back, and said so."""

import signal
import time

import pytest

from tests.e2e.world import World

NODES = ("cp1", "w1", "cp2", "build1")


def running(world: World) -> list[str]:
    """Files, notes and running peers of the nodes, without what goes by itself."""
    look = (
        "sha256sum /etc/wireguard/wg0.conf /var/lib/wireloom/wg0.state; ls -A /etc/wireguard/.wireloom;"
        " wg show wg0 allowed-ips | sort; wg show wg0 persistent-keepalive | sort;"
        " ip -br address show wg0; ip route"
    )
    return [world.shell(node, look) for node in NODES]


def test_a_peer_that_never_answers_is_taken_back_everywhere(mended: World) -> None:
    whole = mended.fleet_file.read_text()
    mended.without("db1")
    mended.run("apply", "--yes")
    before = running(mended)
    mended.fleet_file.write_text(whole)
    mended.shell(
        "db1",
        "nft add table ip cut; nft add chain ip cut in '{ type filter hook input priority 0; }';"
        " nft add rule ip cut in udp dport 51820 drop",
    )

    failed = mended.run("apply", "--yes", "--confirm-within", "12s", expect=1)  # 9 s of them for a proof

    mended.shell("db1", "nft delete table ip cut")
    assert "no answer over the underlay from db1 (10.99.0.4)" in failed.stdout
    assert "taken back" in failed.stdout
    assert running(mended) == before
    mended.on("w1", "ping", "-c", "1", "-W", "2", "10.99.0.1")
    mended.run("apply", "--yes")
    assert mended.settles("holds")


def test_a_full_disk_stops_everything_before_anything_is_live(mended: World) -> None:
    mended.without("db1")
    before = running(mended)
    mended.shell("w1", "mount -t tmpfs -o size=4k full /etc/wireguard/.wireloom")
    mended.shell("w1", "head -c 4096 /dev/zero >/etc/wireguard/.wireloom/filler")

    failed = mended.run("apply", "--yes", expect=1)

    mended.shell("w1", "umount /etc/wireguard/.wireloom")
    assert "is the disk full, or read-only?" in failed.stdout
    assert running(mended) == before


@pytest.mark.parametrize("seconds", [0.4, 0.7, 1.0])
def test_after_an_interrupt_the_next_apply_converges(mended: World, seconds: float) -> None:
    mended.without("db1")
    operator = mended.popen("apply", "--yes")
    time.sleep(seconds)
    operator.send_signal(signal.SIGINT)
    talk, _ = operator.communicate(timeout=60)

    assert "this is a bug in wireloom" not in talk
    mended.run("apply", "--yes")
    assert mended.json("plan")["changes"] == []
    assert all("10.99.0.4" not in one for one in running(mended))
