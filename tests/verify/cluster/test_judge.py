"""From what machines tried to claims: nothing holds for lack of evidence, and nobody else is blamed."""

from ipaddress import ip_address

import pytest

from tests.verify.cluster.cluster import CP1, MEMBERS, PROBES, W1
from wireloom.values import NodeName
from wireloom.verify.cluster.judge import choose_again, judge_trials, unknown_trials
from wireloom.verify.cluster.probes import Probe, Probes
from wireloom.verify.cluster.trials import (
    How,
    Trial,
    choose_requests,
    choose_trials,
    read_tried,
    trying_script,
)

RUN = "wireloom-verify-0a1b2c3d"
TRIALS = dict(enumerate([*choose_trials(CP1, [W1], MEMBERS, PROBES), *choose_requests(CP1, [CP1, W1], RUN)]))
PING = "PING 10.42.1.7 3 packets transmitted, 3 received, 0% packet loss rtt min/avg/max/mdev = 1/2/3/0 ms"
LOST = "PING 10.42.1.7 3 packets transmitted, 0 received, 100% packet loss"
TOO_LONG = "ping: local error: message too long, mtu=1300 3 packets transmitted, 0 received, +3 errors"

GOOD = {
    How.FETCH: "ok {expected}",
    How.REACH: "ok open",
    How.RESOLVE: "ok 10.43.0.1",
    How.PING: PING,
    How.FULL: PING,
    How.LOGS: "0 {expected}",
    How.EXEC: "0 {expected}",
    How.ASK: "0 pod/probe-1",
}
FINE = {
    ("pod-service", ""),
    ("dns", ""),
    ("logs", ""),
    ("exec", ""),
    *((kind, "w1") for kind in ("pod-pod", "node-pod", "pod-mtu", "pod-service", "pod-node", "logs", "exec")),
}


def number_of(claim: str, how: How, target: NodeName | None = W1) -> int:
    return next(
        number for number, one in TRIALS.items() if (one.claim, one.how, one.target) == (claim, how, target)
    )


def answer(changed: dict[int, str | None], head: str = "process 4711\nmtu 1370\nbridged veth1\n") -> str:
    said = {number: GOOD[one.how].format(expected=one.expected) for number, one in TRIALS.items()}
    lines = [f"said {number} {text}" for number, text in (said | changed).items() if text is not None]
    return head + "\n".join([*lines, "done", ""])


