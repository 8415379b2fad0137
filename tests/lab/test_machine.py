"""A real lab on this computer: its machines, who reaches whom, and how it is entered and dialled."""

import asyncio
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.fleets import lab_name, node, quiet, three_places
from wireloom.errors import UserError
from wireloom.lab.dial import LabDialer
from wireloom.lab.machine import down, enter, entry, up
from wireloom.transport.port import TransportError

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shop():
    one = three_places(lab_name("shop"))
    try:
        yield one, up(one, quiet)
    finally:
        down(one.name)


def _run(lab, target: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        entry(lab, target, list(argv)), capture_output=True, text=True, check=False, timeout=20
    )


def _banner(lab, one, machine: str) -> bytes:
    async def first_bytes():
        made, address = LabDialer(lab, one).open_socket(machine)
        with made:
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_connect(made, address), 5)
            return await asyncio.wait_for(loop.sock_recv(made, 8), 5)

    return asyncio.run(first_bytes())


@pytest.mark.parametrize("machine", ["cp1", "w1", "cp2", "inner", "build1", "bare"])
def test_the_sshd_of_every_machine_answers_through_the_dialer(shop, machine):
    one, lab = shop
    assert _banner(lab, one, machine) == b"SSH-2.0-"


async def test_the_ssh_transport_logs_in_as_root_of_the_right_machine(shop):
    from wireloom.transport.ssh import SshTransport

    one, lab = shop
    async with SshTransport(
        {"cp2": one.nodes["cp2"].ssh},
        pinned={},
        accept_new=True,
        dial=LabDialer(lab, one),
        identity=lab.identity,
        use_config=False,
    ) as transport:
        connection = await transport.connect("cp2")
        done = await connection.run("id -un; hostname; echo $HOME; command -v wg ip nft", timeout=10)
        await connection.close()
    assert [*done.stdout.split()[:3], str(done.status)] == ["root", "cp2", "/root", "0"]


def test_dialling_leaves_the_thread_where_it_was(shop):
    one, lab = shop
    before = Path("/proc/thread-self/ns/net").readlink()
    LabDialer(lab, one).open_socket("cp1")[0].close()
    assert Path("/proc/thread-self/ns/net").readlink() == before


def test_a_machine_that_the_lab_does_not_have_is_a_transport_error(shop):
    one, lab = shop
    later = replace(one, nodes={**one.nodes, "new": node("new", "fsn", "203.0.113.99")})
    with pytest.raises(TransportError, match="has no machine new"):
        LabDialer(lab, later).open_socket("new")


@pytest.mark.parametrize(
    ("source", "target", "answers"),
    [
        pytest.param("cp1", "198.51.100.20", True, id="public to public, IPv4"),
        pytest.param("cp1", "2001:db8:1::20", True, id="public to public, IPv6"),
        pytest.param("cp1", "203.0.113.11", True, id="public to public inside a site"),
        pytest.param("cp1", "10.0.0.3", True, id="private inside a site"),
        pytest.param("cp2", "10.0.0.3", True, id="the same private range in the other site"),
        pytest.param("build1", "203.0.113.10", True, id="NATed to public, IPv4"),
        pytest.param("build1", "2001:db8::10", True, id="NATed to public, IPv6"),
        pytest.param("bare", "198.51.100.20", True, id="a machine without addresses of its own dials out"),
        pytest.param("build1", "10.0.0.3", False, id="NATed to another site's private network"),
        pytest.param("cp1", "192.168.178.40", False, id="public to NATed"),
        pytest.param("inner", "203.0.113.10", False, id="private only without NAT to the internet"),
        pytest.param("@operator", "203.0.113.10", True, id="operator to public"),
        pytest.param("@operator", "10.0.0.2", False, id="operator to private"),
        pytest.param("@office", "192.168.178.40", True, id="router to its own site"),
        pytest.param("@internet", "2001:db8:1::20", True, id="the internet itself"),
    ],
)
def test_who_reaches_whom(shop, source, target, answers):
    assert (_run(shop[1], source, "ping", "-n", "-c1", "-W1", target).returncode == 0) == answers


def test_the_same_private_address_is_another_machine_in_another_site(shop):
    _, lab = shop
    hosts = [_run(lab, at, "bash", "-c", "exec 3<>/dev/tcp/10.0.0.2/$0 && head -c7 <&3", port) for at, port in
             (("@fsn", "22"), ("@ams", "2222"), ("@ams", "22"))]  # fmt: skip
    assert [one.stdout for one in hosts] == ["SSH-2.0", "SSH-2.0", ""]


def test_a_machine_behind_nat_is_seen_as_its_router(shop):
    _, lab = shop
    script = "exec 3<>/dev/tcp/203.0.113.10/22 && head -c7 <&3 >/dev/null && sleep 2"
    dialling = subprocess.Popen(entry(lab, "build1", ["bash", "-c", script]))
    try:
        seen = ""
        while dialling.poll() is None and "192.0.2.250" not in seen:
            seen = _run(lab, "cp1", "ss", "-Htn", "state", "established").stdout
    finally:
        dialling.kill()
        dialling.wait()
    assert ("192.0.2.250" in seen, "192.168.178.40" in seen) == (True, False)


