"""Another port, another range, while half of the machines don't hear of each step: all stay in touch."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.e2e.world import HOSTS, lost_packets
from tests.faults.world import WINDOW, Mesh
from wireloom.values import NodeName

DEAF = (
    "table inet deaf { chain in { type filter hook input priority 0; tcp dport 22 reject with tcp reset; }; }"
)
"""SSH breaks at once, and nobody gets in anew; all else goes on."""


def addresses(prefix: str) -> dict[str, str]:
    return {name: f"{prefix}.0.{host}" for name, host in HOSTS.items()}


def inside(mesh: Mesh, node: str, *words: str) -> list[str]:
    return ["nsenter", "-t", str(mesh.machines[NodeName(node)]), "-m", "-n", "-p", "--", *words]


@contextmanager
def deaf(mesh: Mesh, *names: str, once: str = "") -> Iterator[Mapping[str, str]]:
    """These machines can't be reached: now, or from when ``once`` is staged, by the fault that this gives."""
    now = "\n".join(" ".join(inside(mesh, name, "nft", f"'{DEAF}'")) for name in names)
    if not once:
        subprocess.run(now, shell=True, check=True)
    try:
        yield {"step": "stage", "node": once, "when": "before", "do": now} if once else {}
    finally:
        for name in names:  # held for nobody, as when the time of the lease has gone by
            mesh.on(name, "nft delete table inet deaf; rm -f /run/wireloom/wg0/lease")


def take_step(
    mesh: Mesh, of: Mapping[str, str], *names: str, once: str = "", perhaps: Sequence[str] = ()
) -> str:
    """Apply, as far as it gets without these machines, and look at who is in touch.

    ``perhaps``: these can't be reached either, and need not have anything to do.
    """
    with deaf(mesh, *names, *perhaps, once=once) as fault:
        done = mesh.operate(fault, "apply", "--yes")
        assert done.returncode == 2, done.stdout + done.stderr
        assert all(f"{name} pending" in done.stdout for name in names), done.stdout
        mesh.in_touch(of)
    return done.stdout


@contextmanager
def pings(mesh: Mesh, *pairs: tuple[str, str]) -> Iterator[list[str]]:
    """100 packets a second all the while; what ping says in the end."""
    said: list[str] = []
    running = [
        subprocess.Popen(
            inside(mesh, source, "sh", "-c", f"echo $$ >/run/{to}.pid; exec ping -q -i 0.01 {to}"),
            stdout=subprocess.PIPE,
            text=True,
        )
        for source, to in pairs
    ]
    try:
        yield said
    finally:
        for source, to in pairs:
            mesh.on(source, f"kill -INT $(cat /run/{to}.pid)")
        said += [one.communicate(timeout=30)[0] for one in running]


def ports(mesh: Mesh) -> dict[str, int]:
    return {name: int(mesh.on(name, "wg show wg0 listen-port")) for name in HOSTS}


def converge(mesh: Mesh, of: Mapping[str, str]) -> None:
    mesh.world.run("apply", "--yes")
    assert mesh.world.json("plan")["changes"] == []
    mesh.in_touch(of)
    assert mesh.world.settles("holds")


def test_another_port(mesh: Mesh) -> None:
    mesh.world.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, port: 51999")
    old = addresses("10.99")
    with pings(mesh, ("w1", old["cp1"]), ("build1", old["cp2"])) as said:
        told = take_step(mesh, old, "w1", "db1")
        assert "Left to do by the next apply, once w1, db1 can be reached: change to port 51999" in told
        assert set(ports(mesh).values()) == {51820}

        take_step(mesh, old, "cp2", "build1", once="cp1")
        assert {name for name, port in ports(mesh).items() if port == 51820} == {"cp2", "build1"}

        # Who heard of cp2 at its old port last is staged, too: so w1 may miss a step more, or not.
        take_step(mesh, old, "build1", once="cp2", perhaps=("w1",))
        assert {ports(mesh)[name] for name in ("cp1", "cp2", "db1")} == {51999}
        hearing = {name for name in HOSTS if "hearing" in mesh.on(name, "nft list table inet wireloom")}
        assert {"w1", "build1"} <= hearing
        converge(mesh, old)
        assert set(ports(mesh).values()) == {51999}
    # What is under way while one of the two takes a new port gets lost: half a second would be far too long.
    assert max(map(lost_packets, said)) < 50


def test_another_range(mesh: Mesh) -> None:
    mesh.world.edit("ipv4: 10.99.0.0/16", "ipv4: 10.77.0.0/16")
    old, new = addresses("10.99"), addresses("10.77")
    with pings(mesh, ("w1", old["cp1"]), ("build1", old["cp2"])) as said:
        take_step(mesh, old, "w1", "db1")
    # One may be on its way when ping ends.
    assert max(map(lost_packets, said)) <= 1
    take_step(mesh, new, "cp2", "build1", once="cp1")
    converge(mesh, new)
    found = [mesh.on(name, "ip -br address show dev wg0") for name in HOSTS]
    assert [re.findall(r"[\d.]+/16", one) for one in found] == [[f"{address}/16"] for address in new.values()]
    assert "10.99" not in mesh.world.lock_file.read_text()


def test_killed_half_way_and_changed_its_mind(mesh: Mesh) -> None:
    mesh.world.edit("port: 51999", "port: 4500")
    fault = {"step": "commit", "node": "cp1", "when": "after", "do": "kill"}
    killed = mesh.operate(fault, "apply", "--yes", "--confirm-within", f"{WINDOW}s")
    assert killed.returncode == -9
    mesh.age_leases()
    mesh.settle()
    mesh.world.edit("port: 4500", "port: 51999")
    converge(mesh, addresses("10.77"))
    assert set(ports(mesh).values()) == {51999}
