"""The way back: what a node made of it, and whether its old network works again."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from wireloom.apply.script import Hand, Neighbour
from wireloom.apply.step import STEP_TIMEOUT, complaints, read_all, read_answer
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

ANSWER_SECONDS = 6
"""An old session works at once; where it has to begin anew, one try may get lost (REKEY_TIMEOUT: 5 s)."""

MEND = "`wireloom plan` shows what is left, apply mends it"


@dataclass(frozen=True, slots=True)
class Return:
    """What became of a change that was to be taken back.

    ``outcome`` is the node's own word: untouched, undone, half_undone, confirmed; empty: nobody knows.
    ``text`` says what went wrong, or which neighbours answer again.
    """

    outcome: str
    text: str

    @property
    def confirmed(self) -> bool:
        """It was confirmed before, although nobody heard of it: that is not taken back."""
        return self.outcome == "confirmed"

    @property
    def failed(self) -> bool:
        """The node is not known to be as it was."""
        return self.outcome in {"", "half_undone"}

    @property
    def remedy(self) -> str:
        """What to do about a node whose way back is what failed."""
        return f"taken back, but not whole: {MEND}" if self.outcome == "half_undone" else ""

    def standing(self, *, is_new: bool) -> str:
        """How a node is that went back, as it follows on "rolled back"."""
        if self.outcome == "untouched":
            return "nothing of it is live there"
        if is_new:
            return "its key and an interface without peers are left"
        return f"it is as it was{self.text}"

    def aftermath(self, *, is_new: bool) -> str:
        """How far a node is back that something had gone wrong on, as it follows on what that was."""
        if self.outcome == "half_undone":
            return f"taken back, but not whole: {self.text}. {MEND}"
        if self.failed:
            return self.text
        standing = self.standing(is_new=is_new)
        return standing if self.outcome == "untouched" else f"taken back: {standing}"


async def retreat(
    crew: Crew,
    hand: Hand,
    neighbours: Mapping[NodeName, Sequence[Neighbour]],
    *,
    window: int,
    owners: Callable[[Collection[str]], str],
) -> dict[NodeName, Return]:
    """Take a change back on these nodes, and ask those that answered before it: the old network works again.

    ``owners`` puts ``ADDRESS,…`` into words.
    """
    answers = await crew.run(dict.fromkeys(neighbours, hand.withdraw()), timeout=STEP_TIMEOUT)
    returns = {name: _read(answer, window) for name, answer in answers.items()}
    asked = {name: peers for name, peers in neighbours.items() if peers and returns[name].outcome == "undone"}
    heard = await crew.run(
        {name: hand.ask(ANSWER_SECONDS, peers) for name, peers in asked.items()}, timeout=STEP_TIMEOUT
    )
    for name, answer in heard.items():
        silent = read_all(answer, "unproven")
        again = sorted({str(one.address) for one in asked[name]} - {word.split(",")[0] for word in silent})
        verb = "answers" if len(again) == 1 else "answer"
        text = f", and {owners(again)} {verb} over the old network" if again else ""
        text += f", but there is no answer from {owners(silent)}" if silent else ""
        returns[name] = Return("undone", text if isinstance(answer, Completed) else "")
    return returns


def _read(answer: Completed | TransportError, window: int) -> Return:
    if isinstance(answer, TransportError):
        return Return(
            "",
            f"it could not be asked to take the change back, and does so by itself within {window} s:"
            f" {answer.what}",
        )
    outcome = read_answer(answer).get("outcome", "")
    return Return(outcome, complaints(answer) if outcome in {"", "half_undone"} else "")