def test_it_is_the_firewall_that_keeps_the_internet_out_of_an_office(shop):
    _, lab = shop
    way_in = ["192.168.178.40/32", "via", "169.254.1.2", "dev", "to-office", "onlink"]
    enter(lab, "@internet", ["ip", "route", "add", *way_in])
    try:
        assert _run(lab, "cp1", "ping", "-n", "-c1", "-W1", "192.168.178.40").returncode == 1
        opened = _run(lab, "@office", "nft", "insert", "rule", "inet", "lab", "forward", "accept")
        assert opened.returncode == 0
        assert _run(lab, "cp1", "ping", "-n", "-c1", "-W1", "192.168.178.40").returncode == 0
    finally:
        enter(lab, "@internet", ["ip", "route", "del", *way_in])
        _run(lab, "@office", "sh", "-c", "nft flush ruleset && nft -f /run/lab/networks/site-office/nft")


@pytest.mark.parametrize(
    "directory", ["/etc/wireguard", "/var/lib", "/run", "/tmp", "/root", "/var/log", "/etc"]
)
def test_what_is_written_in_a_machine_stays_there(shop, directory):
    _, lab = shop
    file = Path(directory) / f"{lab.name}.mark"
    assert _run(lab, "cp1", "touch", str(file)).returncode == 0
    assert (_run(lab, "w1", "test", "-e", str(file)).returncode, file.exists()) == (1, False)


def test_a_machine_cannot_write_on_the_disk_of_this_computer(shop):
    assert "Read-only file system" in _run(shop[1], "cp1", "touch", "/usr/lab.mark").stderr


def test_machines_have_names_and_ids_of_their_own(shop):
    _, lab = shop
    identities = {_run(lab, one, "sh", "-c", "hostname; cat /etc/machine-id").stdout for one in lab.machines}
    own = Path("/etc/machine-id").read_text().strip()
    assert (len(identities), [one for one in identities if own in one]) == (len(lab.machines), [])


def test_a_machine_begins_with_empty_state(shop):
    assert (
        _run(shop[1], "inner", "ls", "-A", "/etc/wireguard", "/var/lib").stdout
        == "/etc/wireguard:\n\n/var/lib:\n"
    )


def test_this_computers_wireguard_files_are_covered(shop):
    # Not by a look at what is in there: this computer may have none.
    assert _run(shop[1], "inner", "mountpoint", "-q", "/etc/wireguard").returncode == 0


def test_a_command_begins_in_roots_home_without_the_operators_environment(shop, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "swordfish")
    script = 'test -z "${MY_SECRET-}" && test "$PWD $HOME" = "/root /root"'
    assert enter(shop[1], "cp1", ["sh", "-c", script]) == 0


def test_processes_left_behind_are_reaped(shop):
    _, lab = shop
    _run(lab, "cp1", "sh", "-c", "(sleep 0.1 &) ; exit 0")
    time.sleep(0.3)
    assert "Z" not in _run(lab, "cp1", "ps", "-eo", "state=").stdout


def test_two_machines_have_a_wireguard_interface_of_the_same_name(shop):
    _, lab = shop
    config = "{ echo '[Interface]'; echo PrivateKey = $(wg genkey); } >/etc/wireguard/wg0.conf"
    make = f"umask 077; {config}; wg-quick up wg0 2>&1 && wg show interfaces"
    made = [_run(lab, one, "sh", "-c", make) for one in ("cp1", "w1")]
    try:
        assert [one.stdout.splitlines()[-1] for one in made] == ["wg0", "wg0"]
    finally:
        for one in ("cp1", "w1"):
            _run(lab, one, "wg-quick", "down", "wg0")


@pytest.mark.parametrize(
    ("argv", "expected"), [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["no-such"], 127)]
)
def test_the_exit_status_of_a_command_comes_back(shop, argv, expected):
    assert enter(shop[1], "cp1", argv) == expected


def test_a_command_ended_by_a_signal(shop):
    assert enter(shop[1], "cp1", ["sh", "-c", "kill -KILL $$"]) == 128 + signal.SIGKILL


def test_an_unknown_target_is_told_what_there_is(shop):
    with pytest.raises(
        UserError, match=r"there are: bare, build1, .*, @internet, @operator, @ams, @fsn, @office"
    ):
        enter(shop[1], "cp9", ["true"])


def test_up_again_is_the_same_lab(shop):
    one, lab = shop
    assert up(one, quiet) == lab


def test_up_with_other_machines_says_what_to_do(shop):
    one, _ = shop
    changed = replace(one, nodes={**one.nodes, "new": node("new", "fsn", "203.0.113.99")})
    with pytest.raises(UserError, match=r"have changed since\n.*lab down"):
        up(changed, quiet)


def test_up_of_another_file_with_the_same_name_is_refused(shop):
    with pytest.raises(UserError, match=r"is up already, made from .*shop\.yaml"):
        up(replace(shop[0], path=Path("/other/shop.yaml")), quiet)
