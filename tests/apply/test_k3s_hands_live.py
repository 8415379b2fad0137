"""The scripts for k3s, run for real by dash on a machine of their own."""

import base64
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.apply.hands import WHEN
from tests.apply.k3s_hands import (
    BINARY,
    NODE,
    VERSION,
    Bytes,
    Wire,
    furnish,
    is_root,
    log_of,
    program,
    set_property,
)
from tests.apply.sandbox import Sandbox, sandbox
from wireloom.apply import delivery as deliveries
from wireloom.apply.delivery import Delivery, deliver
from wireloom.apply.k3s import K3sHand
from wireloom.apply.script import Hand
from wireloom.apply.step import complaints, read_all, read_answer
from wireloom.cluster.places import AGENT_TOKEN, DATA, RESTART_DUE, SERVER_TOKEN, Role
from wireloom.secret import Token
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not is_root(), reason="namespaces need root")]

HANDS = K3sHand()
K3S = program()
SECRET = "5ec7e7" * 10 + "abcd"
FULL = f"K10{'ab' * 32}::server:{SECRET}"


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    with sandbox() as made:
        furnish(made)
        yield made


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "PIECE", 100_000)


def send(payload: Bytes, *, path: str = BINARY, mode: int = 0o755, version: str = VERSION) -> Delivery:
    return Delivery(path, mode, payload.digest, payload=payload, version=version)


def fetch(payload: Bytes, url: str, *, digest: str = "") -> Delivery:
    return Delivery(BINARY, 0o755, digest or payload.digest, url=url, version=VERSION)


async def carry(wire: Wire, one: Delivery) -> Completed | TransportError:
    wire.scripts.clear()
    async with Crew(wire) as crew:
        return (await deliver(crew, {NODE: one}, HANDS.script))[NODE]


def run(machine: Sandbox, *calls: str) -> Completed:
    done = machine.sh(HANDS.script(*calls))
    return Completed(done.returncode, done.stdout, done.stderr)


def said(answer: Completed | TransportError) -> str:
    """What the machine complained of; it must have."""
    assert isinstance(answer, Completed), answer
    assert answer.status == 1, answer
    assert complaints(answer), answer
    return complaints(answer)


def digest_of(machine: Sandbox, path: str = BINARY) -> str:
    return machine.ask(f"sha256sum '{path}'").split()[0]


def beside(machine: Sandbox, directory: str = "/usr/local/bin") -> list[str]:
    """All files of a directory, hidden ones among them."""
    return machine.ask(f"ls -A {directory}").split("\n")


# Delivery by pieces


async def test_a_file_comes_whole_and_with_its_mode(machine: Sandbox) -> None:
    answer = await carry(Wire(machine), send(K3S))
    assert isinstance(answer, Completed), answer
    assert answer.status == 0, answer
    assert digest_of(machine) == K3S.digest
    assert machine.ask(f"stat -c %a {BINARY}") == "755"
    assert beside(machine) == ["k3s"]


async def test_what_is_there_is_not_sent_again(machine: Sandbox) -> None:
    wire = Wire(machine)
    await carry(wire, send(K3S))
    answer = await carry(wire, send(K3S))
    assert answer == Completed(0, "have=all\n", "")
    assert len(wire.scripts) == 1


async def test_what_is_there_without_its_mode_gets_that(machine: Sandbox) -> None:
    wire = Wire(machine)
    await carry(wire, send(K3S))
    machine.ask(f"chmod 644 {BINARY}")
    await carry(wire, send(K3S))
    assert machine.ask(f"stat -c %a {BINARY}") == "755"
    assert len(wire.scripts) == 1


async def test_a_delivery_that_was_cut_off_between_pieces_goes_on_there(machine: Sandbox) -> None:
    # 0: wants, 1 to 3: pieces, 4: finish.
    lost = TransportError("gone", unreachable=True)
    wire = Wire(machine, {2: lambda _: lost})
    assert await carry(wire, send(K3S)) is lost
    assert machine.ask("stat -c %s /usr/local/bin/.k3s.*") == "100000"
    wire.faults.clear()
    await carry(wire, send(K3S))
    assert digest_of(machine) == K3S.digest
    assert [re.findall(r"^grow .*", one, re.MULTILINE)[0].split()[-1] for one in wire.scripts[1:-1]] == [
        "100000",
        "200000",
    ]


