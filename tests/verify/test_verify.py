"""Verify as a whole, on machines that are not there."""

from dataclasses import replace

import pytest

from tests.apply.machines import CP1, FLEET, NAMES, NAS1, W1, key_of
from tests.report.graph_fleets import large, net
from tests.verify.test_judge import GOOD
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.topology import weave
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName
from wireloom.verify.claim import Evidence, Verdict
from wireloom.verify.verify import Wish, verify

NETWORK = weave(FLEET, allot(FLEET, Lock("shop")).with_keys({name: key_of(name) for name in NAMES}))


def reporting(name: NodeName) -> Completed:
    """A report of a node from which all is well."""
    lines = [GOOD["now"]]
    for place, peer in enumerate(NETWORK.peers(name)):
        lines += [GOOD[kind].replace(" 0 ", f" {place} ", 1) for kind in ("ping", "full", "small")]
        endpoint = peer.endpoint or "198.51.100.1:9"
        lines.append(f"peer {peer.public_key}\t(none)\t{endpoint}\t10.99.0.9/32\t1699999990\t1\t2\t0")
    lines.append(f"listed {len(list(NETWORK.peers(name)))} peers")
    return Completed(0, "\n".join(lines), "")


QUICK = Wish(quick=True)


async def run(answers: dict[NodeName, object], asked: tuple[NodeName, ...] = NAMES) -> Evidence:
    transport = FakeTransport(answers)  # type: ignore[arg-type]
    async with Crew(transport) as crew:
        return await verify(NETWORK, crew, frozenset(asked), QUICK)


ALL_WELL = {name: lambda _, name=name: reporting(name) for name in NAMES}


async def test_all_pairs_of_a_small_fleet_are_tested_in_both_directions() -> None:
    evidence = await run(ALL_WELL)
    assert (evidence.verdict, evidence.pairs, evidence.all_pairs) == (Verdict.HOLDS, 6, 6)
    assert not evidence.sampled
    answers = [(one.source, one.target) for one in evidence.claims if one.claim == "answers"]
    assert answers == [(a, b) for a in NAMES for b in NAMES if a != b]


@pytest.mark.parametrize(
    ("detail", "answers", "asked"),
    [
        ("no answer from w1", {W1: TransportError("no answer from w1")}, NAMES),
        ("no `ssh` in the fleet file: can't be asked", {}, (CP1, NAS1)),
    ],
    ids=["unreachable", "without ssh"],
)
async def test_a_machine_that_can_not_be_asked_leaves_its_own_claims_open(
    detail: str, answers: dict[NodeName, object], asked: tuple[NodeName, ...]
) -> None:
    evidence = await run(ALL_WELL | answers, asked)
    open_claims = {(one.source, one.detail) for one in evidence.claims if one.verdict is not Verdict.HOLDS}
    assert open_claims == {(W1, detail)}
    assert [(one.name, one.what) for one in evidence.unasked] == [(W1, detail)]
    assert evidence.verdict is Verdict.UNKNOWN


async def test_an_empty_report_leaves_all_open() -> None:
    evidence = await run(ALL_WELL | {W1: lambda _: Completed(127, "", "sh: not found")})
    assert {one.verdict for one in evidence.claims if one.source == W1} == {Verdict.UNKNOWN}


async def test_a_sample_says_so() -> None:
    whole = net(large(3, 20))
    transport = FakeTransport({})
    async with Crew(transport) as crew:
        evidence = await verify(whole, crew, frozenset(), QUICK)
    assert evidence.sampled
    assert evidence.all_pairs == 60 * 59
    assert evidence.pairs == sum(one.claim == "answers" for one in evidence.claims)


async def test_nothing_to_test_is_unknown() -> None:
    alone = replace(NETWORK, members={CP1: NETWORK.members[CP1]}, views={CP1: ()})
    async with Crew(FakeTransport({})) as crew:
        assert (await verify(alone, crew, frozenset({CP1}), QUICK)).verdict is Verdict.UNKNOWN
