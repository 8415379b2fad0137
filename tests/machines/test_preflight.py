"""What keeps real machines from being ready: found at once, by machine; and plan and apply refuse, too."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from tests.machines import spoils
from tests.machines.machine import Machine
from tests.machines.machines import Machines

Found = set[tuple[str, str, str]]


def look(group: Machines, *, expect: int) -> Found:
    """Node, check and severity of every finding of ``check --nodes``."""
    document = group.operator.json("check", "--nodes", "--yes", expect=expect)
    assert document["ok"] == (expect == 0)
    return {(one["node"], one["check"], one["severity"]) for one in document["findings"]}


@pytest.fixture(autouse=True)
def nothing_is_left(fleet: Machines) -> Iterator[None]:
    """A test leaves the machines as it found them: ready."""
    yield
    assert look(fleet, expect=0) == set()


def test_machines_that_are_ready_are_told_in_one_line(fleet: Machines) -> None:
    done = fleet.operator.run("check", "--nodes", "--yes")
    assert done.stdout == ("fleet.yaml: 4 machines ready for wg0: 10.99.0.0/16, port 51820\n")


def test_a_look_leaves_no_trace(fleet: Machines) -> None:
    census = "find /etc /var/lib /root /tmp -newer /run/census -not -path '*/systemd/*'"
    for machine in fleet:
        machine.shell("sleep 0.02; : >/run/census; sleep 0.02")
    fleet.operator.run("check", "--nodes", "--yes")
    assert [machine.shell(census) for machine in fleet] == [""] * 4
    assert not fleet.operator.fleet_file.with_name("fleet.lock").exists()


SPOILT: dict[str, tuple[Callable[[Machine], AbstractContextManager[None]], str, str, str]] = {
    "a clock": (spoils.late_clock, "clock", "behind the median of 4 machines", "timedatectl set-ntp true"),
    "a port": (spoils.taken_port, "port", "UDP port 51820 is taken by perl (process ", "ss -anup"),
    "an interface": (
        spoils.foreign_interface,
        "range",
        "vpn0 has 10.99.7.7/24, which is in the underlay's range 10.99.0.0/16",
        "ip address del 10.99.7.7/24 dev vpn0",
    ),
    "a route": (
        spoils.foreign_route,
        "range",
        "the route 10.99.3.0/24 dev host0 leads into the underlay's range 10.99.0.0/16",
        "ip -4 route del 10.99.3.0/24 dev host0",
    ),
    "a rule": (
        spoils.foreign_rule,
        "range",
        "the route 10.99.0.0/16 dev host0 of table 100 leads into the underlay's range",
        "ip -4 rule del priority 99",
    ),
    "a tool": (
        lambda machine: spoils.hidden(machine, "/usr/bin/wg-quick"),
        "tools",
        "wg-quick not found",
        "apt-get install wireguard-tools",
    ),
    "nft": (
        lambda machine: spoils.hidden(machine, "/usr/sbin/nft"),
        "tools",
        "nft not found",
        "apt-get install nftables",
    ),
    "a full disk": (spoils.full_disk, "disk", "64 KiB free in /etc/wireguard", "df -h /etc/wireguard"),
    "a read-only disk": (
        spoils.read_only_disk,
        "disk",
        "the file system of /var/lib is read-only",
        "mount -o remount,rw",
    ),
    "capabilities": (spoils.no_capability, "capability", "it lacks CAP_NET_ADMIN", "CapabilityBoundingSet="),
}


@pytest.mark.parametrize(("spoil", "check", "what", "hint"), SPOILT.values(), ids=SPOILT)
def test_it_is_found_and_keeps_plan_and_apply_from_all_machines(
    spoil: Callable[[Machine], AbstractContextManager[None]],
    check: str,
    what: str,
    hint: str,
    fleet: Machines,
) -> None:
    with spoil(fleet["beta"]):
        done = fleet.operator.run("--json", "check", "--nodes", "--yes", expect=1)
        planned = fleet.operator.json("plan", "--yes", expect=1)
        applied = fleet.operator.run("apply", "--yes", expect=1)
    [one] = json.loads(done.stdout)["findings"]
    assert (one["node"], one["check"], one["severity"]) == ("w1", check, "error")
    assert what in one["what"]
    assert hint in one["hint"]
    assert [(refusal["where"], refusal["what"].split()[0]) for refusal in planned["refusals"]] == [
        ("w1", one["what"].split()[0])
    ]
    assert "w1: error: " in applied.stderr
    assert hint in applied.stderr
    assert [machine.run("find", "/etc/wireguard", "-type", "f") for machine in fleet] == [""] * 4


def test_without_a_module_and_without_tun_there_is_no_wireguard(fleet: Machines) -> None:
    in_kernel = "if test -d /sys/module/wireguard || modprobe -n wireguard; then echo yes; fi"
    if fleet["beta"].shell(in_kernel):
        pytest.skip("this kernel has WireGuard, and needs no /dev/net/tun")
    with spoils.no_tun(fleet["beta"]):
        done = fleet.operator.run("check", "--nodes", "--yes", expect=1)
    assert "w1: error: no WireGuard: kernel " in done.stdout
    assert "/dev/net/tun, which wireguard-go needs, can't be used" in done.stdout
    assert "modprobe tun" in done.stdout


def test_a_cloned_machine_id_is_found_on_the_clone(fleet: Machines) -> None:
    with spoils.copied(fleet["beta"], fleet["gamma"], "/etc/machine-id"):
        done = fleet.operator.run("check", "--nodes", "--yes", expect=1)
        number = fleet["beta"].run("cat", "/etc/machine-id").strip()
    assert "db1: error: its machine-id is that of `w1`, too" in done.stdout
    assert "systemd-machine-id-setup" in done.stdout
    assert number not in done.stdout + done.stderr


def test_a_cloned_ssh_host_key_is_found_on_the_clone(fleet: Machines) -> None:
    with spoils.copied_host_key(fleet["beta"], fleet["alpha"]):
        assert look(fleet, expect=1) == {("w1", "identity", "error")}


def test_a_tool_for_later_is_a_warning(fleet: Machines) -> None:
    with spoils.hidden(fleet["beta"], "/usr/bin/tcpdump"):
        done = fleet.operator.run("check", "--nodes", "--yes")
        planned = fleet.operator.json("plan", "--yes", expect=2)
    assert "w1: warning: tcpdump not found" in done.stdout
    assert "4 machines ready" in done.stdout
    assert [(one["where"], one["what"].split(":")[0]) for one in planned["notes"]] == [
        ("w1", "tcpdump not found")
    ]


def test_an_unknown_distribution_is_a_warning(fleet: Machines) -> None:
    with spoils.another_distribution(fleet["beta"], 'ID=templeos\nPRETTY_NAME="TempleOS 5"\n'):
        done = fleet.operator.run("check", "--nodes", "--yes")
    assert "w1: warning: TempleOS 5 is no distribution that wireloom knows" in done.stdout


def test_a_machine_that_does_not_answer_is_a_finding_and_the_others_are_looked_at(fleet: Machines) -> None:
    with fleet["beta"].cut_off(), spoils.foreign_route(fleet["delta"]):
        found = look(fleet, expect=1)
    assert found == {("w1", "answer", "error"), ("far1", "range", "error")}


def test_a_login_that_fails_is_a_finding(fleet: Machines) -> None:
    fleet.operator.edit("user: deploy", "user: nobody-there")
    try:
        done = fleet.operator.run("check", "--nodes", "--yes", expect=1)
    finally:
        fleet.operator.edit("user: nobody-there", "user: deploy")
    assert "w1: error: no key was accepted for nobody-there@203.0.113.2" in done.stdout


@contextmanager
def a_bad_day(group: Machines) -> Iterator[Found]:
    """Everything at once, and what must be found."""
    alpha, beta, gamma, delta = group
    with ExitStack() as stack:
        for spoil in (
            spoils.late_clock(alpha),
            spoils.foreign_interface(alpha),
            spoils.taken_port(beta),
            spoils.full_disk(beta),
            spoils.hidden(beta, "/usr/bin/wg"),
            spoils.copied(gamma, beta, "/etc/machine-id"),
            spoils.read_only_disk(gamma),
            spoils.no_capability(delta),
            spoils.foreign_route(delta),
            spoils.hidden(delta, "/usr/bin/tcpdump"),
        ):
            stack.enter_context(spoil)
        yield {
            *(("cp1", "clock", "error"), ("cp1", "range", "error")),
            *(("w1", "port", "error"), ("w1", "disk", "error"), ("w1", "tools", "error")),
            *(("db1", "identity", "error"), ("db1", "disk", "error")),
            *(("far1", "capability", "error"), ("far1", "range", "error"), ("far1", "tools", "warning")),
        }


def test_all_is_found_at_once(fleet: Machines) -> None:
    with a_bad_day(fleet) as expected:
        found = look(fleet, expect=1)
        told = fleet.operator.run("check", "--nodes", "--yes", expect=1).stdout.splitlines()
    assert found == expected
    assert [line.split(":")[0] for line in told if ": error: " in line or ": warning: " in line] == [
        *["cp1"] * 2,
        *["w1"] * 3,
        *["db1"] * 2,
        *["far1"] * 3,
    ]
    assert told[-1] == "fleet.yaml: not ready: 9 errors on 4 of 4 machines"
