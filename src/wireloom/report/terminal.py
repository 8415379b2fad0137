"""What a person reads in a terminal: data on stdout, talk on stderr, all of it readable without colour."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from wireloom.apply.outcome import Ending, NodeOutcome, Outcome, any_failed
from wireloom.errors import Diagnostic, Severity
from wireloom.grammar import count, some
from wireloom.observe.state import Generation, Unreachable
from wireloom.plan.plan import Action, Change, NodePlan, Plan, Risk
from wireloom.preflight.finding import Finding
from wireloom.report.hint import complete
from wireloom.values import NodeName
from wireloom.verify.claim import KINDS, Claim, Evidence, Verdict, conclude

SIGNS = {
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.START: (">", "cyan"),
    Action.RESTART: (">", "yellow"),
    Action.ENABLE: (">", "cyan"),
}
MOST_DIAGNOSTICS = 100
VERDICT_COLOURS = {Verdict.HOLDS: "green", Verdict.FALSIFIED: "red", Verdict.UNKNOWN: "yellow"}
ENDING_COLOURS = {
    Ending.CHANGED: "green",
    Ending.UNCHANGED: "dim",
    Ending.PENDING: "yellow",
    Ending.FAILED: "red",
    Ending.ROLLED_BACK: "yellow",
}


def out() -> Console:
    """Data. A pipe gets whole lines: nothing is wrapped or cut for a width that is not there."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def _err() -> Console:
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line of talk, on stderr."""
    _err().print(Text(complete(text)))


def print_data(text: str) -> None:
    """A line of data, on stdout, as it is."""
    sys.stdout.write(f"{text}\n")


def can_redraw(console: Console) -> bool:
    """Whether a line that is there can be replaced. With FORCE_COLOR, as CI sets it, a pipe is still one."""
    return console.file.isatty() and not console.is_dumb_terminal


class Progress:
    """Says what goes on now, on stderr: a spinner on a terminal, a line each elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = _err()
        self._status: Status | None = None
        self._step = ""
        self._awaited: Sequence[NodeName] = ()
        self._printed: set[bool] = set()

    def __call__(self, text: str) -> None:
        """Show what is going on now."""
        self._step, self._awaited = text, ()
        self._printed.clear()
        self._show()

    def wait_for(self, nodes: Sequence[NodeName]) -> None:
        """Show whom it waits for as well; nobody: it goes on."""
        self._awaited = nodes
        self._show()

    def _show(self) -> None:
        """On a terminal as it is now. Lines stay: elsewhere a step gets one, and one more with names."""
        if self._quiet or not self._step:
            return
        named = bool(self._awaited)
        if can_redraw(self._console):
            self._draw()
        elif named not in self._printed:
            self._printed.add(named)
            self._console.print(Text(self._text))

    def _draw(self) -> None:
        if self._status is None:
            self._status = self._console.status(
                "", spinner="line" if self._console.options.ascii_only else "dots"
            )
            self._status.start()
        self._status.update(Text(self._text))

    @property
    def _text(self) -> str:
        if self._awaited:
            names = some(self._awaited)
            told = self._step.endswith((f" on {names}", f" of {names}", f": {names}"))
            return f"{self._step}: still waiting" + ("" if told else f" for {names}")
        return self._step if self._step.endswith("…") else f"{self._step} …"

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Inside there is room for a question; then it goes on with what it showed."""
        step = self._step
        self.pause()
        yield
        self._step = step
        self._show()

    def pause(self) -> None:
        """Make room for other output; the next call shows what goes on then."""
        self._step = ""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __enter__(self) -> Self:
        """Shows nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Gone, whatever happened."""
        self.pause()


def show_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Mistakes and warnings, gathered: where, what, and below it what to do; the first hundred of them."""
    console = _err()
    shown = gather(diagnostics)
    for one in shown[:MOST_DIAGNOSTICS]:
        for line in _diagnostic_lines(one):
            console.print(line)
    if len(shown) > MOST_DIAGNOSTICS:
        console.print(Text(f"… and {len(shown) - MOST_DIAGNOSTICS} more."))


def _diagnostic_lines(one: Diagnostic) -> Iterator[Text]:
    colour = "red" if one.severity is Severity.ERROR else "yellow"
    place = (f"{one.where}: ", "bold") if one.where else ""
    yield Text.assemble(place, (f"{one.severity}: ", colour), one.what)
    if one.hint:
        yield hint_line(one.hint)


def hint_line(hint: str) -> Text:
    """What to do about what stands above it."""
    return Text(f"    {complete(hint)}", "dim")


