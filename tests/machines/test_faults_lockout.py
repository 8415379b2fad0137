"""A change, or a firewall, that keeps the operator out: the nodes undo it by their own clock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.machines.machine import GREETING, Machine
from tests.machines.machines import Machines
from tests.machines.trial import FLEET, Trial

NO_NEW_PORT = (
    "table ip firewall { chain in { type filter hook prerouting priority -400;"
    " udp dport 51821 drop; udp sport 51821 drop; }; }"
)
"""Nothing comes to the new port, and nothing from it."""
OPEN = FLEET.replace("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, guard: false")
NO_SSH = "table ip firewall { chain in { type filter hook input priority 0; tcp dport 22 drop; }; }"


@contextmanager
def firewall(machines: list[Machine], rules: str) -> Iterator[None]:
    for machine in machines:
        machine.run("nft", "-f", "-", stdin=rules)
    try:
        yield
    finally:
        for machine in machines:
            machine.run("nft", "delete", "table", "ip", "firewall")


@contextmanager
def watched(look: Callable[[], bool]) -> Iterator[list[tuple[float, bool]]]:
    """When something was seen to work, and when not, for as long as the block lasts."""
    seen: list[tuple[float, bool]] = []
    over = Event()

    def go_on() -> None:
        while not over.wait(0.1):
            seen.append((time.monotonic(), look()))

    thread = Thread(target=go_on)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@contextmanager
def beside_the_tunnel(group: Machines, machine: Machine, address: str) -> Iterator[None]:
    """A way from the operator's place to a machine's underlay address, not through the tunnel."""
    way = (f"{address}/32", "via", str(machine.address.ip))
    group.space.run("ip", "route", "add", *way)
    try:
        yield
    finally:
        group.space.run("ip", "route", "del", *way)


def test_ssh_that_the_change_itself_cuts_comes_back(trial: Trial) -> None:
    """db1 is reached at its underlay address from outside, where the guard lets nobody in."""
    operator = trial.world
    trial.learn("open", OPEN)
    operator.edit("ssh: root@203.0.113.3", "ssh: root@10.99.0.3")
    committed: list[float] = []
    with beside_the_tunnel(trial.group, trial["db1"], "10.99.0.3"):
        greets = ("sh", "-c", 'timeout 1 bash -c "$0" 10.99.0.3 22 2>&1 || :', GREETING)

        def answers() -> bool:
            return trial.group.space.run(*greets) == "SSH-"

        assert operator.changes() == []
        operator.edit(", guard: false", "")
        with watched(answers) as seen:
            told = trial.strike(
                {
                    "step": "commit",
                    "node": "w1",
                    "when": "after",
                },  # db1's own answer is on the way that is cut
                lambda: committed.append(time.monotonic()),
                window="5s",
            )
            trial.settle()
            time.sleep(0.5)
    last = max(when for when, works in seen if not works)
    again = [when for when, works in seen if works and when > last]
    assert again
    print(f"from the commit to SSH again: {again[0] - committed[0]:.1f} s")
    assert (told.code, told["db1"][0]) == (1, "failed"), told.text
    trial.all_have("open")
    trial.write(trial.wanted)
    trial.converges()


def test_a_new_port_that_nobody_gets_through_is_taken_back(trial: Trial) -> None:
    """db1 is reached over the underlay. That all hear the new port as well is harmless, and stays."""
    operator, present = trial.world, trial.present
    over = FLEET.replace("ssh: root@203.0.113.3", "ssh: { host: 10.99.0.3, jump: cp1 }")
    operator.fleet_file.write_text(over if present == "wide" else trial.other(over))
    assert operator.changes() == []
    operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, port: 51821")
    with firewall(list(trial.group), NO_NEW_PORT):
        told = trial.apply("--yes", window="5s")
        assert (told.code, told["cp1"]) == (1, ("failed", "prove")), told.text
        assert operator.run("verify", "--quick", expect=None).returncode == 0
    operator.edit(", port: 51821", "")
    operator.run("apply", "--yes")
    trial.all_have(present)
    trial.write(trial.wanted)
    trial.converges()


def test_a_firewall_that_shuts_out_the_operator_keeps_no_node_from_undoing(trial: Trial) -> None:
    w1 = trial["w1"]
    fault = {"step": "commit", "node": "w1", "when": "after"}
    with trial.under_way(fault, lambda: w1.run("nft", "-f", "-", stdin=NO_SSH), window="5s") as told:
        trial.settle(["w1"])
        assert trial.standing(["w1"]) == {"w1": trial.present}
        assert not told.done()
        w1.run("nft", "delete", "table", "ip", "firewall")
    ended = told.result()
    assert (ended.code, ended["w1"]) == (1, ("failed", "prove")), ended.text
    # It depends on when it is dialled again: nobody answers, or whoever does has no such change any more.
    assert "no answer from 203.0.113.2 port 22" in ended.why("w1") or "its clock took" in ended.why("w1")
    trial.all_have(trial.present)
    trial.in_touch()
    trial.converges()
