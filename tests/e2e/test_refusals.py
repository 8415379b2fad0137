"""What wireloom must not touch, it does not touch, and says what to do."""

import pytest

from tests.e2e.world import World


def test_a_configuration_of_somebody_else_is_never_overwritten(world: World) -> None:
    world.shell("w1", "printf '[Interface]\\nPrivateKey = %s\\n' $(wg genkey) >/etc/wireguard/wg0.conf")
    before = world.shell("w1", "cat /etc/wireguard/wg0.conf; stat -c %Y /etc/wireguard/wg0.conf")

    refused = world.run("apply", "--yes", expect=1)

    assert "w1: error: /etc/wireguard/wg0.conf is not wireloom's" in refused.stderr
    assert "mv /etc/wireguard/wg0.conf" in refused.stderr
    assert world.shell("w1", "cat /etc/wireguard/wg0.conf; stat -c %Y /etc/wireguard/wg0.conf") == before
    assert world.shell("cp1", "ls /etc/wireguard") == "", "nobody else may have been touched either"
    world.shell("w1", "rm /etc/wireguard/wg0.conf")


def test_an_interface_of_somebody_else_is_not_taken_over(world: World) -> None:
    world.shell("w1", "ip link add wg0 type veth peer name other")
    refused = world.run("apply", "--yes", expect=1)
    assert "an interface wg0 is up that wireloom did not make" in refused.stderr
    world.shell("w1", "ip link del wg0")


@pytest.mark.parametrize("content", ["", "not a key\\n"], ids=["emptied", "garbage"])
def test_a_broken_key_file_is_not_guessed_at(world: World, content: str) -> None:
    world.shell("w1", f"printf '{content}' >/etc/wireguard/wg0.key")
    refused = world.run("apply", "--yes", expect=1)
    assert "/etc/wireguard/wg0.key holds no WireGuard key" in refused.stderr
    world.shell("w1", "rm /etc/wireguard/wg0.key")


def test_cloned_machines_are_named(world: World) -> None:
    key = world.shell("w1", "umask 077; wg genkey | tee /etc/wireguard/wg0.key").strip()
    world.shell("cp2", f"umask 077; echo {key} >/etc/wireguard/wg0.key")
    refused = world.run("apply", "--yes", expect=1)
    assert "cp2: error: its private key is that of `w1`, too" in refused.stderr
    assert key not in refused.stderr
    world.shell("w1", "rm /etc/wireguard/wg0.key")
    world.shell("cp2", "rm /etc/wireguard/wg0.key")


def test_missing_tools_are_named_with_their_packages(world: World) -> None:
    world.shell("w1", "mount --bind /dev/null /usr/bin/wg-quick")
    refused = world.run("plan", expect=None)
    world.shell("w1", "umount /usr/bin/wg-quick")
    assert refused.returncode == 1
    assert "apt-get install wireguard-tools" in refused.stderr


def test_nobody_is_asked_where_nobody_is(world: World) -> None:
    refused = world.run("apply", expect=1)
    assert "--yes" in refused.stderr


def test_a_changed_host_key_stops_everything(applied: World) -> None:
    applied.shell(
        "w1",
        "kill $(cat /run/sshd/pid); rm /etc/ssh/lab_host_key*;"
        " ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/lab_host_key; /usr/sbin/sshd -f /run/sshd/config",
    )
    refused = applied.run("apply", "--yes", expect=1)
    assert "the host key of w1" in refused.stderr
    assert "SHA256:" in refused.stderr
    assert applied.json("verify", expect=1)["verdict"] == "unknown"


def test_a_newer_generation_is_not_overwritten(applied: World) -> None:
    applied.shell("cp1", "sed -i s/generation=.*/generation=99/ /var/lib/wireloom/wg0.state")
    refused = applied.run("apply", "--yes", expect=1)
    assert "cp1: error: it is at generation 99" in refused.stderr
    applied.shell("cp1", "sed -i s/generation=.*/generation=1/ /var/lib/wireloom/wg0.state")


def test_a_machine_of_another_fleet_is_not_taken(applied: World) -> None:
    applied.shell("cp1", "sed -i s/fleet=.*/fleet=other/ /var/lib/wireloom/wg0.state")
    refused = applied.run("plan", expect=1)
    assert "in the fleet `other`" in refused.stderr


def test_a_lab_fleet_is_dialled_in_its_lab_alone(tmp_path: object) -> None:
    from tests.e2e.world import make_world

    homeless = make_world(tmp_path)
    refused = homeless.run("plan", expect=1)
    assert "is not up" in refused.stderr
    assert "wireloom lab up" in refused.stderr
