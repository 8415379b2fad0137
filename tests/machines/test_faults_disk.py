"""Disks that are full or read-only, and keys that are not what they were."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.machines.machine import Machine
from tests.machines.trial import Trial

CONFIG, STATE = "/etc/wireguard", "/var/lib/wireloom"


@contextmanager
def small_disk(machine: Machine, place: str) -> Iterator[None]:
    """A disk of its own for a directory, with what is in it; what is in it at the end is kept."""
    machine.shell(f"cp -a {place} /run/kept && mount -t tmpfs -o size=6m none {place}")
    machine.shell(f"cp -a /run/kept/. {place}/ && rm -r /run/kept")
    try:
        yield
    finally:
        machine.shell(f"rm -f {place}/filler; cp -a {place} /run/kept && umount {place}")
        machine.shell(f"cp -a /run/kept/. {place}/ && rm -r /run/kept")


def fill(machine: Machine, place: str) -> None:
    machine.shell(f"! cat /dev/zero >{place}/filler 2>/dev/null; ! echo more >{place}/more 2>/dev/null")
    machine.run("rm", f"{place}/more")


def freeze(machine: Machine, place: str) -> None:
    machine.run("mount", "-o", "remount,ro", place)


def thaw(machine: Machine, place: str) -> None:
    machine.run("mount", "-o", "remount,rw", place)


@pytest.mark.parametrize(
    ("place", "spoil", "mend"),
    [
        pytest.param(CONFIG, fill, None, id="full"),
        pytest.param(CONFIG, freeze, thaw, id="read-only"),
        pytest.param(STATE, fill, None, id="state full"),
    ],
)
def test_a_disk_that_takes_nothing_is_found_when_staging(
    trial: Trial,
    place: str,
    spoil: Callable[[Machine, str], None],
    mend: Callable[[Machine, str], None] | None,
) -> None:
    w1 = trial["w1"]
    with small_disk(w1, place):
        told = trial.strike({"step": "stage", "node": "w1", "when": "before"}, lambda: spoil(w1, place))
        if mend:
            mend(w1, place)
        trial.all_have(trial.present)
    assert (told.code, told["w1"], told["cp1"][0]) == (1, ("failed", "stage"), "rolled back"), told.text
    assert f"{place}" in told.why("w1")
    assert "is the disk full, or read-only?" in told.why("w1")
    trial.converges()


@pytest.mark.parametrize("place", [CONFIG, STATE])
def test_a_disk_that_is_full_after_staging_keeps_nobody_from_confirming(trial: Trial, place: str) -> None:
    w1 = trial["w1"]
    with small_disk(w1, place):
        told = trial.strike({"step": "confirm", "node": "w1", "when": "before"}, lambda: fill(w1, place))
        assert told.code == 0, told.text
        trial.all_have(trial.wanted)
    trial.converges()


KEY = "/etc/wireguard/wg0.key"
KEYS = {
    "emptied": f": >{KEY}",
    "too short": f"echo c2hvcnQ= >{KEY}",
}


@pytest.mark.parametrize("spoil", KEYS.values(), ids=KEYS)
def test_a_key_that_is_none_is_told_before_and_while_it_matters(trial: Trial, spoil: str) -> None:
    w1 = trial["w1"]
    keep = w1.run("cat", KEY)
    try:
        told = trial.strike({"step": "stage", "node": "w1", "when": "before"}, lambda: w1.shell(spoil))
        trial.all_have(trial.present)
        refused = trial.apply()
    finally:
        w1.write(KEY, keep)
    assert (told.code, told["w1"]) == (1, ("failed", "stage")), told.text
    assert f"{KEY} is not the key that the lock names" in told.why("w1")
    assert refused.code == 1
    assert KEY in refused.text
    assert "w1" in refused.text
    trial.converges()


def test_a_key_that_everybody_may_read_is_closed(trial: Trial) -> None:
    w1 = trial["w1"]
    w1.run("chmod", "644", KEY)
    told = trial.apply()
    assert told.code == 0, told.text
    assert w1.run("stat", "-c", "%a", KEY) == "600\n"
    trial.all_have(trial.wanted)
    trial.converges()


def test_a_cloned_machine_is_named_with_its_original_and_nothing_is_done(trial: Trial) -> None:
    w1, db1 = trial["w1"], trial["db1"]
    keep = w1.run("cat", KEY)
    w1.write(KEY, db1.run("cat", KEY))
    try:
        refused = trial.apply()
    finally:
        w1.write(KEY, keep)
    assert refused.code == 1
    assert "w1" in refused.text
    assert "db1" in refused.text
    trial.all_have(trial.present)
    trial.converges()


def another_key(machine: Machine) -> None:
    machine.shell("wg genkey >/run/another && wg set wg0 private-key /run/another; rm /run/another")


def test_a_neighbour_with_another_key_is_no_proof(trial: Trial) -> None:
    """By hand, just before the commit: its old session must not count."""
    told = trial.strike(
        {"step": "commit", "node": "cp1", "when": "before"},
        lambda: another_key(trial["db1"]),
        window="8s",
    )
    assert (told.code, told["cp1"]) == (1, ("failed", "prove")), told.text
    assert "no answer over the underlay from db1 (10.99.0.3)" in told.why("cp1")
    trial.settle()
    assert trial.standing(["cp1", "w1"]) == {"cp1": trial.present, "w1": trial.present}
    assert ("db1", "update", "key of wg0") in trial.world.changes()
    trial.converges()