async def test_a_piece_that_was_cut_off_is_sent_again(machine: Sandbox) -> None:
    wire = Wire(machine, {2: lambda script: script.replace("cat <&3 >>", "head -c 777 <&3 >>")})
    assert isinstance(await carry(wire, send(K3S)), TransportError)
    assert machine.ask("stat -c %s /usr/local/bin/.k3s.*") == "100777"
    wire.faults.clear()
    await carry(wire, send(K3S))
    assert digest_of(machine) == K3S.digest
    assert len(wire.scripts) == 4


async def test_a_delivery_that_was_whole_but_not_in_its_place_sends_nothing_again(machine: Sandbox) -> None:
    lost = TransportError("gone", unreachable=True)
    wire = Wire(machine, {4: lambda _: lost})
    assert await carry(wire, send(K3S)) is lost
    wire.faults.clear()
    await carry(wire, send(K3S))
    assert digest_of(machine) == K3S.digest
    assert len(wire.scripts) == 2


async def test_another_file_does_not_grow_on_the_beginning_of_one(machine: Sandbox) -> None:
    wire = Wire(machine, {2: lambda _: TransportError("gone", unreachable=True)})
    await carry(wire, send(K3S))
    wire.faults.clear()
    other = program(seed=2)
    await carry(wire, send(other))
    assert digest_of(machine) == other.digest
    assert beside(machine) == ["k3s"]


async def test_what_is_not_what_was_meant_is_removed_and_replaces_nothing(machine: Sandbox) -> None:
    old = program(seed=2)
    await carry(Wire(machine), send(old))
    wrong = Delivery(BINARY, 0o755, "ab" * 32, payload=K3S, version=VERSION)
    answer = await carry(Wire(machine), wrong)
    assert said(answer) == f"{BINARY} is not what was meant: its SHA-256 is {K3S.digest}, not {'ab' * 32}"
    assert digest_of(machine) == old.digest
    assert beside(machine) == ["k3s"]


async def test_a_part_that_vanished_is_told_and_the_next_delivery_brings_it(machine: Sandbox) -> None:
    wire = Wire(machine, {3: lambda _: "rm /usr/local/bin/.k3s.*"})
    await carry(wire, send(K3S))
    assert said(run(machine, f"finish {BINARY} {K3S.digest} 755 ''")).startswith(f"{BINARY} is not what was")
    wire.faults.clear()
    await carry(wire, send(K3S))
    assert digest_of(machine) == K3S.digest


async def test_a_full_disk_is_told_and_nothing_half_written_is_in_the_place(machine: Sandbox) -> None:
    old = program(seed=2)
    await carry(Wire(machine), send(old))
    answer = await carry(Wire(machine), send(program(size=1_500_000)))
    assert re.fullmatch(
        r"/usr/local/bin/\.k3s\.[0-9a-f]{12} can't be written: is the disk full, or read-only\?", said(answer)
    )
    assert digest_of(machine) == old.digest


async def test_a_path_is_only_a_path(machine: Sandbox) -> None:
    images = Bytes(b"an archive")
    path = f"{DATA}/agent/images/it's; touch $(id -u) `id`.tar"
    answer = await carry(Wire(machine), send(images, path=path, mode=0o600, version=""))
    assert isinstance(answer, Completed), answer
    assert answer.status == 0, answer
    assert beside(machine, f"{DATA}/agent/images") == ["it's; touch $(id -u) `id`.tar"]


# The version


async def test_a_k3s_of_another_version_replaces_nothing(machine: Sandbox) -> None:
    old = program(seed=2)
    await carry(Wire(machine), send(old))
    answer = await carry(Wire(machine), send(program(version="v1.33.1+k3s1")))
    wanted = "the file says k3s v1.33.1+k3s1, the fleet file wants v1.34.2+k3s1"
    assert said(answer) == f"{BINARY}: {wanted}"
    assert digest_of(machine) == old.digest
    assert beside(machine) == ["k3s"]


async def test_a_k3s_of_another_version_that_is_there_is_told_and_stays(machine: Sandbox) -> None:
    old = program(version="v1.33.1+k3s1")
    await carry(Wire(machine), send(old, version=""))
    wire = Wire(machine)
    answer = await carry(wire, send(old))
    assert said(answer).endswith("the file says k3s v1.33.1+k3s1, the fleet file wants v1.34.2+k3s1")
    assert digest_of(machine) == old.digest
    assert len(wire.scripts) == 1


