"""New private keys in the key files of nodes, and firewalls that would have to know a stand-in."""

from collections.abc import Collection, Mapping, Sequence

from wireloom.apply.holding import holding
from wireloom.apply.script import Hand
from wireloom.apply.step import STEP_TIMEOUT, diagnose, read_all, read_answer
from wireloom.errors import Diagnostic, UserError
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import Address, NodeName, PublicKey

Answers = Mapping[NodeName, Completed | TransportError]


async def rekey(crew: Crew, hand: Hand, names: Collection[NodeName]) -> dict[NodeName, PublicKey]:
    """A new key on each of these, which nothing runs with yet; of one that has made it already, that one."""
    answers = await _on_each(crew, hand, names, hand.rekey())
    return {name: PublicKey(read_answer(answer)["public_key"]) for name, answer in answers.items()}


async def find_rekeyed(crew: Crew, hand: Hand, names: Collection[NodeName]) -> set[NodeName]:
    """Those with a new key of a rotation that is not over, whether they run with it yet or not."""
    answers = await crew.run(dict.fromkeys(names, hand.is_rekeyed()), timeout=STEP_TIMEOUT)
    _require(answers, "look")
    return {name for name, answer in answers.items() if read_answer(answer).get("rekeyed")}


async def restore_keys(crew: Crew, hand: Hand, names: Collection[NodeName]) -> None:
    """The keys that are in the configuration files are the nodes' again."""
    await _on_each(crew, hand, names, hand.restore_key())


async def end_rotation(crew: Crew, hand: Hand, names: Collection[NodeName]) -> None:
    """The next rotation makes new keys again."""
    await _on_each(crew, hand, names, hand.end_rotation())


async def find_obstacles(
    crew: Crew, hand: Hand, names: Collection[NodeName], device: str
) -> list[Diagnostic]:
    """What keeps these from a rotation by the stand-in ``device``, that nobody sees in a plan."""
    answers = await crew.run(dict.fromkeys(names, hand.find_obstacles(device)), timeout=STEP_TIMEOUT)
    _require(answers, "look")
    links = [
        Diagnostic(
            f"{path} is a link, which a new key would replace", where=name, hint="put the key itself there"
        )
        for name, answer in answers.items()
        for path in read_all(answer, "link")
    ]
    rules = [
        Diagnostic(
            f"a rule of its firewall names {hand.interface}, and not {device}: {rule.strip()}",
            where=name,
            hint=f"have one like it for {device}, for as long as keys are rotated, and run this again",
        )
        for name, answer in answers.items()
        for rule in read_all(answer, "rule")
    ]
    return links + rules


async def find_strays(
    crew: Crew, hand: Hand, addresses: Mapping[NodeName, Sequence[Address]]
) -> list[Diagnostic]:
    """Packets that don't take the interface of ``hand``, by a longer route than ours, or a rule."""
    scripts = {name: hand.find_strays(one) for name, one in addresses.items()}
    answers = await crew.run(scripts, timeout=STEP_TIMEOUT)
    _require(answers, "look")
    return [
        Diagnostic(
            f"packets would not take {hand.interface}: {way.strip()}",
            where=name,
            hint="take that route or rule away there while keys are rotated (ip route; ip rule)",
        )
        for name, answer in answers.items()
        for way in read_all(answer, "stray")
    ]


async def _on_each(crew: Crew, hand: Hand, names: Collection[NodeName], script: str) -> Answers:
    async with holding(crew, hand, names) as held:
        _require(held, "hold")
        answers = await crew.run(dict.fromkeys(names, script), timeout=STEP_TIMEOUT)
    _require(answers, "key")
    return answers


def _require(answers: Answers, step: str) -> None:
    """Raise UserError where it went wrong on a node."""
    if troubles := diagnose(answers, step):
        raise UserError(troubles)
