"""Real labs on this computer: what is built, who reaches whom in it, and that nothing is left of it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.fleets import fleet, node, site, three_places
from wireloom.errors import UserError
from wireloom.lab import processes
from wireloom.lab.claim import LABS
from wireloom.lab.dial import LabDialer
from wireloom.lab.machine import down, enter, entry, find, running, up
from wireloom.transport.port import TransportError

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]


def _quiet(_: str) -> None:
    pass


def _name(word: str) -> str:
    """A name that no lab of somebody else, or of a test beside this one, has."""
    return f"test-{word}-{os.getpid()}"


def _small(name: str):
    return fleet(
        node("a", "x", "203.0.113.1", "10.0.0.2"),
        node("b", "y", "10.0.0.2", nat=True),
        sites=(site("x", "10.0.0.0/24"), site("y", "10.0.0.0/24", nat=True)),
        name=name,
    )


@pytest.fixture(scope="module")
def shop():
    one = three_places(_name("shop"))
    try:
        yield one, up(one, _quiet)
    finally:
        down(one.name)


@pytest.fixture
def gone():
    """A name for a lab, which is gone after the test."""
    name = _name("once")
    yield name
    down(name)


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


def _host() -> dict[str, object]:
    """What a lab must not change on this computer."""
    links = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": links,
        "namespaces": spaces,
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "own": os.readlink("/proc/self/ns/net"),
    }


def _processes_of(name: str) -> list[str]:
    """Every process that mentions the lab, and the dead ones of the kind that start labs."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            argv = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if f" {name} " in argv or "Name:\tunshare\nState:\tZ" in status.read_text().replace(
                "Umask", "\n"
            ):
                found.append(argv or "a zombie")
    return found


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
    assert done.stdout.split()[:3] + [str(done.status)] == ["root", "cp2", "/root", "0"]


def test_dialling_leaves_the_thread_where_it_was(shop):
    one, lab = shop
    before = os.readlink("/proc/thread-self/ns/net")
    LabDialer(lab, one).open_socket("cp1")[0].close()
    assert os.readlink("/proc/thread-self/ns/net") == before


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


def test_a_machine_begins_without_this_computers_wireguard_files(shop):
    assert (
        _run(shop[1], "inner", "ls", "-A", "/etc/wireguard", "/var/lib").stdout
        == "/etc/wireguard:\n\n/var/lib:\n"
    )


def test_the_operators_environment_stays_outside(shop, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "swordfish")
    status = enter(shop[1], "cp1", ["sh", "-c", 'test -z "$MY_SECRET" && test "$PWD $HOME" = "/root /root"'])
    assert (status, b"swordfish" in Path(f"/proc/{shop[1].init}/environ").read_bytes()) == (0, False)


def test_processes_left_behind_are_reaped(shop):
    _, lab = shop
    _run(lab, "cp1", "sh", "-c", "(sleep 0.1 &) ; exit 0")
    time.sleep(0.3)
    assert "Z" not in _run(lab, "cp1", "ps", "-eo", "state=").stdout


def test_two_machines_have_a_wireguard_interface_of_the_same_name(shop):
    _, lab = shop
    make = "umask 077; { echo '[Interface]'; echo PrivateKey = $(wg genkey); } >/etc/wireguard/wg0.conf; wg-quick up wg0"
    made = [_run(lab, one, "sh", "-c", f"{make} 2>&1 && wg show interfaces") for one in ("cp1", "w1")]
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
        UserError, match="there are: bare, build1, .*, @internet, @operator, @ams, @fsn, @office"
    ):
        enter(shop[1], "cp9", ["true"])


def test_up_again_is_the_same_lab(shop):
    one, lab = shop
    assert up(one, _quiet) == lab


def test_up_with_other_machines_says_what_to_do(shop):
    one, _ = shop
    changed = replace(one, nodes={**one.nodes, "new": node("new", "fsn", "203.0.113.99")})
    with pytest.raises(UserError, match=r"have changed since\n.*lab down"):
        up(changed, _quiet)


def test_up_of_another_file_with_the_same_name_is_refused(shop):
    with pytest.raises(UserError, match="is up already, made from .*shop.yaml"):
        up(replace(shop[0], path=Path("/other/shop.yaml")), _quiet)


