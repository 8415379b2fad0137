"""What came of the trials → claims with verdicts. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from wireloom.values import NodeName
from wireloom.verify.canary import MEND
from wireloom.verify.claim import Claim, Verdict, conclude
from wireloom.verify.cluster.probes import Probes
from wireloom.verify.cluster.trials import CONTROL, KUBECTL_SECONDS, How, Trial, Tried
from wireloom.verify.probe import parse_ping

PAIRWISE = ("pod-pod", "pod-service", "pod-node", "node-pod", "pod-mtu")
"""What is claimed of every pair of machines that have probes."""

TIMED_OUT = "124"
"""What timeout(1) leaves as exit status."""

Look = tuple[Verdict, str]


def judge_trials(
    name: NodeName, others: Sequence[NodeName], trials: Mapping[int, Trial], tried: Tried, probes: Probes
) -> Iterator[Claim]:
    """All claims of one machine about its probe, and about others. What was not tried is unknown."""
    looks: dict[tuple[str, NodeName | None], list[tuple[Trial, Look]]] = defaultdict(list)
    blind = _find_blindness(trials, tried)
    for number, one in trials.items():
        if one.claim != CONTROL:
            look = _look(one, tried.said.get(number), blind[one.inside])
            looks[one.claim, one.target].append((one, look))
    for (claim, target), told in looks.items():
        verdict, detail = _COMBINE.get(claim, _all)(told)
        yield Claim(claim, name, target, verdict, detail)
    for other in others:
        for claim in PAIRWISE:
            if (claim, other) not in looks:
                why = probes.trouble(name if not probes.ready(name) else other)
                who = name if not probes.ready(name) else other
                yield Claim(claim, name, other, Verdict.UNKNOWN, f"{who}: {why}")


def unknown_trials(name: NodeName, others: Sequence[NodeName], why: str) -> Iterator[Claim]:
    """The claims of a machine that could not be asked."""
    for other in others:
        for claim in PAIRWISE:
            yield Claim(claim, name, other, Verdict.UNKNOWN, why)
    yield Claim("dns", name, None, Verdict.UNKNOWN, why)


def choose_again(
    trials: Mapping[NodeName, Mapping[int, Trial]], claims: Iterable[Claim]
) -> dict[NodeName, dict[int, Trial]]:
    """What each machine tries once more, with its controls: whatever a claim hangs on that does not hold.

    A busy machine loses packets and takes its time, and a cluster that has just begun has no name server yet.
    """
    doubtful = {(one.claim, one.source, one.target) for one in claims if one.verdict is not Verdict.HOLDS}
    chosen = {
        name: {
            number: one
            for number, one in ones.items()
            if one.claim == CONTROL or (one.claim, name, one.target) in doubtful
        }
        for name, ones in trials.items()
    }
    return {name: ones for name, ones in chosen.items() if any(one.claim != CONTROL for one in ones.values())}


def _find_blindness(trials: Mapping[int, Trial], tried: Tried) -> dict[bool, str]:
    """Why failures from within the probe (True), or of the machine (False), would prove nothing."""
    blind = {True: "", False: ""}
    if tried.process is None:
        blind[True] = "the process of its probe was not found" if tried.ended else "the trials were cut short"
    for number, one in trials.items():
        if one.claim != CONTROL:
            continue
        verdict, detail = _look(one, tried.said.get(number), blind[one.inside])
        if verdict is not Verdict.HOLDS and not blind[one.inside]:
            who = "its API server does not answer" if one.how is How.ASK else "its own probe is not heard"
            blind[one.inside] = f"{who}: {detail}"
    return blind


def _look(trial: Trial, said: str | None, blind: str) -> Look:
    # What a machine sends by itself needs no API server.
    if blind and (trial.inside or not trial.how.knocks):
        return Verdict.UNKNOWN, blind
    if said is None:
        return (
            Verdict.UNKNOWN,
            f"it was not tried: is perl there? {MEND}" if trial.how.knocks else "not tried",
        )
    if trial.how in {How.PING, How.FULL}:
        return _look_at_ping(said)
    if trial.how.knocks:
        return _look_at_knock(trial, said)
    return _look_at_answer(trial, said)


def _look_at_ping(said: str) -> Look:
    try:
        seen = parse_ping(said)
    except ValueError as error:
        return Verdict.UNKNOWN, str(error)
    if seen.received:
        return Verdict.HOLDS, f"{seen.received} of {seen.sent} answered"
    if seen.too_long is not None:
        return Verdict.FALSIFIED, f"the way takes only {seen.too_long or 'fewer'} bytes"
    return Verdict.FALSIFIED, f"0 of {seen.sent} answered"


def _look_at_knock(trial: Trial, said: str) -> Look:
    word, _, text = said.partition(" ")
    if word == "failed":
        return Verdict.FALSIFIED, text
    if word != "ok" or not text:
        return Verdict.UNKNOWN, "the answer makes no sense"
    if trial.expected and text != trial.expected:
        return Verdict.FALSIFIED, f"{text} instead of {trial.expected}"
    return Verdict.HOLDS, text


def _look_at_answer(trial: Trial, said: str) -> Look:
    """By the exit status of kubectl, and the last line of what it said."""
    status, _, text = said.partition(" ")
    if status == TIMED_OUT:
        return Verdict.FALSIFIED, f"no answer in {KUBECTL_SECONDS} s"
    if not status.isdecimal():
        return Verdict.UNKNOWN, "the answer makes no sense"
    if status != "0":
        return Verdict.FALSIFIED, text or f"exit status {status}"
    if trial.expected and text != trial.expected:
        return Verdict.FALSIFIED, f"it told {text or 'nothing'!r}, not what the probe there tells"
    return Verdict.HOLDS, "as it should"


def _all(told: Sequence[tuple[Trial, Look]]) -> Look:
    """Each address must do. What is told is what decides, each thing once, with the addresses."""
    verdict = conclude(one for _, (one, _) in told)
    decisive = [(trial, detail) for trial, (one, detail) in told if one is verdict]
    if verdict is Verdict.UNKNOWN:
        return verdict, "; ".join(dict.fromkeys(detail for _, detail in decisive))
    by_place: dict[str, list[str]] = {}
    for trial, detail in decisive:
        by_place.setdefault(_place(trial), []).append(detail)
    by_detail: dict[str, list[str]] = {}
    for place, details in by_place.items():
        by_detail.setdefault(", ".join(dict.fromkeys(details)), []).append(place)
    return verdict, "; ".join(
        f"{' and '.join(places)}: {detail}" if any(places) else detail for detail, places in by_detail.items()
    )


def _place(trial: Trial) -> str:
    if trial.address is None or trial.how is How.RESOLVE:
        return ""
    return str(trial.address)


def _any(told: Sequence[tuple[Trial, Look]]) -> Look:
    """Any sign of life will do: pings or ports may be closed on purpose."""
    good = [(trial, look) for trial, look in told if look[0] is Verdict.HOLDS]
    return _all(good or told)


def _sizes(told: Sequence[tuple[Trial, Look]]) -> Look:
    """Full pings beside small ones, by address."""
    looks: list[Look] = []
    small = {trial.address: look for trial, look in told if trial.how is How.PING}
    for trial, (verdict, detail) in told:
        if trial.how is not How.FULL:
            continue
        passes = small.get(trial.address, (Verdict.UNKNOWN, ""))[0] is Verdict.HOLDS
        if verdict is Verdict.FALSIFIED and not passes:
            looks.append((Verdict.UNKNOWN, "small packets don't arrive either"))
        elif verdict is Verdict.FALSIFIED and detail.startswith("0 of"):
            looks.append((verdict, "full packets get lost, small ones pass: a black hole"))
        else:
            looks.append((verdict, detail))
    verdict = conclude(one for one, _ in looks)
    return verdict, "; ".join(dict.fromkeys(detail for one, detail in looks if one is verdict))


_COMBINE: Mapping[str, Callable[[Sequence[tuple[Trial, Look]]], Look]] = {"pod-node": _any, "pod-mtu": _sizes}
