"""The claims about a cluster as a whole, on machines that are not there."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.verify.cluster.cluster import CP1, FLEET, NAMES, NETWORK, SEEN, W1, fleet_of, member, network_of
from tests.verify.cluster.test_judge import answer, number_of
from tests.verify.cluster.test_probes import API, HELPER, READY, pod, service
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.intent.fleet import Fleet
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName
from wireloom.verify.canaries import Catch
from wireloom.verify.claim import KINDS, Verdict
from wireloom.verify.cluster import verify as verifying
from wireloom.verify.cluster.trials import How
from wireloom.verify.cluster.verify import verify_cluster
from wireloom.verify.verify import Wish

LINKS = [
    {"ifname": "cni0", "mtu": 1370},
    {"ifname": "wg0", "mtu": 1420},
    {
        "ifname": "flannel.1",
        "mtu": 1370,
        "linkinfo": {"info_kind": "vxlan", "info_data": {"local": "10.99.0.1", "link": "wg0"}},
    },
]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "SETTLE_SECONDS", 0)


@dataclass(slots=True)
class Stage:
    """Machines that answer each script as good ones do, but for what a test changes.

    ``steps`` are the scripts that they got, by what they do. ``spoil`` may answer instead, or raise.
    """

    spoil: Callable[[NodeName, str], Completed | None] = lambda _name, _step: None
    steps: list[tuple[NodeName, str]] = field(default_factory=list)
    raised: str = ""
    tries: list[str] = field(default_factory=list)

    def answer(self, name: NodeName, script: str) -> Completed:
        step = next(
            (
                word
                for word, sign in {
                    "remove": "\nremove_probes\n",
                    "raise": "\nraise_probes ",
                    "survey": "\nsurvey_images ",
                    "try": "\nwait; echo done\n",
                    "read": " devices\nip -j -d link show",
                    "capture": "capture=",
                }.items()
                if sign in script
            ),
            "send",
        )
        self.steps.append((name, step))
        self.raised = script if step == "raise" else self.raised
        if step == "try" and name == CP1:
            self.tries.append(script)
        told = self.spoil(name, step)
        return told or Completed(0, _good(name, step, script), "")


def _good(name: NodeName, step: str, script: str) -> str:
    nonce = found[0] if (found := re.search(r"wireloom-[0-9a-f]{16}", script)) else ""
    if step == "survey":
        return _sections(nonce, clock="1700000000", helper=HELPER, images="", end="")
    if step == "raise":
        items = [one for place, node in enumerate(NAMES) for one in (_pod(node, place), service(place))]
        return _sections(nonce, api=json.dumps(API), probes=json.dumps({"items": items}), end="")
    if step == "read":
        return _sections(nonce, devices=json.dumps(LINKS), ways="", keys="", end="")
    return ""


def _pod(node: NodeName, place: int) -> dict[str, Any]:
    return pod(node, place, {**READY, "podIPs": [{"ip": f"10.42.{place}.7"}]})


def _sections(nonce: str, **parts: str) -> str:
    return "".join(f"\n{nonce} {name}\n{text}\n" for name, text in parts.items())


async def run(
    stage: Stage,
    wish: Wish = Wish(),  # noqa: B008  # frozen
    *,
    seen: ClusterSeen = SEEN,
    fleet: Fleet = FLEET,
    asked: tuple[NodeName, ...] = NAMES,
) -> Catch:
    answers = {name: lambda script, name=name: stage.answer(name, script) for name in NAMES}
    async with Crew(FakeTransport(answers)) as crew:
        network = NETWORK if fleet is FLEET else network_of(fleet)
        return await verify_cluster(fleet, network, crew, seen, askable=frozenset(asked), wish=wish)


async def test_probes_are_made_tried_and_taken_away() -> None:
    stage = Stage()
    catch = await run(stage)
    steps = [step for _, step in stage.steps]
    assert [one for one in dict.fromkeys(steps) if one != "capture"] == [
        "read",
        "survey",
        "raise",
        "try",
        "remove",
    ]
    assert stage.steps[-1] == (CP1, "remove")
    kinds = {one.claim for one in catch.claims}
    assert kinds == {name for name, kind in KINDS.items() if kind.cluster} - {"flannel-keys", "exposed"}
    assert {one.verdict for one in catch.claims if one.claim == "nodes"} == {Verdict.HOLDS}
    assert Verdict.HOLDS not in {one.verdict for one in catch.claims if one.claim == "pod-pod"}


async def test_quick_makes_nothing() -> None:
    stage = Stage()
    catch = await run(stage, Wish(quick=True))
    assert {step for _, step in stage.steps} == {"read"}
    assert {one.claim for one in catch.claims} == {"nodes", "pod-way", "pod-mtu"}


def failing(step: str, told: Completed | TransportError) -> Stage:
    def spoil(_: NodeName, now: str) -> Completed | None:
        if now != step:
            return None
        if isinstance(told, TransportError):
            raise told
        return told

    return Stage(spoil)


NO_PROBES = {
    "the server goes away": ("survey", TransportError("no answer from cp1"), "no probes: no answer from cp1"),
    "no image": (
        "survey",
        Completed(0, "garbage", ""),
        "no probes: the answer was cut short",
    ),
    "the connection breaks while they are made": (
        "raise",
        TransportError("the connection to cp1 broke"),
        "no probes: the connection to cp1 broke",
    ),
}


@pytest.mark.parametrize(("step", "told", "why"), NO_PROBES.values(), ids=NO_PROBES)
async def test_without_probes_their_claims_are_open_and_they_are_taken_away(
    step: str, told: Completed | TransportError, why: str
) -> None:
    stage = failing(step, told)
    catch = await run(stage)
    needing = [one for one in catch.claims if one.claim in {"pod-pod", "dns", "logs", "exec", "pod-canary"}]
    assert {(one.verdict, one.detail) for one in needing} == {(Verdict.UNKNOWN, why)}
    assert {one.claim for one in needing} == {"pod-pod", "dns", "logs", "exec", "pod-canary"}
    assert stage.steps[-1] == (CP1, "remove")


@pytest.mark.parametrize("step", ["survey", "raise", "try"])
async def test_interrupted_at_any_step_they_are_taken_away(step: str) -> None:
    stage = Stage()
    task: asyncio.Task[Catch]

    def spoil(_: NodeName, now: str) -> Completed | None:
        if now == step:
            task.cancel()
        return None

    stage.spoil = spoil
    task = asyncio.create_task(run(stage))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stage.steps[-1] == (CP1, "remove")


POD = number_of("pod-pod", How.FETCH)
FAILED = answer({POD: "failed no answer in 8 s"})
SECOND = {
    "it was busy": (FAILED, answer({}), Verdict.HOLDS),
    "it fails again": (FAILED, FAILED, Verdict.FALSIFIED),
    "it could not be asked": (TransportError("gone"), answer({}), Verdict.HOLDS),
    "it is gone": (FAILED, TransportError("gone"), Verdict.FALSIFIED),
}


@pytest.mark.parametrize(("first", "second", "verdict"), SECOND.values(), ids=SECOND)
async def test_what_fails_is_tried_once_more(
    first: str | TransportError, second: str | TransportError, verdict: Verdict
) -> None:
    stage = Stage()

    def spoil(name: NodeName, step: str) -> Completed | None:
        if (name, step) != (CP1, "try"):
            return None
        told = first if len(stage.tries) == 1 else second
        if isinstance(told, TransportError):
            raise told
        return Completed(0, told, "")

    stage.spoil = spoil
    claims = (await run(stage)).claims
    assert {one.verdict for one in claims if (one.claim, one.source) == ("pod-pod", CP1)} == {verdict}
    assert len(stage.tries) == 2
    assert ("10.43.0.8 8080" in stage.tries[1]) == isinstance(first, TransportError)  # of a claim that held


async def test_a_machine_that_can_not_be_asked_leaves_its_claims_open() -> None:
    catch = await run(Stage(), asked=(CP1,))
    found = {(one.verdict, one.detail) for one in catch.claims if one.source == W1 and one.claim == "pod-pod"}
    assert found == {(Verdict.UNKNOWN, "no `ssh` in the fleet file: can't be asked")}


async def test_a_node_that_is_not_ready_gets_no_probe() -> None:
    members = {**(SEEN.members or {}), W1: member(1, ready=False)}
    stage = Stage()
    catch = await run(stage, seen=replace(SEEN, members=members))
    assert '"nodeName": "w1"' not in stage.raised
    found = {(one.verdict, one.detail) for one in catch.claims if one.claim == "pod-pod" and one.target == W1}
    assert found == {(Verdict.UNKNOWN, "w1: there is no probe there")}


async def test_without_kubernetes_nothing_is_asked() -> None:
    stage = Stage()
    assert await run(stage, fleet=replace(FLEET, kubernetes=None)) == Catch()
    assert stage.steps == []


ABSENT = ClusterSeen({name: K3sSeen(name) for name in NAMES}, None, None, "no k3s")


async def test_a_cluster_that_nobody_has_set_up_is_no_claim_unless_wireloom_should() -> None:
    assert await run(Stage(), seen=ABSENT, fleet=fleet_of(version=None)) == Catch()
    claims = (await run(Stage(), seen=ABSENT)).claims
    assert [(one.claim, one.verdict) for one in claims] == [("nodes", Verdict.UNKNOWN)] * 2


async def test_a_cluster_of_somebody_else_is_tested_if_it_is_there() -> None:
    assert (await run(Stage(), Wish(quick=True), fleet=fleet_of(version=None))).claims
