"""The generations that a node keeps: who made them, when and why, and their configurations without keys."""

import shlex
from collections.abc import Iterable

from wireloom.observe.probes import STATE_DIRECTORY
from wireloom.observe.state import Generation, Stored
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

TIMEOUT = 30.0
"""Seconds for reading them on one node."""

HEAD_LINES = 4
"""Lines before the configuration: who, when, what, digest. Note.record in apply/script.py writes them."""

MOST_DIGITS = 9
"""Digits that the number of a generation may have; nobody applies a thousand million times."""


async def read_histories(
    crew: Crew, nodes: Iterable[NodeName], interface: str
) -> dict[NodeName, list[Generation] | TransportError]:
    """What each node keeps, oldest first, or why it could not be asked."""
    script = f"""interface={shlex.quote(interface)}
present=$(sed -n s/^generation=//p {STATE_DIRECTORY}/"$interface".state 2>/dev/null)
for file in {STATE_DIRECTORY}/history/"$interface"/*; do
    number=${{file##*/}}
    case $number in *[!0-9]*) continue ;; esac
    {{ read -r who && read -r when && read -r what; }} <"$file" || continue
    test "$number" = "$present" && now=present || now=past
    printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$number" "$now" "${{who#*: }}" "${{when#*: }}" "${{what#*: }}"
done
"""
    answers = await crew.run(dict.fromkeys(nodes, script), timeout=TIMEOUT)
    return {name: _read_history(answer) for name, answer in answers.items()}


def _read_history(answer: Completed | TransportError) -> list[Generation] | TransportError:
    if isinstance(answer, TransportError):
        return answer
    if answer.status:
        return TransportError("its history can't be read", hint=_printable(answer.stderr[-200:]))
    return parse_history(answer.stdout)


def parse_history(text: str) -> list[Generation]:
    """Lines of five fields parted by tabs, in any order; a line that makes no sense is passed over."""
    fields = [line.split("\t") for line in text.split("\n")]
    return sorted(
        (
            Generation(int(number), _printable(who), _printable(when), _printable(what), now == "present")
            for number, now, who, when, what in (one for one in fields if len(one) == 5)
            if number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
        ),
        key=lambda one: one.number,
    )


async def read_stored(
    crew: Crew, wanted: dict[NodeName, int], interface: str
) -> dict[NodeName, Stored | TransportError]:
    """The configuration of one generation from each node."""
    scripts = {
        name: f"tail -n +{HEAD_LINES} {STATE_DIRECTORY}/history/{shlex.quote(interface)}/{number}\n"
        for name, number in wanted.items()
    }
    answers = await crew.run(scripts, timeout=TIMEOUT)
    return {name: _read_stored(answer, wanted[name]) for name, answer in answers.items()}


def _read_stored(answer: Completed | TransportError, number: int) -> Stored | TransportError:
    if isinstance(answer, TransportError):
        return answer
    if answer.status:
        what = f"generation {number} can't be read there"
        return TransportError(what, hint=_printable(answer.stderr[-200:]))
    last, _, keyless = answer.stdout.partition("\n")
    return Stored(number, last.removeprefix("# digest: "), keyless)


def _printable(text: str) -> str:
    """Safe for a terminal, whoever wrote into the file."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.strip())[:400]