def test_a_lab_is_found_by_its_name_among_others(shop, gone):
    _, lab = shop
    second = up(_small(gone), _quiet)
    assert (find(lab.name), find(gone), {lab.name, gone} <= {one.name for one in running()}) == (
        lab,
        second,
        True,
    )


def test_nothing_of_this_computer_changes(gone):
    before = _host()
    up(_small(gone), _quiet)
    during = _host()
    down(gone)
    assert (during, _host(), _processes_of(gone), (LABS / gone).exists()) == (before, before, [], False)


def test_down_twice(gone):
    up(_small(gone), _quiet)
    assert (down(gone), down(gone), find(gone)) == (True, False, None)


def test_dialling_a_lab_that_is_down_says_so(gone):
    one = _small(gone)
    lab = up(one, _quiet)
    down(gone)
    with pytest.raises(TransportError, match="is not up"):
        LabDialer(lab, one).open_socket("a")


@pytest.mark.parametrize("name", ["../../etc", "", ".", "..", "a/b"])
def test_down_of_a_name_that_is_a_path_does_nothing(name):
    assert down(name) is False


def test_the_second_builder_is_told(gone):
    def build_again(_):
        up(_small(gone), _quiet)

    with pytest.raises(UserError, match="is being built or taken down by another wireloom"):
        up(_small(gone), build_again)


@pytest.mark.parametrize("moment", ["lab", "routers", "1 of 2"])
def test_an_interrupted_up_leaves_nothing(gone, moment):
    def interrupt(step):
        if moment in step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        up(_small(gone), interrupt)
    assert (_processes_of(gone), (LABS / gone).exists()) == ([], False)


def test_a_machine_that_does_not_come_up_is_an_error_with_the_reason_and_leaves_nothing(gone):
    broken = fleet(node("a", "x", "203.0.113.1", port=70000), sites=(site("x"),), name=gone)
    with pytest.raises(
        UserError, match=r"machine a failed\n    the log ends:(.|\n)*Badly formatted port number"
    ):
        up(broken, _quiet)
    assert (_processes_of(gone), (LABS / gone).exists()) == ([], False)


BUILDER = """
import sys
from tests.lab.test_machine import _small
from wireloom.lab.machine import up
up(_small(sys.argv[1]), lambda step: print(step, flush=True))
"""


def _builder(name: str) -> subprocess.Popen[str]:
    """Another process that builds the lab of that name and prints each step."""
    argv = [sys.executable, "-c", BUILDER, name]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def _kill(builder: subprocess.Popen[str]) -> None:
    builder.kill()
    builder.wait()
    assert builder.stdout is not None
    builder.stdout.close()


def _first_process(name: str) -> None:
    while not [one for one in processes.scan() if one.lab == name]:
        time.sleep(0.001)


@pytest.mark.parametrize("moment", ["keys", "first process", "routers", "1 of 2"])
def test_a_killed_up_is_taken_down_completely(gone, moment):
    before = _host()
    builder = _builder(gone)
    if moment == "first process":
        _first_process(gone)
    else:
        for step in builder.stdout:
            if moment in step or moment == "keys":
                break
    _kill(builder)
    down(gone)
    assert (_host(), _processes_of(gone), (LABS / gone).exists()) == (before, [], False)


def test_a_lab_whose_builder_was_killed_ends_by_itself(gone):
    builder = _builder(gone)
    for step in builder.stdout:
        if "routers" in step:
            break
    _kill(builder)
    deadline = time.monotonic() + 10
    while (
        processes.scan() and any(one.lab == gone for one in processes.scan()) and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert [one for one in processes.scan() if one.lab == gone] == []


def test_a_half_built_lab_is_listed_not_found_and_built_anew(gone):
    builder = _builder(gone)
    _first_process(gone)
    os.kill(builder.pid, signal.SIGSTOP)
    while not (half := [one for one in running() if one.name == gone]):
        time.sleep(0.005)
    state = (half[0].complete, find(gone))
    _kill(builder)
    assert (state, up(_small(gone), _quiet).complete) == ((False, None), True)
