"""What the directories with tests on machines share: marks, images, consoles in reports."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.machines.image import IMAGE_VARIABLE, ImageError, Recipe, find_place, provide_image
from tests.machines.machines import COMMANDS, Machines, find_obstacles


def mark(
    items: Iterable[pytest.Item], directory: Path, *, marker: str, skip: str, obstacle: str = ""
) -> None:
    """Mark the tests below a directory as such that need a lab and ``marker``.

    They are skipped where the variable ``skip`` is set, where there is an ``obstacle``, and without root.
    """
    for item in items:
        if directory not in item.path.parents:
            continue
        item.add_marker(pytest.mark.lab)
        item.add_marker(getattr(pytest.mark, marker))
        if os.environ.get(skip):
            item.add_marker(pytest.mark.skip(reason=f"{skip} is set"))
        elif os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="machines need root"))
        elif obstacle:
            item.add_marker(pytest.mark.skip(reason=obstacle))


def provide(
    recipe: Recipe,
    *,
    skip: str,
    variable: str = IMAGE_VARIABLE,
    beside: str = "",
    commands: Iterable[str] = COMMANDS,
) -> Path:
    """The image of that recipe. That there is none is a failure, not a reason to skip.

    ``variable`` names another place for it, which it shares with others if it goes ``beside`` them by a name
    of its own. ``commands`` are needed to make it and to run machines of it.
    """
    obstacles = find_obstacles(commands)
    if obstacles:
        pytest.fail(
            f"no test machines here: {', '.join(obstacles)}\n"
            f"`scripts/setup --tests` installs the commands; {skip}=1 skips these tests",
            pytrace=False,
        )
    try:
        place = find_place(recipe, variable)
        return provide_image(recipe, place.with_name(f"{place.name}-{beside}") if beside else place)
    except ImageError as error:
        pytest.fail(f"no image for test machines: {error}\n{skip}=1 skips these tests", pytrace=False)


def add_consoles(item: pytest.Item, report: pytest.TestReport) -> None:
    """Show the consoles of the machines of a test that failed."""
    for value in getattr(item, "funcargs", {}).values() if report.failed else ():
        if isinstance(value, Machines):
            report.sections += [
                (f"console of {name}", console[-3000:]) for name, console in value.consoles().items()
            ]
            break