SILENT = {
    "says nothing": b"#!/bin/sh\n",
    "fails": b"#!/bin/sh\nexit 3\n",
    "is no program": b"text",
    "says little": b"#!/bin/sh\necho k3s\n",
}


@pytest.mark.parametrize("content", SILENT.values(), ids=SILENT)
async def test_what_does_not_say_its_version_is_refused(machine: Sandbox, content: bytes) -> None:
    answer = await carry(Wire(machine), send(Bytes(content)))
    assert said(answer) == f"{BINARY}: the file says nothing of its version, the fleet file wants {VERSION}"
    assert beside(machine) == [""]


# Fetched


@pytest.fixture
def server(machine: Sandbox) -> Iterator[str]:
    """An HTTP server on the machine's own loopback, with a k3s."""
    machine.ask("mkdir /run/mirror")
    path = "/run/mirror/k3s"
    text = base64.encodebytes(K3S.content).decode()
    machine.ask(f"base64 -d >{path} <<'END'\n{text}\nEND\n")
    command = [
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        "/run/mirror",
        "8000",
    ]
    process = subprocess.Popen(
        ["nsenter", "-t", str(machine.pid), "-m", "-n", "-p", "--", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 20
    while machine.sh("curl -s -o /dev/null http://127.0.0.1:8000/").returncode:
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.1)
    yield "http://127.0.0.1:8000"
    process.terminate()
    process.wait()


WITHOUT = {"curl": ["wget"], "wget": ["curl"]}


def without(machine: Sandbox, *programs: str) -> None:
    """These programs are not installed here."""
    for one in programs:
        for directory in ("/usr/bin", "/bin"):
            machine.sh(f"test ! -f {directory}/{one} || mount --bind /dev/null {directory}/{one}")


@pytest.mark.parametrize("programs", WITHOUT.values(), ids=[f"by {one}" for one in WITHOUT])
async def test_a_release_is_fetched(machine: Sandbox, server: str, programs: list[str]) -> None:
    without(machine, *programs)
    answer = await carry(Wire(machine), fetch(K3S, f"{server}/k3s"))
    assert isinstance(answer, Completed), answer
    assert answer.status == 0, answer
    assert (digest_of(machine), beside(machine)) == (K3S.digest, ["k3s"])
    assert machine.ask(f"stat -c %a {BINARY}") == "755"


@pytest.mark.parametrize("programs", WITHOUT.values(), ids=[f"by {one}" for one in WITHOUT])
async def test_a_release_that_is_not_there_is_told(
    machine: Sandbox, server: str, programs: list[str]
) -> None:
    without(machine, *programs)
    answer = said(await carry(Wire(machine), fetch(K3S, f"{server}/none")))
    assert answer.startswith(f"{server}/none can't be fetched: ")
    assert "404" in answer
    assert beside(machine) == [""]


async def test_a_fetched_file_with_another_digest_is_removed(machine: Sandbox, server: str) -> None:
    answer = await carry(Wire(machine), fetch(K3S, f"{server}/k3s", digest="ab" * 32))
    assert said(answer) == f"{BINARY} is not what was meant: its SHA-256 is {K3S.digest}, not {'ab' * 32}"
    assert beside(machine) == [""]


@pytest.mark.parametrize("programs", WITHOUT.values(), ids=[f"by {one}" for one in WITHOUT])
async def test_a_fetch_that_fills_the_disk_is_told(
    machine: Sandbox, server: str, programs: list[str]
) -> None:
    without(machine, *programs)
    machine.ask("mount -o remount,size=100k /usr/local/bin")
    answer = said(await carry(Wire(machine), fetch(K3S, f"{server}/k3s")))
    assert answer.startswith(f"{server}/k3s can't be fetched: ")
    assert answer.endswith("; is the disk full?")
    assert beside(machine) == [""]


async def test_without_anything_to_fetch_with_it_is_said_what_to_do(machine: Sandbox) -> None:
    without(machine, "curl", "wget")
    answer = said(await carry(Wire(machine), fetch(K3S, "http://127.0.0.1:8000/k3s")))
    assert answer == (
        "neither curl nor wget is here to fetch http://127.0.0.1:8000/k3s:"
        " install one, or have it sent: --k3s-binary"
    )


# Files


def test_a_file_is_written_with_its_mode_and_text(machine: Sandbox) -> None:
    assert (
        run(machine, "text() { printf %s 'a: \"1\"\n'; }", "put /etc/rancher/k3s/config.yaml 640").status == 0
    )
    assert machine.ask("cat /etc/rancher/k3s/config.yaml") == 'a: "1"'
    assert machine.ask("stat -c %a /etc/rancher/k3s/config.yaml") == "640"
    assert beside(machine, "/etc/rancher/k3s") == ["config.yaml"]


def test_a_full_disk_keeps_the_old_file_and_no_half_of_the_new(machine: Sandbox) -> None:
    run(machine, "text() { echo old; }", "put /etc/rancher/k3s/config.yaml 600")
    answer = run(machine, "text() { head -c 100000 /dev/zero; }", "put /etc/rancher/k3s/config.yaml 600")
    assert said(answer) == "/etc/rancher/k3s/config.yaml can't be written: is the disk full, or read-only?"
    assert machine.ask("cat /etc/rancher/k3s/config.yaml") == "old"
    assert beside(machine, "/etc/rancher/k3s") == ["config.yaml"]


def test_a_unit_that_can_not_be_enabled_is_told(machine: Sandbox) -> None:
    assert run(machine, "enable k3s").status == 0
    assert log_of(machine) == ["daemon-reload", "--quiet --no-reload enable k3s"]
    machine.ask("touch /run/fake/refuses")
    assert said(run(machine, "enable k3s")) == "the unit k3s can't be enabled"


# Tokens


def test_tokens_are_made_once_and_for_root_alone(machine: Sandbox) -> None:
    assert machine.sh(HANDS.make_tokens()).stdout == ""
    made = machine.ask(f"cat {SERVER_TOKEN} {AGENT_TOKEN}").split("\n")
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in made)
    assert made[0] != made[1]
    assert machine.ask(f"stat -c %a {SERVER_TOKEN} {AGENT_TOKEN}") == "600\n600"
    machine.ask(HANDS.make_tokens())
    assert machine.ask(f"cat {SERVER_TOKEN} {AGENT_TOKEN}").split("\n") == made


