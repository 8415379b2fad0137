"""What machines could leave on this computer."""

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
        "run": sorted(str(one) for one in Path("/run/systemd").rglob("*")),
        "cgroups": sorted(str(one) for one in Path("/sys/fs/cgroup").rglob(f"{family}-*")),
        "processes": sorted(processes(family)),
    }


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def processes(family: str) -> Iterator[str]:
    """Every process that has the family's name among its arguments, or is in a cgroup of it."""
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (directory / "cmdline").read_bytes().decode(errors="replace")
            if f"{family}-" in argv or f"/{family}-" in (directory / "cgroup").read_text():
                yield argv
