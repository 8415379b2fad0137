"""An apply to the cluster that is cut off at any step: the next one goes on, and begins no second cluster."""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.apply.cluster_model import SECRET, TOKENS, Fault, Machine, Model
from tests.apply.test_gated import TERMS, VERSION, W2, new_model
from tests.cluster.fleets import CP1, CP2, CP3, W1, cluster
from tests.network.fleets import lock_of
from wireloom.apply.delivery import Delivery
from wireloom.apply.gate import Gate
from wireloom.apply.gated import Goods, carry_out_cluster
from wireloom.apply.k3s import K3sHand
from wireloom.apply.outcome import Ending, NodeOutcome
from wireloom.cluster.fleet import make_cluster_plan
from wireloom.cluster.places import BINARY
from wireloom.cluster.plan import ClusterPlan
from wireloom.cluster.seen import ClusterSeen
from wireloom.intent.fleet import Fleet
from wireloom.network.topology import weave
from wireloom.transport.crew import Crew

FLEET = cluster(CP1, CP2, CP3, W1, W2)
TURNED = cluster(CP3, CP2, CP1, W2, W1)
"""The same machines, in another order: another server is the first."""


def plan_of(model: Model, fleet: Fleet = FLEET) -> ClusterPlan:
    """What is to be done, by what the machines say is there."""
    seen = ClusterSeen({one.name: one.seen() for one in model.machines.values()})
    return make_cluster_plan(fleet, weave(fleet, lock_of(fleet)), seen, ())


async def carry(
    model: Model, fleet: Fleet = FLEET, progress: Callable[[str], None] = lambda _: None
) -> dict[str, NodeOutcome]:
    plan = plan_of(model, fleet)
    one = Delivery(BINARY, 0o755, "d" * 64, url="https://example.net/k3s", version=VERSION)
    async with Crew(model.transport) as crew:
        done = await carry_out_cluster(
            plan,
            crew,
            replace(TERMS, max_parallel=1),
            Goods({node.name: one for node in plan.nodes}),
            interface="wg0",
            gate=Gate(crew, K3sHand(), 5, embedded=True),
            progress=progress,
        )
    return {one.name: one for one in done}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wireloom.apply.gate.PATIENCE", 0.001)


async def from_nothing() -> Model:
    return new_model(slow={"cp1": 1, "w1": 1})


async def from_an_older_one() -> Model:
    """Everywhere a k3s runs that is older, by a unit that says something else."""
    model = new_model()
    await carry(model)
    for one in model.machines.values():
        one.version = "v1.33.1+k3s1"
        unit = one.files[one.role.unit_path]
        one.files[one.role.unit_path] = replace(unit, text=unit.text + "# by hand\n")
        assert one.runs is not None
        one.runs = (one.version, one.runs[1])
    model.count = 0
    return model


async def from_a_standstill() -> Model:
    """A cluster whose k3s was stopped everywhere; one server and one agent are new."""
    model = new_model()
    await carry(model)
    for name in ("cp1", "w1"):
        model.machines[name] = Machine(model.machines[name].name, model.machines[name].role)
    for one in model.machines.values():
        one.runs = None
    model.runs.clear()
    model.count = 0
    return model


STARTS = {
    "from nothing": from_nothing,
    "from an older one": from_an_older_one,
    "from a standstill": from_a_standstill,
}


def count_scripts(start: Callable[[], object]) -> int:
    async def count() -> int:
        model: Model = await start()  # type: ignore[misc]
        await carry(model)
        return model.count

    return asyncio.run(count())


CUTS = [
    pytest.param(start, number, id=f"{name}, script {number}")
    for name, start in STARTS.items()
    for number in range(count_scripts(start))
]


def require_converged(model: Model, done: dict[str, NodeOutcome], fleet: Fleet) -> None:
    """All is as wanted, and runs so; one machine has begun the cluster."""
    assert {one.ending for one in done.values()} <= {Ending.CHANGED, Ending.UNCHANGED}, done
    assert plan_of(model, fleet).empty
    for one in plan_of(model, fleet).nodes:
        machine = model.machines[one.name]
        assert machine.runs is not None
        assert machine.runs[0] == VERSION, f"{one.name} runs what it ran before"
        assert not machine.due
    assert len(model.begun) == 1


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
async def test_without_a_cut_one_apply_is_enough(start: Callable[[], object]) -> None:
    model: Model = await start()  # type: ignore[misc]
    require_converged(model, await carry(model), FLEET)
    assert model.held == set()


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize(("start", "number"), CUTS)
async def test_a_machine_that_is_lost_at_any_script_is_caught_up_with(
    start: Callable[[], object], number: int, fault: Fault
) -> None:
    model: Model = await start()  # type: ignore[misc]
    model.fault = lambda count: fault if count == number else None
    done = await carry(model)
    failed = {one.step for one in done.values() if one.ending is Ending.FAILED}
    assert failed <= {"token", "ready"}  # nobody was there to ask, or no majority to be ready with
    model.fault = lambda _: None
    require_converged(model, await carry(model), FLEET)


@pytest.mark.parametrize(("start", "number"), CUTS)
async def test_an_interruption_at_any_script_lets_all_go_and_the_next_apply_goes_on(
    start: Callable[[], object], number: int
) -> None:
    """And begins no second cluster where the file has another first server by then."""
    model: Model = await start()  # type: ignore[misc]
    told: list[str] = []
    task = asyncio.create_task(carry(model, progress=told.append))

    def interrupt(count: int) -> None:
        if count == number:
            task.cancel()

    model.fault = interrupt
    try:
        told.append(repr(await task))  # it came while the machines were let go, which is carried through
    except asyncio.CancelledError as error:
        told += traceback.format_exception(error)
    assert model.held == set()
    assert SECRET not in "".join(told)
    model.fault = lambda _: None
    require_converged(model, await carry(model, TURNED), TURNED)


async def test_no_token_is_in_what_is_told_on_the_way() -> None:
    told: list[str] = []
    model = await from_nothing()
    done = await carry(model, progress=told.append)
    assert told
    assert not any(token in repr((told, done)) for token in TOKENS.values())