def test_tokens_are_shown_as_k3s_words_them(machine: Sandbox) -> None:
    give_tokens(machine)
    assert read_answer(run(machine, *calls(HANDS.show_tokens()))) == {
        "server": FULL,
        "agent": FULL.replace("server", "node"),
        "short": SECRET,
    }


def test_a_server_that_no_apply_holds_gives_its_tokens_all_the_same(machine: Sandbox) -> None:
    """It has nothing to do itself: another machine joins."""
    give_tokens(machine)
    done = machine.sh(K3sHand(Hand("wg0", "an-apply", "ada@laptop", WHEN)).show_tokens())
    assert (done.returncode, f"short={SECRET}" in done.stdout) == (0, True)


def test_a_missing_token_is_told_by_its_file(machine: Sandbox) -> None:
    answer = run(machine, *calls(HANDS.show_tokens()))
    assert said(answer) == f"{DATA}/server/token is not there: has k3s begun here?"
    assert answer.stderr.count("\n") == 1


def test_tokens_are_taken_as_they_are_to_the_last_byte(machine: Sandbox) -> None:
    odd = "K10a::server:%s\\n'$(id)`id`\"!"
    machine.ask(HANDS.take_tokens({SERVER_TOKEN: Token(odd), AGENT_TOKEN: Token(SECRET)}))
    assert machine.ask(f"cat {SERVER_TOKEN}; wc -c <{SERVER_TOKEN}") == f"{odd}\n{len(odd) + 1}"
    assert machine.ask(f"cat {AGENT_TOKEN}") == SECRET
    assert machine.ask(f"stat -c %a {SERVER_TOKEN} {AGENT_TOKEN}") == "600\n600"


