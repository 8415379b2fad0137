"""The trials as programs: a machine, its pod, and another pod across a cable."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from tests.apply.sandbox import PATH, Sandbox, sandbox
from tests.verify.cluster.cluster import CP1, W1
from wireloom.verify.cluster.probes import PORT
from wireloom.verify.cluster.trials import How, Trial, Tried, read_tried, trying_script

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

RUN = "wireloom-verify-0a1b2c3d"

# A pod of cp1 with its own network, and a machine w1 that is a pod, a name server and a service all at once.
POD = """\
ip link add cni0 type bridge && ip link set cni0 up && ip address add 10.42.0.1/24 dev cni0
echo 1 >/proc/sys/net/ipv4/ip_forward
printf 'search {run}.svc.shop.example svc.shop.example shop.example\\n' >/run/resolv.conf
echo nameserver 10.42.1.7 >>/run/resolv.conf
setsid unshare --net --mount sh -c 'mount --bind /run/resolv.conf /etc/resolv.conf; sleep 1000' \\
    </dev/null >/dev/null 2>&1 &
"""
SERVER = """\
import socket, struct, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Name(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"w1\\n")

class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6

def answer(asked):
    end = asked.index(b"\\0", 12) + 5
    name, kind = asked[12 : end - 4], struct.unpack("!H", asked[end - 4 : end - 2])[0]
    head, known = asked[:2], b"\\x0akubernetes\\x07default\\x03svc\\x04shop\\x07example\\x00"
    if name != known:
        return head + struct.pack("!HHHHH", 0x8183, 1, 0, 0, 0) + asked[12:end]
    alias = b"\\xc0\\x0c" + struct.pack("!HHIH", 5, 1, 5, 2) + b"\\xc0\\x0c"
    address = b"\\x0akubernetes\\xc0\\x17" + struct.pack("!HHIH", kind, 1, 5, 4 if kind == 1 else 16)
    known = (socket.AF_INET, "10.43.0.1") if kind == 1 else (socket.AF_INET6, "fd42:43::1")
    address += socket.inet_pton(*known)
    return head + struct.pack("!HHHHH", 0x8180, 1, 2, 0, 0) + asked[12:end] + alias + address

def names():
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("10.42.1.7", 53))
    while True:
        asked, who = door.recvfrom(4096)
        door.sendto(answer(asked), who)

threading.Thread(target=names, daemon=True).start()
server = Server(("::", PORT), Name)
print("ready", flush=True)
server.serve_forever()
"""


@contextmanager
def serving(machine: Sandbox) -> Iterator[None]:
    words = [
        "nsenter",
        "-t",
        str(machine.pid),
        "-m",
        "-n",
        "-p",
        "python3",
        "-c",
        SERVER.replace("PORT", str(PORT)),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={"PATH": PATH})
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        # nsenter alone ends with that; what it began ends with the machine, and has the pipe until then.
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def machine() -> Iterator[Sandbox]:
    """cp1, with the process of its probe; w1 is at 10.42.1.7 and takes packets of 1300 bytes at most."""
    with sandbox() as a, sandbox() as b:
        a.link(b, "10.42.1.1/24", "10.42.1.7/24")
        b.ask("ip route add 10.42.0.0/24 via 10.42.1.1; ip -6 address add fd42:42:1::7/64 dev eth0 nodad")
        a.ask("ip -6 address add fd42:42:1::1/64 dev eth0 nodad")
        a.ask(f"export PROBE={RUN}/cp1/\n{POD.format(run=RUN)}sleep 0.5")
        found = a.ask("grep -lF 'wireloom-verify' /proc/[0-9]*/environ | tail -n 1")
        pid = found.split("/")[2]
        a.ask(
            f"ip link add vethcp1 master cni0 type veth peer eth0 netns {pid} && ip link set vethcp1 up\n"
            f'in_pod() {{ nsenter -t {pid} -n ip "$@"; }}\n'
            "in_pod link set lo up; in_pod link set eth0 mtu 1370 up\n"
            "in_pod address add 10.42.0.7/24 dev eth0\n"
            "in_pod route add default via 10.42.0.1"
        )
        with serving(b):
            yield a


def attempt(machine: Sandbox, *trials: Trial) -> tuple[Tried, list[str]]:
    done = machine.sh(trying_script(RUN, CP1, [CP1, W1], dict(enumerate(trials))))
    tried = read_tried(done.stdout)
    assert tried.ended, done.stderr
    return tried, [tried.said.get(number, "") for number in range(len(trials))]


def trial(how: How, address: str = "10.42.1.7", port: int = PORT, *, inside: bool = True) -> Trial:
    return Trial("pod-pod", W1, how, inside, ip_address(address), port)


def test_the_probe_is_found_with_its_devices(machine: Sandbox) -> None:
    tried, _ = attempt(machine)
    assert tried.process is not None
    assert (tried.mtu, tried.bridged) == (1370, {"vethcp1"})


def test_a_probe_of_another_run_is_not_found(machine: Sandbox) -> None:
    done = machine.sh(trying_script("wireloom-verify-ffffffff", CP1, [CP1], {}))
    assert read_tried(done.stdout).process is None


def test_what_is_served_is_fetched(machine: Sandbox) -> None:
    outside = trial(How.FETCH, "fd42:42:1::7", inside=False)
    _, said = attempt(machine, trial(How.FETCH), trial(How.FETCH, inside=False), outside)
    assert said == ["ok w1"] * 3


def test_who_is_there_is_reached(machine: Sandbox) -> None:
    _, said = attempt(machine, trial(How.REACH), trial(How.REACH, port=9), trial(How.REACH, "192.0.2.9"))
    assert said[:2] == ["ok open", "ok refused"]
    assert said[2].startswith("failed ")


def test_names_are_resolved_by_the_pods_own_server(machine: Sandbox) -> None:
    four = Trial("dns", None, How.RESOLVE, address=ip_address("10.43.0.1"))
    six = Trial("dns", None, How.RESOLVE, address=ip_address("fd42:43::1"))
    _, said = attempt(machine, four, six)
    assert said == ["ok 10.43.0.1", "ok fd42:43::1"]


def test_pings_say_what_fits(machine: Sandbox) -> None:
    _, said = attempt(machine, trial(How.PING), trial(How.FULL))
    assert all(", 3 received" in one for one in said)
    machine.ask("ip link set eth0 mtu 1300")
    try:
        _, said = attempt(machine, trial(How.PING), trial(How.FULL))
    finally:
        machine.ask("ip link set eth0 mtu 1500")
    assert ", 3 received" in said[0]
    assert "mtu = 1300" in said[1] or "mtu=1300" in said[1]


def test_who_does_not_answer_is_given_up(machine: Sandbox) -> None:
    machine.ask(
        "nft 'table ip deaf { chain passing {"
        " type filter hook forward priority 0; ip daddr 10.42.1.7 drop; }; }'"
    )
    try:
        _, said = attempt(machine, trial(How.FETCH), trial(How.FETCH, inside=False))
    finally:
        machine.ask("nft delete table ip deaf")
    assert said == ["failed no answer in 8 s", "ok w1"]
