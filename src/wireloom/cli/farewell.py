"""How a verb that takes something off machines begins and ends."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence

import click

from wireloom.apply.departure import Departure
from wireloom.apply.outcome import Ending
from wireloom.cli.settings import Settings
from wireloom.cli.world import World, ask_name
from wireloom.errors import UserError
from wireloom.observe.state import Unreachable
from wireloom.report.documents import print_document
from wireloom.report.removal import departures_document, show_departures
from wireloom.report.terminal import say
from wireloom.values import NodeName

OPTION = "--yes-i-mean"


def with_fleet_name(function: Callable[..., int]) -> Callable[..., int]:
    """The options of what can't be had back: ``said``, the fleet's name, and ``yes``."""
    named = click.option(
        OPTION, "said", metavar="FLEET", help="The fleet's name, instead of typing it when asked."
    )
    accept = click.option(
        "-y", "--yes", is_flag=True, help="Accept host keys at first contact; it answers nothing else."
    )
    return named(accept(function))


def require_name(world: World, said: str | None) -> None:
    """Raise UserError where another fleet's name was given."""
    if said is not None and said != world.fleet.name:
        raise UserError.one(f"this fleet is `{world.fleet.name}`, not `{said}`", where=OPTION)


def choose_nodes(world: World, nodes: Collection[str], hint: str) -> list[NodeName]:
    """The machines that are meant: those named, or all. Raises UserError for names that are none."""
    unknown = [name for name in nodes if name not in world.fleet.nodes]
    if unknown:
        where = str(world.settings.fleet_path)
        raise UserError.one(f"no node is named {', '.join(unknown)}", where=where, hint=hint)
    return [name for name in world.fleet.nodes if not nodes or name in nodes]


def not_asked(name: NodeName, state: object) -> Departure | None:
    """Of a machine that was not looked at, or could not be: why. None for one that was."""
    if state is None:
        return Departure(name, Ending.UNCHANGED, detail="no `ssh`: not asked")
    if not isinstance(state, Unreachable):
        return None
    if state.refused:
        return Departure(name, Ending.FAILED, detail=state.what, hint=state.hint)
    return Departure(name, Ending.PENDING, detail=state.what, hint="once it answers: run this again")


def confirm(
    world: World, goes: str, left: Collection[Departure], said: str | None, *, stays: str = ""
) -> None:
    """Say what goes, and who stays as it is; go on only with the fleet's name. Raises UserError."""
    if said is None or not world.settings.quiet:
        say(goes)
        for one in left:
            if one.ending is not Ending.UNCHANGED:
                say(f"{one.name} stays as it is: {one.detail}.")
        say(f"Nothing of it can be had back.{stays}")
    name = world.fleet.name
    ask_name(f"To go on, type the name of the fleet ({name})", name, said=said, option=OPTION)


@contextlib.contextmanager
def told_to_go_on() -> Iterator[None]:
    """Whoever interrupts what is inside is told how it stands."""
    try:
        yield
    except BaseException:
        say("What is gone is gone, the rest stays as it is: run this again.")
        raise


def conclude(settings: Settings, departures: Sequence[Departure]) -> int:
    """Tell how it ended. 1: it failed somewhere; 2: a machine did not answer; 0: done."""
    endings = {one.ending for one in departures}
    code = 1 if Ending.FAILED in endings else 2 if Ending.PENDING in endings else 0
    if settings.json:
        print_document(departures_document(departures))
    elif code or not settings.quiet:
        show_departures(departures)
    return code
