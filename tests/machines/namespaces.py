"""The namespaces of a group of machines: made together, entered by one process, gone together."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Network, mounts and processes of one group. ``entrance`` is the process to enter them by.

    They live as long as the standard input of ``keeper`` is open: nothing is left of them when a test run
    is killed, either.
    """

    name: str
    keeper: "subprocess.Popen[str]"
    entrance: int

    @classmethod
    def make(cls, name: str, log: Path) -> Self:
        """Namespaces with nothing but a loopback interface. Raises AssertionError with what the log says."""
        with log.open("a") as errors:
            keeper = subprocess.Popen(
                ["unshare", "--net", "--mount", "sh", str(HERE / "keeper.sh"), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # Ctrl-C is for the test run: it takes them down in order
            )
        assert keeper.stdout is not None
        said = sorted(keeper.stdout.readline().strip() for _ in range(2))
        if said[1] != "ready" or not said[0].isdigit():
            _end(keeper)
            raise AssertionError(f"no namespaces for the test machines: {log.read_text()}")
        return cls(name, keeper, int(said[0]))

    def close(self) -> None:
        """End everything in them, and wait until it has ended; safe to call twice."""
        _end(self.keeper)

    @property
    def net(self) -> Path:
        """The file that stands for the network namespace."""
        return Path(f"/proc/{self.entrance}/ns/net")

    @property
    def root(self) -> Path:
        """The file system as it looks from inside."""
        return Path(f"/proc/{self.entrance}/root")

    @property
    def cgroup(self) -> str:
        """The group's cgroup, as its path is inside."""
        return f"/sys/fs/cgroup/{self.name}"

    def command(self, *words: str) -> list[str]:
        """The argument list that runs a command in all of them."""
        processes = f"--pid=/proc/{self.entrance}/ns/pid_for_children"
        return ["nsenter", f"--target={self.entrance}", "--net", "--mount", processes, "--", *words]

    def run(self, *words: str) -> str:
        """A command in all of them; fails with what it said."""
        return run(self.command(*words))

    def tune(self, name: str, value: int) -> None:
        """Set a sysctl, ``net/ipv4/ip_forward`` for example."""
        self.run("sh", "-c", 'echo "$1" >"/proc/sys/$2"', "sh", str(value), name)


def run(command: Sequence[str]) -> str:
    """A command that must go well; its output."""
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _end(keeper: "subprocess.Popen[str]") -> None:
    """Close its standard input and wait; what does not end in time is killed, by its process id."""
    for stream in (keeper.stdin, keeper.stdout):
        if stream is not None:
            stream.close()
    try:
        keeper.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()
