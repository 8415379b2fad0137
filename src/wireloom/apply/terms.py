"""On what terms an apply is carried out: who runs it, and how careful it is."""

from dataclasses import dataclass

IN_ROTATION = "keys are being rotated"
"""What histories say of a generation that makes no sense without the stand-in that was there."""


@dataclass(frozen=True, slots=True)
class Terms:
    """``id`` is a word that no other apply has; ``who`` and ``when`` (ISO 8601) are for people.

    ``window``: seconds after which a committed change undoes itself unless it is confirmed.
    ``max_parallel``: nodes that change at the same time; 0 for all of them. ``what``: what histories say of
    it, where that is not the changes themselves.
    """

    id: str
    who: str
    when: str
    window: int = 60
    max_parallel: int = 0
    what: str = ""
