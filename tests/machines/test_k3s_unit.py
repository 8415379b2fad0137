"""The steps of k3s that speak to systemd, on a machine where that is real and k3s is a few lines of shell."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines.machine import Machine
from tests.machines.machines import machines
from wireloom.apply.k3s import K3sHand
from wireloom.cluster.places import BINARY, DATA, RESTART_DUE, SERVER_TOKEN, Role
from wireloom.cluster.unit import render_unit

HANDS = K3sHand()
SECRET = "5ec7e7" * 10 + "abcd"
READY = "#!/bin/sh\nsystemd-notify --ready\nexec sleep infinity\n"
SLOW_TO_END = "#!/bin/sh\ntrap 'sleep 2; exit' TERM\nsystemd-notify --ready\nwhile :; do sleep 0.2; done\n"
FATAL = f'#!/bin/sh\necho \'time="x" level=fatal msg="token K10ab::server:{SECRET} is {SECRET}"\'\nexit 1\n'
SLOW_TO_BEGIN = "#!/bin/sh\nsleep 3\nsystemd-notify --ready\nexec sleep infinity\n"


@pytest.fixture(scope="module")
def machine(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the unit that wireloom writes."""
    with machines(["alpha"], image=image, directory=tmp_path_factory.mktemp("unit")) as group:
        one = group["alpha"]
        # systemd-notify is not the process that was started; and a k3s that ends is tried again soon.
        text = f"{render_unit(Role.SERVER, 'wg0')}NotifyAccess=all\nRestartSec=200ms\n"
        one.write(Role.SERVER.unit_path, text)
        one.shell(f"mkdir -p {DATA} {Path(SERVER_TOKEN).parent}; echo {SECRET} >{SERVER_TOKEN}")
        yield one


def install(machine: Machine, program: str) -> None:
    machine.shell(f"cat >{BINARY}.new <<'END'\n{program}END\n")
    machine.shell(f"chmod 755 {BINARY}.new; mv {BINARY}.new {BINARY}")


def wake(machine: Machine) -> None:
    machine.shell(HANDS.script("wake k3s"))


def gate(machine: Machine, seconds: int = 10) -> list[str]:
    return machine.shell(HANDS.gate(Role.SERVER, seconds)).splitlines()


def invocation(machine: Machine) -> str:
    return machine.shell("systemctl show --value -p InvocationID k3s")


def test_what_is_ready_passes_the_gate(machine: Machine) -> None:
    install(machine, READY)
    machine.shell(HANDS.script("enable k3s"))
    wake(machine)
    assert gate(machine) == ["state=active", "restarts=0"]
    assert machine.shell("systemctl is-enabled k3s") == "enabled\n"


def test_a_restart_is_under_way_when_the_step_ends(machine: Machine) -> None:
    """Also where the old one takes its time: it must not pass the gate for the new one."""
    install(machine, SLOW_TO_END)
    wake(machine)
    gate(machine)
    for _ in range(5):
        before = invocation(machine)
        machine.shell(HANDS.script("note_restart"))
        wake(machine)
        machine.shell(f"test ! -e {RESTART_DUE}")
        assert gate(machine) == ["state=active", "restarts=0"]
        assert invocation(machine) != before


def test_what_takes_its_time_is_waited_for(machine: Machine) -> None:
    install(machine, SLOW_TO_BEGIN)
    wake(machine)
    assert gate(machine, 1)[0] in {"state=deactivating", "state=activating"}
    assert gate(machine) == ["state=active", "restarts=0"]


def test_what_ends_by_itself_is_told_with_its_last_words_and_no_secret(machine: Machine) -> None:
    install(machine, FATAL)
    wake(machine)
    state, restarts, said = gate(machine)
    assert state != "state=active"  # whichever of the others it is in at that moment
    assert int(restarts.removeprefix("restarts=")) >= 3
    assert said == 'said=level=fatal msg="token K10… is …"'


def test_its_failures_are_forgotten_when_it_is_started_again(machine: Machine) -> None:
    install(machine, READY)
    wake(machine)
    assert gate(machine) == ["state=active", "restarts=0"]


def test_a_unit_that_was_changed_is_read_again(machine: Machine) -> None:
    machine.shell(f"sed -i 's/^Description=.*/Description=Another/' {Role.SERVER.unit_path}")
    wake(machine)
    assert machine.shell("systemctl show --value -p Description -p NeedDaemonReload k3s") == "Another\nno\n"