def gather(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """What is the same on several nodes, once, with all their names: forty machines may lack one tool.

    Each line of a file is told of by itself: editors go there.
    """
    places: dict[Diagnostic, list[str]] = {}
    for one in diagnostics:
        in_a_file = ":" in one.where
        places.setdefault(one if in_a_file else replace(one, where=""), []).append(one.where)
    return [replace(one, where=", ".join(filter(None, where))) for one, where in places.items()]


def show_findings(findings: Sequence[Finding]) -> None:
    """All that a look at the machines found, as data: not the first hundred only."""
    console = out()
    for one in gather(finding.diagnostic for finding in findings):
        for line in _diagnostic_lines(one):
            console.print(line)


def show_plan(plan: Plan, *, every_peer: bool, source: str = "the fleet file", alone: bool = True) -> None:
    """The changes of each node, peers of one kind gathered in a line unless ``every_peer``.

    ``source`` is what the nodes are to be as. Not ``alone``: a plan for k3s follows.
    """
    console = out()
    changing = [node for node in plan.nodes if node.changes]
    lines = [line for node in changing for line in _plan_lines(node, every_peer=every_peer)]
    if lines:
        console.print(Text("\n").join(lines))
    counts = [f"{number} to {action}" for action, number in _count(plan).items()]
    if counts:
        nodes = f"{len(changing)} of {count(len(plan.nodes), 'node')}"
        console.print(Text(f"Plan: {', '.join(counts)}, on {nodes}.", "bold"))
        if len(changing) > 1 and any(change.together for _, change in plan.changes()):
            console.print(
                "All at the same time: who has changed and who has not don't understand each other."
            )
    elif plan.steps and not plan.refusals:
        console.print(Text("Nothing to change for now."))
    elif plan.unreachable and not plan.nodes:
        console.print(Text("Nothing is known of what would change: no node could be looked at."))
    elif plan.nodes and not plan.refusals:
        unseen = f", {len(plan.unreachable)} could not be looked at" if plan.unreachable else ""
        nothing = "Nothing to change" if alone else "Nothing to change in the network"
        console.print(Text(f"{nothing}: {_all_as(source, len(plan.nodes))}{unseen}."))
    _show_steps(plan)
    show_unreachable(plan.unreachable)
    show_diagnostics([*plan.notes, *plan.refusals])


def _show_steps(plan: Plan) -> None:
    """Where one apply can't lead to what is wanted: what this one does, what follows, and who holds it up."""
    if plan.refusals or not plan.steps or (len(plan.steps) == 1 and not plan.empty):
        return
    console = out()
    console.print(f"{count(len(plan.steps), 'step')} to go, one after the other; this plan is the first:")
    for number, step in enumerate(plan.steps, 1):
        console.print(Text(f"  {number}. {step}"))
    if plan.unreachable and len(plan.steps) > 1:
        console.print(Text(f"Step 2 waits for {', '.join(one.name for one in plan.unreachable)}."))


def _all_as(source: str, nodes: int) -> str:
    return f"{count(nodes, 'node')} {'is' if nodes == 1 else 'are'} as {source} says"


def _count(plan: Plan) -> dict[Action, int]:
    found = [change.action for _, change in plan.changes()]
    return {action: found.count(action) for action in Action if action in found}


def _plan_lines(node: NodePlan, *, every_peer: bool) -> Iterator[Text]:
    yield Text(node.name, "bold")
    for key, group in groupby(node.changes, key=_kind):
        changes = list(group)
        if key and len(changes) > 2 and not every_peer:
            names = ", ".join(change.target.removeprefix("peer ") for change in changes)
            yield plan_line(changes[0], f"{len(changes)} peers", names)
        else:
            yield from (plan_line(change, change.target, change.reason) for change in changes)


def _kind(change: Change) -> tuple[Action, Risk] | None:
    """Peers with the same action may share a line."""
    return (change.action, change.risk) if change.target.startswith("peer ") else None


def plan_line(change: Change, target: str, reason: str) -> Text:
    """A change on a line: what happens to what, why, and what traffic may notice."""
    sign, colour = SIGNS[change.action]
    risk = "" if change.risk is Risk.NONE else f"  [{change.risk}]"
    return Text.assemble("  ", (sign, colour), f" {target}", (f"  {reason}", "dim"), (risk, "yellow"))


def show_unreachable(unreachable: Sequence[Unreachable]) -> None:
    """Nodes that did not answer: they are left as they are, and their peers keep them."""
    show_diagnostics(
        Diagnostic(
            f"could not be looked at, stays as it is: {one.what}", one.name, one.hint, Severity.WARNING
        )
        for one in unreachable
    )


def show_outcome(outcome: Outcome) -> None:
    """How an apply ended, node by node, and in one line."""
    console = out()
    _show_endings(outcome.nodes)
    if outcome.nodes:
        verdict = "failed" if any_failed(outcome.nodes) else "applied"
        line = f"Generation {outcome.generation} {verdict}: {_count_endings(outcome.nodes)}."
        console.print(Text(line, "bold"))
    if outcome.steps_left and not outcome.failed:
        pending = [one.name for one in outcome.nodes if one.ending is Ending.PENDING]
        waits = f", once {', '.join(pending)} can be reached" if pending else ""
        console.print(Text(f"Left to do by the next apply{waits}: {'; then '.join(outcome.steps_left)}."))
    if outcome.cluster:
        _show_endings(outcome.cluster)
        console.print(Text(f"k3s: {_count_endings(outcome.cluster)}.", "bold"))


def _show_endings(nodes: Sequence[NodeOutcome]) -> None:
    """Those that did not end well, and what to do about it."""
    console = out()
    for one in nodes:
        if one.ending not in {Ending.UNCHANGED, Ending.CHANGED}:
            console.print(_outcome_line(one))
            if one.hint:
                console.print(hint_line(one.hint))


def _count_endings(nodes: Sequence[NodeOutcome]) -> str:
    endings = [one.ending for one in nodes]
    return ", ".join(f"{endings.count(ending)} {ending}" for ending in Ending if ending in endings)


def _outcome_line(one: NodeOutcome) -> Text:
    step = f" at {one.step}" if one.step else ""
    detail = f": {one.detail}" if one.detail else ""
    return Text.assemble((one.name, "bold"), " ", (str(one.ending), ENDING_COLOURS[one.ending]), step, detail)


def show_history(histories: Mapping[NodeName, Sequence[Generation]], *, every_node: bool) -> None:
    """A generation a line, newest first, with what changed where that is the same on all of its nodes.

    With ``every_node`` what changed on each of them is below it.
    """
    console = out()
    kept: dict[int, dict[NodeName, Generation]] = {}
    for name, history in histories.items():
        for one in history:
            kept.setdefault(one.number, {})[name] = one
    if not kept:
        console.print("No generation yet: nothing was applied.")
    for number, nodes in sorted(kept.items(), reverse=True):
        first, *others = nodes.values()
        line = f"{first.when}  {first.who}  {count(len(nodes), 'node')}"
        present = "  in use" if any(one.present for one in nodes.values()) else ""
        what = "" if any(one.what != first.what for one in others) else f"  {first.what}"
        console.print(Text.assemble((f"{number:>5}  ", "bold"), line, (present, "green"), (what, "dim")))
        for name, one in nodes.items() if every_node else ():
            console.print(Text.assemble("       ", (name, "bold"), f"  {one.what}"))


def show_evidence(evidence: Evidence, *, every_claim: bool) -> None:
    """A line per kind of claim, and every claim that does not hold; all of them if asked for.

    Why a node could not be asked is told once, before all else.
    """
    console = out()
    unasked = {one.name for one in evidence.unasked}
    why = (Diagnostic(one.what, one.name, one.hint, Severity.WARNING) for one in evidence.unasked)
    for diagnostic in gather(why):
        for line in _diagnostic_lines(diagnostic):
            console.print(line)
    for kind, meaning in KINDS.items():
        claims = [claim for claim in evidence.claims if claim.claim == kind]
        if not claims:
            continue
        verdict = conclude(claim.verdict for claim in claims)
        share = f"{sum(claim.verdict is verdict for claim in claims)} of {len(claims)}"
        console.print(
            Text.assemble(
                (f"{verdict!s:<10}", VERDICT_COLOURS[verdict]), f"{share:>12}  {kind}: {meaning.claimed}"
            )
        )
        for line in _claim_lines(claims, unasked, every_claim=every_claim):
            console.print(line)
    if evidence.sampled:
        console.print(
            Text(f"A sample: {evidence.pairs} of {evidence.all_pairs} pairs, every node among them.")
        )
    if evidence.roomier_mtu:
        console.print(Text(f"Every path has room for `mtu: {evidence.roomier_mtu}` under `underlay:`."))
    verdict = evidence.verdict
    console.print(Text.assemble(("Verdict: ", "bold"), (str(verdict), f"bold {VERDICT_COLOURS[verdict]}")))


def _claim_lines(claims: Iterable[Claim], unasked: Set[NodeName], *, every_claim: bool) -> Iterator[Text]:
    """Those that do not hold, or all; what is said of several pairs of a node alike in one line."""
    told = [one for one in claims if every_claim or one.verdict is not Verdict.HOLDS]

    def said(claim: Claim) -> tuple[NodeName, Verdict, str]:
        silent = claim.verdict is Verdict.UNKNOWN and claim.source in unasked
        return claim.source, claim.verdict, f"{claim.source} could not be asked" if silent else claim.detail

    for (_, verdict, detail), group in groupby(told, key=said):
        own = list(group)
        for part in ([one] for one in own) if every_claim else (own,):
            yield _claim_line(verdict, _subject(part), detail)


def _subject(claims: Sequence[Claim]) -> str:
    """Whom claims of one node are about."""
    first = claims[0]
    if first.target is None:
        return first.source
    return f"{first.source} → {first.target if len(claims) == 1 else count(len(claims), 'node')}"


def _claim_line(verdict: Verdict, subject: str, detail: str) -> Text:
    return Text.assemble(
        "    ", (f"{verdict!s:<10}", VERDICT_COLOURS[verdict]), f"{subject}  {complete(detail)}"
    )