def told(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    claims = judge_trials(CP1, [W1], TRIALS, read_tried(text), PROBES)
    return {(one.claim, one.target or ""): (str(one.verdict), one.detail) for one in claims}


def wrong(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    return {about: look for about, look in told(text).items() if look[0] != "holds"}


def test_all_is_well() -> None:
    assert set(told(answer({}))) == FINE
    assert wrong(answer({})) == {}


FAULTS = {
    "a pod does not answer": (
        {number_of("pod-pod", How.FETCH): "failed no answer in 8 s"},
        {("pod-pod", "w1"): ("falsified", "10.42.1.7: no answer in 8 s")},
    ),
    "somebody else answers": (
        {number_of("pod-service", How.FETCH): "ok cp1"},
        {("pod-service", "w1"): ("falsified", "10.43.0.8: cp1 instead of w1")},
    ),
    "the machine does not reach the pod": (
        {number_of("node-pod", How.FETCH): "failed No route to host"},
        {("node-pod", "w1"): ("falsified", "10.42.1.7: No route to host")},
    ),
    "the kubelet's port is closed, pings are answered": (
        {number_of("pod-node", How.REACH): "failed no answer in 8 s"},
        {},
    ),
    "pings are dropped, the port refuses": (
        {number_of("pod-node", How.PING): LOST, number_of("pod-node", How.REACH): "ok refused"},
        {},
    ),
    "the machine gives no sign of life": (
        {number_of("pod-node", How.PING): LOST, number_of("pod-node", How.REACH): "failed no answer in 8 s"},
        {("pod-node", "w1"): ("falsified", "10.99.0.2: 0 of 3 answered, no answer in 8 s")},
    ),
    "a black hole": (
        {number_of("pod-mtu", How.FULL): LOST},
        {("pod-mtu", "w1"): ("falsified", "full packets get lost, small ones pass: a black hole")},
    ),
    "a way that takes less": (
        {number_of("pod-mtu", How.FULL): TOO_LONG},
        {("pod-mtu", "w1"): ("falsified", "the way takes only 1300 bytes")},
    ),
    "no packet of any size": (
        {number_of("pod-mtu", How.FULL): LOST, number_of("pod-mtu", How.PING): LOST},
        {("pod-mtu", "w1"): ("unknown", "small packets don't arrive either")},
    ),
    "no DNS": (
        {number_of("dns", How.RESOLVE, None): "failed Connection refused"},
        {("dns", ""): ("falsified", "Connection refused")},
    ),
    "another's DNS": (
        {number_of("dns", How.RESOLVE, None): "ok 192.0.2.53"},
        {("dns", ""): ("falsified", "192.0.2.53 instead of 10.43.0.1")},
    ),
    "the API's service refuses": (
        {number_of("pod-service", How.REACH, None): "ok refused"},
        {("pod-service", ""): ("falsified", "10.43.0.1: refused instead of open")},
    ),
    "logs fail": (
        {number_of("logs", How.LOGS): "1 Error from server: dial tcp 10.99.0.2:10250: i/o timeout"},
        {("logs", "w1"): ("falsified", "Error from server: dial tcp 10.99.0.2:10250: i/o timeout")},
    ),
    "exec hangs": (
        {number_of("exec", How.EXEC): "124 "},
        {("exec", "w1"): ("falsified", "no answer in 30 s")},
    ),
    "logs of another": (
        {number_of("logs", How.LOGS): "0 hello"},
        {("logs", "w1"): ("falsified", "it told 'hello', not what the probe there tells")},
    ),
    "garbage": (
        {number_of("pod-pod", How.FETCH): "okay", number_of("exec", How.EXEC): "sh: error"},
        {
            ("pod-pod", "w1"): ("unknown", "the answer makes no sense"),
            ("exec", "w1"): ("unknown", "the answer makes no sense"),
        },
    ),
    "ping is not there": (
        {number_of("pod-mtu", How.FULL): "sh: ping: not found", number_of("pod-mtu", How.PING): "?"},
        {("pod-mtu", "w1"): ("unknown", "sh: ping: not found")},
    ),
    "it was not tried": (
        {number_of("pod-pod", How.FETCH): None, number_of("logs", How.LOGS): None},
        {
            ("pod-pod", "w1"): (
                "unknown",
                "it was not tried: is perl there? wireloom check --nodes --install",
            ),
            ("logs", "w1"): ("unknown", "not tried"),
        },
    ),
}


@pytest.mark.parametrize(("changed", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_and_nothing_else_blamed(
    changed: dict[int, str | None], expected: dict[tuple[str, str], tuple[str, str]]
) -> None:
    assert wrong(answer(changed)) == expected


INSIDE = {"pod-pod", "pod-service", "pod-node", "pod-mtu", "dns"}


def test_without_the_control_nothing_within_the_probe_is_known() -> None:
    control = next(number for number, one in TRIALS.items() if one.claim == "control" and one.inside)
    found = wrong(answer({control: "failed no answer in 8 s"}))
    assert {kind for kind, _ in found} == INSIDE
    assert set(found.values()) == {("unknown", "its own probe is not heard: no answer in 8 s")}


def test_without_an_api_server_logs_and_exec_are_open() -> None:
    control = next(number for number, one in TRIALS.items() if one.how is How.ASK)
    found = wrong(answer({control: "1 The connection to the server 127.0.0.1:6443 was refused"}))
    assert {kind for kind, _ in found} == {"logs", "exec"}
    assert {verdict for verdict, _ in found.values()} == {"unknown"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (answer({}, head=""), "the process of its probe was not found"),
        (answer({}, head="").replace("done", ""), "the trials were cut short"),
    ],
    ids=["gone", "cut"],
)
def test_a_probe_that_is_not_found_leaves_its_claims_open(text: str, why: str) -> None:
    found = wrong(text)
    assert {kind for kind, _ in found} == INSIDE
    assert set(found.values()) == {("unknown", why)}


def test_an_empty_answer_leaves_all_open() -> None:
    assert {look[0] for look in told("").values()} == {"unknown"}
    assert set(told("")) == FINE


def test_a_pod_that_is_not_ready_is_no_fault_of_the_way() -> None:
    probes = Probes({CP1: PROBES.pods[CP1], W1: Probe(why="its probe is not ready: Pending")}, {}, PROBES.api)
    trials = dict(enumerate(choose_trials(CP1, [W1], MEMBERS, probes)))
    claims = list(judge_trials(CP1, [W1], trials, read_tried("process 1\ndone\n"), probes))
    found = {one.claim: one.detail for one in claims if one.target == W1}
    assert found["pod-pod"] == "w1: its probe is not ready: Pending"
    assert "w1" in {one.target for one in trials.values() if one.claim == "pod-node"}
    assert not any(one.verdict == "holds" for one in claims)


def test_who_could_not_be_asked_leaves_its_claims_open() -> None:
    claims = list(unknown_trials(CP1, [W1], "no answer from cp1"))
    assert {one.detail for one in claims} == {"no answer from cp1"}
    assert {one.claim for one in claims} == {
        "pod-pod",
        "pod-service",
        "pod-node",
        "node-pod",
        "pod-mtu",
        "dns",
    }


# --- what is tried ---------------------------------------------------------------------------------------


def test_both_families_are_tried() -> None:
    addresses = (ip_address("10.42.1.7"), ip_address("fd42:42:1::7"))
    probes = Probes({CP1: PROBES.pods[CP1], W1: Probe(addresses, ready=True)}, {}, PROBES.api)
    trials = choose_trials(CP1, [W1], MEMBERS, probes)
    assert [one.address for one in trials if one.claim == "pod-pod"] == list(addresses)


def test_a_script_has_an_order_for_each_trial() -> None:
    script = trying_script(RUN, CP1, [CP1, W1], TRIALS)
    for number, one in TRIALS.items():
        assert f" {number} " in script or f"\n{number} {one.how.value} " in script, one
    assert f"find_probe '{RUN}/cp1/'" in script
    assert "logs probe-1" in script
    assert "exec probe-1 -- cat /srv/index.html" in script


def test_lines_that_make_no_sense_are_left_out() -> None:
    tried = read_tried("said x y\nsaid 3\nprocess one\nmtu \nbridged\nnoise\nsaid 4 ok w1\n")
    assert (tried.said, tried.process, tried.mtu, tried.bridged, tried.ended) == (
        {4: "ok w1"},
        None,
        0,
        set(),
        False,
    )


def test_a_trial_of_oneself_is_no_pair() -> None:
    assert Trial("logs", None, How.LOGS, False, expected=f"probe {RUN}/cp1/") in TRIALS.values()


AGAIN: dict[str, tuple[dict[int, str | None], set[tuple[str, str]]]] = {
    "all holds": ({}, set()),
    "a pod does not answer": ({number_of("pod-pod", How.FETCH): "failed x"}, {("pod-pod", "fetch")}),
    "no DNS yet": ({number_of("dns", How.RESOLVE, None): "failed x"}, {("dns", "resolve")}),
    "one of two signs of life": ({number_of("pod-node", How.PING): LOST}, set()),
    "both sizes of what is too long": (
        {number_of("pod-mtu", How.FULL): LOST},
        {("pod-mtu", "ping"), ("pod-mtu", "full")},
    ),
    "not tried": ({number_of("node-pod", How.FETCH): None}, {("node-pod", "fetch")}),
}


@pytest.mark.parametrize(("changed", "expected"), AGAIN.values(), ids=AGAIN)
def test_what_does_not_hold_is_tried_once_more_with_its_controls(
    changed: dict[int, str | None], expected: set[tuple[str, str]]
) -> None:
    claims = judge_trials(CP1, [W1], TRIALS, read_tried(answer(changed)), PROBES)
    again = choose_again({CP1: TRIALS}, claims)
    chosen = {(one.claim, one.how.value) for one in again.get(CP1, {}).values()}
    assert chosen == (expected and expected | {("control", "fetch"), ("control", "ask")})
    assert all(TRIALS[number] == one for number, one in again.get(CP1, {}).items())


def test_a_second_try_stands_in_place_of_the_first() -> None:
    number = number_of("pod-pod", How.FETCH)
    first = read_tried(answer({number: "failed x"}, head="mtu 1370\nbridged veth1\n"))
    second = read_tried(f"process 4711\nsaid {number} ok w1\ndone\n")
    both = first.amended(second)
    assert (both.said[number], both.process, both.mtu, both.bridged) == ("ok w1", 4711, 1370, {"veth1"})
    assert both.said.keys() == TRIALS.keys()
    assert not first.amended(read_tried("")).ended