def test_a_token_that_does_not_fit_on_the_disk_is_told_without_it(machine: Sandbox) -> None:
    machine.sh("head -c 100000 /dev/zero >/etc/rancher/full")
    done = machine.sh(HANDS.take_tokens({SERVER_TOKEN: Token(SECRET)}))
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_token_is_in_an_argument_list(machine: Sandbox) -> None:
    """Under strace, which tells every program that is started with all of its arguments."""
    give_tokens(machine, journal=f'level=fatal msg="{SECRET} {FULL}"')
    set_property(machine, "ActiveState", "failed")
    spy = ("strace", "-f", "-qq", "-e", "trace=execve", "-s", "9999", "-o", "/run/trace", "dash", "-s")
    scripts = [
        HANDS.make_tokens(),
        HANDS.show_tokens(),
        HANDS.take_tokens({SERVER_TOKEN: Token(FULL), AGENT_TOKEN: Token(SECRET)}),
        HANDS.gate(Role.SERVER, 1),
    ]
    for script in scripts:
        done = machine.sh(script, shell=spy)
        assert done.returncode == 0, done.stderr
        trace = machine.ask("cat /run/trace")
        assert "execve(" in trace
        assert SECRET not in trace
    made = machine.sh(f"rm {SERVER_TOKEN}\n{HANDS.make_tokens()}", shell=spy)
    assert made.returncode == 0
    assert machine.ask(f"cat {SERVER_TOKEN}") not in machine.ask("cat /run/trace")


def give_tokens(machine: Sandbox, *, journal: str = "") -> None:
    """A server that has begun; its log says so."""
    agent = FULL.replace("server", "node")
    machine.ask(
        f"umask 077; mkdir -p {DATA}/server /etc/rancher/k3s; echo {FULL} >{DATA}/server/token;"
        f"echo {agent} >{DATA}/server/agent-token; echo {SECRET} >{AGENT_TOKEN};"
        f"cat >/run/fake/journal <<'END'\n{journal}\nEND\n"
    )


def calls(script: str) -> list[str]:
    """What a script calls, without the functions."""
    return script.removeprefix(HANDS.script().rstrip("\n")).strip().splitlines()


# The gate


def test_a_unit_that_is_active_is_through_at_once(machine: Sandbox) -> None:
    set_property(machine, "ActiveState", "active")
    set_property(machine, "NRestarts", "0")
    assert run(machine, "gate k3s 10").stdout == "state=active\nrestarts=0\n"


def test_a_unit_that_comes_up_is_waited_for(machine: Sandbox) -> None:
    set_property(machine, "ActiveState", "inactive", "activating", "activating", "active")
    set_property(machine, "NRestarts", "0")
    assert read_answer(run(machine, "gate k3s 10"))["state"] == "active"
    assert log_of(machine).count("sleep 1") == 3


def test_a_unit_that_never_comes_up_is_asked_again_in_the_next_round(machine: Sandbox) -> None:
    set_property(machine, "ActiveState", "activating")
    set_property(machine, "NRestarts", "2")
    assert run(machine, "gate k3s 1").stdout == "state=activating\nrestarts=2\n"


def test_looks_that_take_long_make_no_round_longer(machine: Sandbox) -> None:
    """A machine that is busy starting k3s: the operator's side gives up on a script after twice its round."""
    set_property(machine, "ActiveState", "activating")
    set_property(machine, "NRestarts", "0")
    machine.ask("sed -i '2i /bin/sleep 0.7' /usr/local/sbin/systemctl")
    assert run(machine, "gate k3s 2").stdout == "state=activating\nrestarts=0\n"
    assert log_of(machine).count("sleep 1") <= 1


def test_a_unit_that_has_failed_says_why(machine: Sandbox) -> None:
    give_tokens(
        machine, journal='time="2026-01-01T00:00:00Z" level=fatal msg="no etcd"\nE0101 x\nlevel=info msg=x'
    )
    set_property(machine, "ActiveState", "failed")
    set_property(machine, "NRestarts", "0")
    assert run(machine, "gate k3s 10").stdout == "state=failed\nrestarts=0\nsaid=E0101 x\n"
    assert "sleep 1" not in log_of(machine)


def test_a_unit_that_ends_again_and_again_is_not_waited_for(machine: Sandbox) -> None:
    set_property(machine, "ActiveState", "activating")
    set_property(machine, "NRestarts", "0", "1", "3")
    assert read_answer(run(machine, "gate k3s 10"))["restarts"] == "3"
    assert log_of(machine).count("sleep 1") == 2


JOURNALS = {
    "a token": (f'level=fatal msg="token {FULL} is wrong"', 'level=fatal msg="token K10… is wrong"'),
    "a token of another cluster": (
        "level=fatal msg=K10cdcd::node:password",
        "level=fatal msg=K10…",
    ),
    "the short secret": (f"level=error msg={SECRET}, {SECRET}", "level=error msg=…, …"),
    "a database's password": (
        "level=fatal msg=postgres://k3s:pa55word@db.example:5432/k3s",
        "level=fatal msg=postgres://…@db.example:5432/k3s",
    ),
    "no secret": (
        "level=fatal msg=https://10.99.0.1:6443/cacerts",
        "level=fatal msg=https://10.99.0.1:6443/cacerts",
    ),
    "a long line": ("level=fatal msg=" + "x" * 999, "level=fatal msg=" + "x" * 379),
}


