"""The operator's place: a home, a fleet file, and ``wireloom`` as a user runs it, on the machines' wire."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.machines.patience import wait_for

WIRELOOM = Path(sys.executable).with_name("wireloom")
ROOT = Path(__file__).parents[2]


class Operator:
    """Somebody with a new SSH key, an empty ssh configuration and a directory with a ``fleet.yaml``.

    ``exported`` are environment variables of theirs.
    """

    def __init__(self, home: Path, net: Path) -> None:
        self.home = home
        self.exported: dict[str, str] = {}
        self._net = net
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        key = home / ".ssh" / "id_ed25519"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", key], check=True
        )
        self.public_key = key.with_suffix(".pub").read_text()

    @property
    def fleet_file(self) -> Path:
        """The fleet file, in the directory that ``wireloom`` runs in."""
        return self.home / "fleet.yaml"

    def configure_ssh(self, text: str) -> None:
        """Write ~/.ssh/config."""
        (self.home / ".ssh" / "config").write_text(text)

    def run(
        self, *words: str, expect: int | None = 0, timeout: float = 180
    ) -> "subprocess.CompletedProcess[str]":
        """``wireloom WORDS``; fails the test on another exit code than expected."""
        done = subprocess.run(
            self._command(*words),
            check=False,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self._environment(),
        )
        if expect is not None:
            assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def popen(self, *words: str) -> "subprocess.Popen[str]":
        """``wireloom WORDS``, not waited for; what it says on stderr comes out with the rest."""
        return subprocess.Popen(
            self._command(*words),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment(),
        )

    def unlucky(self, fault: str, *words: str) -> "subprocess.Popen[str]":
        """``wireloom WORDS`` with a fault of tests/faults/operator.py, not waited for."""
        return subprocess.Popen(
            [*self._place, sys.executable, "-m", "tests.faults.operator", fault, *words],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment() | {"PYTHONPATH": str(ROOT)},
        )

    def halted(
        self,
        fault: Mapping[str, object],
        act: Callable[[], object],
        *words: str,
        begun: Callable[["subprocess.Popen[str]"], object] = lambda _: None,
        seconds: float = 90,
    ) -> "subprocess.CompletedProcess[str]":
        """``wireloom WORDS`` that stands still at a fault while ``act`` happens, and then goes on to its end.

        ``begun`` gets the process. It may take so many seconds to the fault, and twice that to its end.
        """
        flag = self.home / "struck"
        do = f"touch {flag}; while test -e {flag}; do sleep 0.05; done"
        process = self.unlucky(json.dumps({**fault, "do": do}), *words)
        begun(process)
        try:
            what = f"it does not come to {fault}"
            wait_for(lambda: flag.exists() or process.poll() is not None, lambda: what, seconds=seconds)
            struck = flag.exists()
            if struck:
                act()
        finally:
            flag.unlink(missing_ok=True)
        said, errors = process.communicate(timeout=2 * seconds)
        assert struck, f"it never came to {fault}: {process.returncode}\n{said}{errors}"
        return subprocess.CompletedProcess(process.args, process.returncode, said, errors)

    def sit_at(self, terminal: int, *words: str) -> "subprocess.Popen[bytes]":
        """``wireloom WORDS`` on a terminal of its own: it can ask, and Ctrl-C typed there interrupts it."""
        return subprocess.Popen(
            ["setsid", "--ctty", *self._command(*words)],
            cwd=self.home,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=self._environment() | {"TERM": "xterm"},
        )

    def answer(self, word: str, *words: str) -> tuple[int, str]:
        """``wireloom WORDS`` on a terminal, its question answered: the exit code and what it said."""
        keyboard, stdin = pty.openpty()
        try:
            asker = subprocess.Popen(
                self._command(*words),
                cwd=self.home,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._environment(),
            )
            assert asker.stdout is not None
            said = ""
            while "[y/N]" not in said:
                letter = asker.stdout.read(1)
                assert letter, f"it ended without a question: {said}"
                said += letter
            os.write(keyboard, f"{word}\n".encode())
            said += asker.stdout.read()
            return asker.wait(timeout=60), said
        finally:
            os.close(keyboard)
            os.close(stdin)

    def json(self, *words: str, expect: int | None = 0) -> Any:
        """What ``wireloom --json WORDS`` prints."""
        return json.loads(self.run("--json", *words, expect=expect).stdout)

    def changes(self, *words: str) -> list[tuple[str, str, str]]:
        """What ``plan WORDS`` would do: node, action and target of each change. Fails where it can't tell."""
        done = self.run("--json", "plan", *words, expect=None)
        assert done.returncode in (0, 2), f"plan: {done.returncode}\n{done.stdout}\n{done.stderr}"
        changes = json.loads(done.stdout)["changes"]
        assert done.returncode == (2 if changes else 0)
        return [(one["node"], one["action"], one["target"]) for one in changes]

    def verdict(self) -> str:
        """What ``verify --quick`` finds."""
        return str(self.json("verify", "--quick", expect=None)["verdict"])

    def settles(self, verdict: str) -> bool:
        """Whether ``verify --quick`` comes to it within some tries: old sessions are tried for 15 s."""
        return any(self.verdict() == verdict for _ in range(10))

    def edit(self, old: str, new: str) -> None:
        """Change the fleet file."""
        text = self.fleet_file.read_text()
        assert old in text
        self.fleet_file.write_text(text.replace(old, new))

    def _command(self, *words: str) -> list[str]:
        return [*self._place, str(WIRELOOM), *words]

    @property
    def _place(self) -> list[str]:
        """What begins a command on the machines' wire."""
        # Not `ip netns exec`: that would hide /sys/fs/cgroup and wants a name in /run/netns.
        return ["nsenter", f"--net={self._net}", "--"]

    def _environment(self) -> dict[str, str]:
        """Nothing of whoever runs the tests but the way to the programs."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        return own | self.exported
