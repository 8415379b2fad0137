"""On what terms an apply is carried out: the options of ``apply`` and ``rollback`` that say so."""

import functools
import re
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from wireloom.apply.terms import Terms
from wireloom.report.journal import user_name

SHORTEST, LONGEST = 5, 3600
UNITS = {"": 1, "s": 1, "m": 60}


class Seconds(click.ParamType[int]):
    """A time like ``60``, ``60s`` or ``2m``, as seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Whole seconds within bounds; anything else is a usage error."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,6})([sm]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is not a time: 60s or 2m, say.", param, ctx)
        seconds = int(match[1]) * UNITS[match[2]]
        if not SHORTEST <= seconds <= LONGEST:
            self.fail(f"{value!r} is not between {SHORTEST}s and {LONGEST // 60}m.", param, ctx)
        return seconds


class Count(click.ParamType[int]):
    """A number from 1 on: of nodes, or of a generation."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; anything else is a usage error."""
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}", str(value)):
            self.fail(f"{value!r} is not a number from 1 on.", param, ctx)
        return int(value)


def with_terms(function: Callable[..., int]) -> Callable[..., int]:
    """The options ``--confirm-within`` and ``--max-parallel``, passed as ``new_terms``: what makes Terms."""

    @functools.wraps(function)
    def with_new_terms(*words: Any, window: int, max_parallel: int | None, **others: Any) -> int:
        new_terms = functools.partial(make_terms, window=window, max_parallel=max_parallel)
        return function(*words, new_terms=new_terms, **others)

    bounded = click.option(
        "--confirm-within",
        "window",
        type=Seconds(),
        default="60s",
        show_default=True,
        help="What is not confirmed in that time undoes itself on its node; 5s to 60m.",
    )(with_new_terms)
    return click.option(
        "--max-parallel",
        type=Count(),
        default=None,
        help="Change so many nodes at a time, once the first is proven.  [default: all]",
    )(bounded)


def make_terms(*, window: int, max_parallel: int | None) -> Terms:
    """Terms of an apply that begins now, and is ours."""
    return Terms(
        id=secrets.token_hex(8),
        who=operator(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        window=window,
        max_parallel=max_parallel or 0,
    )


def operator() -> str:
    """Who runs this, as ``user@host``: for people, and in a file of lines."""
    who = f"{user_name()}@{socket.gethostname()}"
    return "".join(sign if sign.isprintable() else "?" for sign in who)
