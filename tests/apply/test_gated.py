"""The order in which k3s comes to machines, and what is left where one does not come up."""

from dataclasses import replace

import pytest

from tests.apply.cluster_model import SECRET, TOKENS, Model
from tests.cluster.fleets import CP1, CP2, CP3, VERSION, W1, cluster
from tests.network.fleets import lock_of
from wireloom.apply.delivery import Delivery
from wireloom.apply.gate import Gate
from wireloom.apply.gated import Goods, carry_out_cluster
from wireloom.apply.k3s import K3sHand
from wireloom.apply.outcome import Ending, NodeOutcome
from wireloom.apply.terms import Terms
from wireloom.cluster.fleet import make_cluster_plan
from wireloom.cluster.places import AGENT_TOKEN, BINARY, SERVER_TOKEN
from wireloom.cluster.plan import ClusterPlan
from wireloom.cluster.seen import ClusterSeen, FileSeen, K3sSeen
from wireloom.network.topology import weave
from wireloom.transport.crew import Crew
from wireloom.values import NodeName

W2 = replace(W1, name=NodeName("w2"))
TERMS = Terms(id="0123456789abcdef", who="anna@desk", when="2026-01-01T00:00:00+00:00")


def plan_of(*, seen: dict[str, K3sSeen] | None = None) -> ClusterPlan:
    fleet = cluster(CP1, CP2, CP3, W1, W2)
    nodes = {name: K3sSeen(name) for name in fleet.nodes} | {NodeName(k): v for k, v in (seen or {}).items()}
    return make_cluster_plan(fleet, weave(fleet, lock_of(fleet)), ClusterSeen(nodes), ())


def new_model(**options: object) -> Model:
    return Model(("cp1", "cp2", "cp3"), ("w1", "w2"), **options)  # type: ignore[arg-type]


async def carry(
    plan: ClusterPlan, model: Model, *, within: float = 5, parallel: int = 0
) -> dict[str, NodeOutcome]:
    goods = Goods(
        {
            one.name: Delivery(BINARY, 0o755, "d" * 64, url="https://example.net/k3s", version=VERSION)
            for one in plan.nodes
        }
    )
    async with Crew(model.transport) as crew:
        done = await carry_out_cluster(
            plan,
            crew,
            replace(TERMS, max_parallel=parallel),
            goods,
            interface="wg0",
            gate=Gate(crew, K3sHand(), within, embedded=True),
            progress=lambda _: None,
        )
    return {one.name: one for one in done}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wireloom.apply.gate.PATIENCE", 0.01)


def steps(model: Model, *words: str) -> list[str]:
    return [
        line.split(" ")[0] + " " + line.split(" ")[1] for line in model.log if line.split(" ")[1] in words
    ]


async def test_servers_come_one_at_a_time_and_agents_side_by_side_after_them() -> None:
    model = new_model(slow={"cp1": 2, "cp2": 1, "w1": 1})
    done = await carry(plan_of(), model)
    assert {one.ending for one in done.values()} == {Ending.CHANGED}
    assert steps(model, "wake", "ready") == [
        "cp1: wake",
        "cp1: ready",
        "cp2: wake",
        "cp2: ready",
        "cp3: wake",
        "cp3: ready",
        "w1: wake",
        "w2: wake",
        "w2: ready",
        "w1: ready",
    ]


async def test_the_first_server_makes_the_tokens_and_the_others_are_handed_them() -> None:
    model = new_model()
    await carry(plan_of(), model)
    assert [line for line in model.log if "make_token" in line] == [
        "cp1: make_token /etc/rancher/k3s/server-token",
        "cp1: make_token /etc/rancher/k3s/agent-token",
    ]
    handed = [line for line in model.log if "-token 600" in line]
    assert handed == [
        "cp2: put /etc/rancher/k3s/server-token 600",
        "cp2: put /etc/rancher/k3s/agent-token 600",
        "cp3: put /etc/rancher/k3s/server-token 600",
        "cp3: put /etc/rancher/k3s/agent-token 600",
        "w1: put /etc/rancher/k3s/agent-token 600",
        "w2: put /etc/rancher/k3s/agent-token 600",
    ]


async def test_agents_come_in_batches() -> None:
    model = new_model()
    await carry(plan_of(), model, parallel=1)
    assert steps(model, "wake", "ready")[-4:] == ["w1: wake", "w1: ready", "w2: wake", "w2: ready"]


async def test_a_server_that_does_not_come_up_keeps_all_that_follow_waiting() -> None:
    model = new_model(broken={"cp2": "level=fatal msg=no"})
    done = await carry(plan_of(), model)
    assert {name: one.ending for name, one in done.items()} == {
        "cp1": Ending.CHANGED,
        "cp2": Ending.FAILED,
        "cp3": Ending.PENDING,
        "w1": Ending.PENDING,
        "w2": Ending.PENDING,
    }
    assert done["cp2"].detail == "k3s ends by itself: level=fatal msg=no"
    assert "journalctl -u k3s" in done["cp2"].hint
    assert done["w1"].detail == "waits for cp2"


async def test_an_agent_that_does_not_come_up_keeps_nobody_waiting() -> None:
    model = new_model(broken={"w1": "level=fatal msg=no"})
    done = await carry(plan_of(), model)
    assert (done["w1"].ending, done["w2"].ending) == (Ending.FAILED, Ending.CHANGED)
    assert "journalctl -u k3s-agent" in done["w1"].hint