@pytest.mark.parametrize(("line", "wanted"), JOURNALS.values(), ids=JOURNALS)
def test_no_secret_of_the_log_is_told(machine: Sandbox, line: str, wanted: str) -> None:
    give_tokens(machine, journal=line)
    assert read_all(run(machine, "complain k3s"), "said") == [wanted]


def test_what_the_log_said_before_the_start_is_not_told(machine: Sandbox) -> None:
    machine.ask("echo level=fatal msg=no >/run/fake/journal")
    set_property(machine, "InvocationID", "1", after="2")
    run(machine, "wake k3s")
    since = int(machine.ask("stat -c %Y /run/wireloom/k3s.woken"))
    run(machine, "complain k3s")
    assert log_of(machine)[-1] == f"journalctl -n 200 -o cat -u k3s --since=@{since}"


def test_where_there_are_no_tokens_the_log_is_told_all_the_same(machine: Sandbox) -> None:
    machine.ask("echo level=fatal msg=no >/run/fake/journal")
    assert run(machine, "complain k3s").stdout == "said=level=fatal msg=no\n"


# Started, and again


def test_what_runs_is_not_taken_for_what_is_to_come(machine: Sandbox) -> None:
    """systemd takes a moment until it stops what it was told to restart."""
    set_property(machine, "ActiveState", "active")
    set_property(machine, "InvocationID", "old", "old", "old", "new")
    assert run(machine, "wake k3s").status == 0
    assert log_of(machine).count("sleep 1") == 2


def test_a_start_from_nothing_is_not_waited_for(machine: Sandbox) -> None:
    set_property(machine, "ActiveState", "activating")
    set_property(machine, "InvocationID", "")
    assert run(machine, "wake k3s").status == 0
    assert "sleep 1" not in log_of(machine)
    assert "daemon-reload" not in log_of(machine)


def test_a_unit_that_has_changed_is_read_again_before_it_is_started(machine: Sandbox) -> None:
    set_property(machine, "ActiveState", "activating")
    set_property(machine, "NeedDaemonReload", "yes")
    assert run(machine, "wake k3s").status == 0
    log = [line for line in log_of(machine) if not line.startswith("show ")]
    assert log == ["daemon-reload", "reset-failed k3s", "--no-block restart k3s", "reset-failed k3s"]


def test_a_restart_that_is_due_is_noted_until_it_is_made(machine: Sandbox) -> None:
    set_property(machine, "ActiveState", "activating")
    assert run(machine, "note_restart").status == 0
    machine.ask("touch /run/fake/refuses")
    assert said(run(machine, "wake k3s")) == "the unit k3s can't be started"
    assert machine.sh(f"test -e {RESTART_DUE}").returncode == 0
    machine.ask("rm /run/fake/refuses")
    run(machine, "wake k3s")
    assert machine.sh(f"test -e {RESTART_DUE}").returncode == 1


# Whose machine it is


def test_on_a_machine_that_another_apply_has_nothing_is_done(machine: Sandbox) -> None:
    ours, theirs = (Hand("wg0", *one, WHEN) for one in (("a" * 16, "anna@desk"), ("b" * 16, "ben@laptop")))
    machine.ask(ours.hold())
    assert machine.sh(K3sHand(ours).make_tokens()).returncode == 0
    machine.ask("rm /run/wireloom/wg0/lease")
    machine.ask(theirs.hold())
    machine.ask(f"rm {SERVER_TOKEN}")
    done = machine.sh(K3sHand(ours).make_tokens())
    assert "this apply was not heard of for too long: ben@laptop has had this machine" in done.stderr
    assert done.returncode == 1
    assert machine.sh(f"test -e {SERVER_TOKEN}").returncode == 1


def test_a_machine_that_was_restarted_is_left_alone(machine: Sandbox) -> None:
    done = machine.sh(K3sHand(Hand("wg0", "a" * 16, "anna@desk", WHEN)).make_tokens())
    assert "this apply has this machine no more" in done.stderr
    assert machine.sh(f"test -e {SERVER_TOKEN}").returncode == 1
