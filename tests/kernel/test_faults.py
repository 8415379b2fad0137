"""Faults that need a kernel of one's own: its WireGuard, its power, its clock."""

from collections.abc import Iterator

import pytest

from tests.kernel.conftest import FLEET, VIRTUAL
from tests.kernel.virtual import VirtualMachine
from tests.machines.machine import Machine
from tests.machines.machines import Machines
from tests.machines.trial import Trial

ADDRESSES = {"cp1": "10.99.0.1", "db1": "10.99.0.2", "w1": "10.99.0.3"}
NO_SSH = "table ip firewall { chain in { type filter hook input priority 0; tcp dport 22 drop; }; }"


def smaller(text: str) -> str:
    return text.replace("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1380")


@pytest.fixture(scope="module")
def tried(mesh: Machines) -> Iterator[Trial]:
    yield Trial(mesh, text=FLEET, other=smaller, addresses=ADDRESSES)
    mesh.operator.fleet_file.write_text(FLEET)
    mesh.operator.run("apply", "--yes")


@pytest.fixture
def trial(tried: Trial, request: pytest.FixtureRequest) -> Iterator[Trial]:
    failures = request.session.testsfailed
    yield tried
    if request.session.testsfailed > failures:
        tried.start_again()


def test_a_node_that_nobody_can_reach_undoes_it_by_its_timer_and_its_clock_is_no_matter(
    trial: Trial,
) -> None:
    """Somebody sets the clock back by an hour meanwhile; the time since the start is what counts."""
    cp1 = trial["cp1"]

    def shut_out(machine: Machine) -> None:
        machine.run("nft", "-f", "-", stdin=NO_SSH)
        machine.shell("date -s @$(($(date +%s) - 3600))")

    fault = {"step": "commit", "node": "cp1", "when": "after"}
    with trial.under_way(fault, lambda: shut_out(cp1), window="5s") as told:
        trial.settle(["cp1"])
        assert trial.standing(["cp1"]) == {"cp1": trial.present}
        assert not told.done()
        cp1.shell("date -s @$(($(date +%s) + 3600)); nft delete table ip firewall")
    assert told.result().code == 1, told.result().text
    assert told.result()["cp1"][0] == "failed"
    trial.all_have(trial.present)
    trial.converges()


def test_a_reboot_before_the_confirm_brings_the_old_network_back(trial: Trial) -> None:
    cp1 = trial["cp1"]
    told = trial.strike({"step": "prove", "node": "cp1", "when": "after"}, cp1.restart)
    assert (told.code, told["cp1"]) == (1, ("failed", "confirm")), told.text
    trial.settle()
    assert trial.standing(["cp1"]) == {"cp1": trial.present}
    trial.converges()


def test_a_loss_of_power_right_after_the_confirm_leaves_the_new_network(trial: Trial) -> None:
    """Another machine reboots meanwhile, in order; the mesh is back by itself."""
    cp1, db1 = trial["cp1"], trial["db1"]
    assert isinstance(cp1, VirtualMachine)
    ended: list[str] = []
    told = trial.strike(
        {"step": "confirm", "node": "cp1", "when": "after"}, lambda: ended.append(cp1.lose_power())
    )
    assert told.code in {0, 2}, told.text
    rebooted = db1.reboot()
    cp1.settle(not_as=ended[0])
    db1.settle(not_as=rebooted)
    trial.each_has(dict.fromkeys(VIRTUAL, trial.wanted))
    assert trial.world.settles("holds")
    trial.converges()