async def test_a_server_that_is_not_ready_in_time_is_told_with_what_it_waited_for() -> None:
    model = new_model(slow={"cp1": 10**6})
    done = await carry(plan_of(), model, within=0.1)
    assert done["cp1"].ending is Ending.FAILED
    assert done["cp1"].detail == "not ready within 0 s: it is not Ready, says cp1"


async def test_a_machine_that_can_not_be_reached_is_pending_and_an_agent_stops_nobody() -> None:
    model = new_model(away={"w1"})
    done = await carry(plan_of(), model)
    assert (done["w1"].ending, done["w2"].ending) == (Ending.PENDING, Ending.CHANGED)


async def test_a_server_that_can_not_be_reached_stops_what_follows() -> None:
    model = new_model(away={"cp2"})
    done = await carry(plan_of(), model)
    assert (done["cp2"].ending, done["cp3"].ending) == (Ending.PENDING, Ending.PENDING)
    assert not steps(model, "wake")


async def test_a_file_that_can_not_be_written_is_told_with_its_step() -> None:
    model = new_model(refused={"w2": "put"})
    done = await carry(plan_of(), model)
    assert (done["w2"].ending, done["w2"].step, done["w2"].detail) == (
        Ending.FAILED,
        "files",
        "put is refused",
    )
    assert done["w1"].ending is Ending.CHANGED


async def test_what_runs_already_is_not_started_again() -> None:
    inside = {name: settled(name) for name in ("cp1", "cp2", "w1")}
    model = new_model(runs=set(inside))
    done = await carry(plan_of(seen=inside), model)
    assert steps(model, "wake") == ["cp3: wake", "w2: wake"]
    assert done["cp1"].ending is Ending.UNCHANGED
    assert done["cp3"].ending is Ending.CHANGED


async def test_a_server_whose_api_hangs_does_not_keep_agents_from_their_gate() -> None:
    inside = {name: settled(name) for name in ("cp1", "cp2", "cp3", "w1")}
    model = new_model(runs=set(inside), deaf={"cp1"})
    done = await carry(plan_of(seen=inside), model)
    assert done["w2"].ending is Ending.CHANGED


async def test_servers_that_were_stopped_start_together_for_they_need_a_majority() -> None:
    inside = {name: replace(settled(name), active="failed") for name in ("cp1", "cp2", "cp3", "w1", "w2")}
    model = new_model()
    for name in inside:
        model.machines[name].data = True
    done = await carry(plan_of(seen=inside), model)
    assert {one.ending for one in done.values()} == {Ending.CHANGED}
    woken = [step.removesuffix(": wake") for step in steps(model, "wake")]
    assert (set(woken[:3]), set(woken[3:])) == ({"cp1", "cp2", "cp3"}, {"w1", "w2"})


async def test_one_of_them_that_does_not_come_up_keeps_what_follows_waiting() -> None:
    inside = {name: replace(settled(name), active="failed") for name in ("cp1", "cp2", "cp3", "w1", "w2")}
    model = new_model(broken={"cp2": "level=fatal msg=no"})
    done = await carry(plan_of(seen=inside), model)
    endings = {name: one.ending for name, one in done.items()}
    assert endings == {
        "cp1": Ending.CHANGED,
        "cp2": Ending.FAILED,
        "cp3": Ending.CHANGED,
        "w1": Ending.PENDING,
        "w2": Ending.PENDING,
    }


def settled(name: str) -> K3sSeen:
    """A machine as an apply has left it."""
    plan = next(one for one in plan_of().nodes if one.name == name)
    return K3sSeen(
        NodeName(name),
        version=VERSION,
        role=plan.role,
        enabled=True,
        active="active",
        files={file.path: FileSeen(file.text, file.mode) for file in plan.desired.files},
        data=True,
        tokens=frozenset({SERVER_TOKEN, AGENT_TOKEN}),
        stamp=plan.desired.stamp,
    )


async def test_a_token_that_was_taken_away_is_handed_on_again() -> None:
    inside = {name: settled(name) for name in ("cp1", "cp2", "cp3", "w1", "w2")}
    inside["w1"] = replace(inside["w1"], active="activating", tokens=frozenset())
    inside["cp2"] = replace(inside["cp2"], active="activating", tokens=frozenset({AGENT_TOKEN}))
    model = new_model(runs=set(inside) - {"w1", "cp2"})
    done = await carry(plan_of(seen=inside), model)
    assert [line for line in model.log if "-token 600" in line] == [
        "cp2: put /etc/rancher/k3s/server-token 600",
        "cp2: put /etc/rancher/k3s/agent-token 600",
        "w1: put /etc/rancher/k3s/agent-token 600",
    ]
    assert (done["cp2"].ending, done["w1"].ending) == (Ending.CHANGED, Ending.CHANGED)


@pytest.mark.parametrize(("name", "files"), [("w1", ["agent"]), ("cp2", ["server", "agent"])])
async def test_a_token_that_is_not_the_clusters_is_told_with_what_to_do(name: str, files: list[str]) -> None:
    model = new_model(broken={name: "level=fatal msg=https://10.99.0.1:6443/v1-k3s/config: 401 Unauthorized"})
    hint = (await carry(plan_of(), model))[name].hint
    assert f"On {name}: rm {' '.join(f'/etc/rancher/k3s/{one}-token' for one in files)};" in hint


async def test_no_token_is_in_any_outcome() -> None:
    model = new_model(broken={"w1": "level=fatal msg=no"})
    done = await carry(plan_of(), model)
    assert SECRET not in repr(done)
    assert not any(token in repr(done) for token in TOKENS.values())
