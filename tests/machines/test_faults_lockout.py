"""A change, or a firewall, that keeps the operator out: the nodes undo it by their own clock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.machines.machine import GREETING, Machine
from tests.machines.trial import FLEET, Trial

NO_NEW_PORT = "table ip firewall { chain in { type filter hook input priority 0; udp dport 51821 drop; }; }"
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


def test_ssh_that_runs_over_the_underlay_comes_back(trial: Trial) -> None:
    """db1 is reached at its underlay address over cp1; the new port is dropped on the way."""
    operator, present = trial.world, trial.present
    over = FLEET.replace("ssh: root@203.0.113.3", "ssh: { host: 10.99.0.3, jump: cp1 }")
    operator.fleet_file.write_text(over if present == "wide" else trial.other(over))
    assert operator.changes() == []
    operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, port: 51821")
    committed: list[float] = []
    greets = ("timeout", "1", "bash", "-c", GREETING, "10.99.0.3", "22")

    def answers() -> bool:
        return trial["cp1"].run(*greets, expect=None) == "SSH-"

    with firewall(list(trial.group), NO_NEW_PORT), watched(answers) as seen:
        told = trial.strike(
            {"step": "commit", "node": "cp1", "when": "after"},  # db1's own answer is on the way that is cut
            lambda: committed.append(time.monotonic()),
            window="5s",
        )
        trial.all_have(present)
        time.sleep(0.5)
    last = max(when for when, works in seen if not works)
    again = [when for when, works in seen if works and when > last]
    assert again
    print(f"from the commit to SSH again: {again[0] - committed[0]:.1f} s")

    assert (told.code, told["db1"][0]) == (1, "failed"), told.text
    operator.edit(", port: 51821", "")
    assert operator.changes() == []
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
