"""What machines could leave on this computer."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def traces(family: str) -> dict[str, str | list[str]]:
    """What machines of that family could leave on this computer; the other groups on it are not looked at."""
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": said("ip", "-o", "link"),
        "namespaces": said("ip", "netns", "list"),
        "run": sorted(map(str, below(Path("/run/systemd")))),
        "cgroups": sorted(
            str(one) for one in below(Path("/sys/fs/cgroup")) if one.name.startswith(f"{family}-")
        ),
        "processes": sorted(processes(family)),
    }


def below(directory: Path) -> Iterator[Path]:
    """All that is in it, and in that. What goes meanwhile, as cgroups do, is passed over: `rglob` raises."""
    for place, directories, files in os.walk(directory):
        yield from (Path(place, one) for one in (*directories, *files))


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def processes(family: str) -> Iterator[str]:
    """Every process that has the family's name among its arguments, or is in a cgroup of it."""
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (directory / "cmdline").read_bytes().decode(errors="replace")
            if f"{family}-" in argv or f"/{family}-" in (directory / "cgroup").read_text():
                yield argv
