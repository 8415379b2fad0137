"""The network comes off machines with a real systemd: what is left is what was there before."""

from tests.machines.machine import Machine
from tests.machines.machines import Machines

STANDS = """
find /etc/wireguard /var/lib/wireloom /run/wireloom /etc/systemd/system /run/systemd/system \\
    ! -name busy '(' -type f -o -type l ')' 2>/dev/null | sort
ip -br link; ip route show table all | grep -v -e ' fe80:' -e '^fe80:' -e 'ff00:'
nft list ruleset; pgrep wireguard-go
systemctl list-units --all --plain --no-legend 'wg-quick@*' 'wireloom*'
true
"""
UNINSTALL = ("uninstall", "--yes-i-mean", "real")


def stands(machine: Machine) -> list[str]:
    return machine.shell(STANDS).splitlines()


RIDER = """\
[Unit]
Wants=wg-quick@wg0.service
After=wg-quick@wg0.service
[Service]
ExecStart=/bin/sleep infinity
"""


def add_rider(fleet: Machines) -> None:
    """One is in the cluster: its unit refuses a stop by hand, and another keeps it in systemd's memory."""
    file = fleet.operator.fleet_file
    file.write_text(file.read_text().replace("w1: { site: fsn", "w1: { site: fsn, roles: [k3s-agent]"))
    fleet["beta"].write("/etc/systemd/system/rider.service", RIDER)
    fleet["beta"].shell("systemctl daemon-reload; systemctl start rider; systemctl reset-failed")


def test_what_is_left_is_what_was_there(fleet: Machines) -> None:
    add_rider(fleet)
    names = ("alpha", "beta", "gamma", "delta")
    before = {name: stands(fleet[name]) for name in names}
    fleet.operator.run("apply", "--yes")
    assert "RefuseManualStop=yes" in fleet["beta"].shell("systemctl show -p RefuseManualStop wg-quick@wg0")
    fleet.operator.run(*UNINSTALL)
    after = {name: stands(fleet[name]) for name in names}
    assert [line for name in names for line in {*after[name]} ^ {*before[name]}] == []
    assert fleet.operator.run("uninstall").stdout.count(": nothing there\n") == len(names)
    assert fleet["beta"].shell(
        "test ! -e /var/lib/wireloom && systemctl show -p RefuseManualStop wg-quick@wg0"
    ) == ("RefuseManualStop=no\n")


def test_it_is_built_again(fleet: Machines) -> None:
    fleet.operator.run("apply", "--yes")
    fleet.operator.run("plan")
    assert fleet.operator.settles("holds")


def test_the_way_over_the_network_itself_is_not_cut(fleet: Machines) -> None:
    """db1 and w1 are reached from cp1, here by their underlay addresses; w1 with sudo."""
    fleet.operator.run("apply", "--yes")
    file = fleet.operator.fleet_file
    kept = file.read_text()
    inside = kept.replace("host: 203.0.113.3", "host: 10.99.0.3")
    file.write_text(inside.replace("host: 203.0.113.2, user", "host: 10.99.0.2, jump: cp1, user"))
    try:
        refused = fleet.operator.run(*UNINSTALL, "--yes", expect=1).stderr
        between = fleet.operator.run(*UNINSTALL, "cp1", "--yes", expect=1).stderr
    finally:
        file.write_text(kept)
    assert "w1, db1: error: you come to it over wg0 itself" in refused
    assert "w1, db1: error: you come to it over wg0, by way of cp1" in between
    fleet.operator.run("plan")
    assert fleet.operator.settles("holds")


def test_k3s_that_rode_on_it_at_the_last_apply_keeps_it(fleet: Machines) -> None:
    """Its role is off the file, and nothing was applied since: the drop-in still says so."""
    fleet.operator.run("apply", "--yes")
    file, beta = fleet.operator.fleet_file, fleet["beta"]
    kept = file.read_text()
    file.write_text(kept.replace(", roles: [k3s-agent]", ""))
    beta.write("/etc/systemd/system/k3s-agent.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    try:
        refused = fleet.operator.run(*UNINSTALL, "w1", expect=1).stderr
        assert "w1: error: k3s is there, and not wireloom's: it may ride on the network" in refused
        fleet.operator.run("apply", "--yes")
        fleet.operator.run(*UNINSTALL, "w1")
    finally:
        file.write_text(kept)
        beta.run("rm", "/etc/systemd/system/k3s-agent.service")


def test_an_interface_that_went_by_hand_is_no_hindrance(fleet: Machines) -> None:
    fleet.operator.run("apply", "--yes")
    fleet["alpha"].run("ip", "link", "delete", "wg0")
    fleet["beta"].run("rm", "/etc/wireguard/wg0.conf")
    fleet["gamma"].shell("systemctl --quiet disable --now wg-quick@wg0; rm /var/lib/wireloom/wg0.state")
    fleet["delta"].run("systemctl", "mask", "wg-quick@wg0")
    # What was staged when an operator was killed has the key in it.
    fleet["delta"].shell("cp /etc/wireguard/wg0.conf /etc/wireguard/.wireloom/bare.conf")
    fleet.operator.run(*UNINSTALL)
    assert fleet["alpha"].run("systemctl", "is-active", "wg-quick@wg0", expect=3) == "inactive\n"
    assert fleet.operator.run("uninstall").stdout.count(": nothing there\n") == 4
    for name in ("alpha", "beta", "gamma", "delta"):
        assert fleet[name].shell("ls -A /etc/wireguard; nft list tables; ip -br link show wg0 2>&1 || :") == (
            'Device "wg0" does not exist.\n'
        )
    assert fleet["delta"].shell(
        "cd /etc/systemd/system; ls -d *.wants/wg-quick@wg0.service wg-quick@wg0.service 2>&1 || :"
    ) == (
        "ls: cannot access '*.wants/wg-quick@wg0.service': No such file or directory\nwg-quick@wg0.service\n"
    )
