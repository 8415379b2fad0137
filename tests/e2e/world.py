"""A fleet file and its lab, used as a user would: through the command line alone."""

import json
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIRELOOM = Path(sys.executable).with_name("wireloom")

FLEET = """\
fleet: {name}
lab: {{}}
underlay: {{ ipv4: 10.99.0.0/16 }}
sites:
  fsn: {{ private: [10.0.0.0/16] }}
  ams: {{ private: [10.0.0.0/16] }}
  office: {{ nat: true, private: [192.168.178.0/24] }}
nodes:
  cp1: {{ site: fsn, ssh: root@203.0.113.10, public: [203.0.113.10], private: [10.0.0.2] }}
  w1: {{ site: fsn, ssh: root@203.0.113.11, public: [203.0.113.11], private: [10.0.0.3] }}
  cp2: {{ site: ams, ssh: root@198.51.100.20, public: [198.51.100.20] }}
  db1: {{ site: ams, ssh: root@198.51.100.22, public: [198.51.100.22] }}
  build1: {{ site: office, ssh: root@192.168.178.40, private: [192.168.178.40] }}
"""

HOSTS = {"cp1": 1, "w1": 2, "cp2": 3, "db1": 4, "build1": 5}
"""The number of each node in the range of the underlay: addresses are given out in the order of the file."""


@dataclass
class World:
    """One directory with a ``fleet.yaml`` whose lab is up."""

    directory: Path
    name: str

    @property
    def fleet_file(self) -> Path:
        return self.directory / "fleet.yaml"

    @property
    def lock_file(self) -> Path:
        return self.directory / ".wireloom" / "lab" / f"{self.name}.lock"

    def run(self, *words: str, expect: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """``wireloom WORDS`` in the directory; fails the test on another exit code than expected."""
        done = subprocess.run(
            [WIRELOOM, *words],
            check=False,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=180,
            stdin=subprocess.DEVNULL,
            **options,
        )
        if expect is not None:
            assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str, expect: int | None = 0) -> Any:
        return json.loads(self.run("--json", *words, expect=expect).stdout)

    def settles(self, verdict: str) -> bool:
        """Whether ``verify --quick`` comes to this verdict within some tries."""
        return any(self.json("verify", "--quick", expect=None)["verdict"] == verdict for _ in range(10))

    def on(self, node: str, *words: str, expect: int | None = 0) -> str:
        """What a command in a machine of the lab prints."""
        return self.run("lab", "exec", node, "--", *words, expect=expect).stdout

    def shell(self, node: str, script: str, *, expect: int | None = 0) -> str:
        return self.on(node, "sh", "-c", script, expect=expect)

    def popen(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [WIRELOOM, *words],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def without(self, node: str) -> None:
        """Take a node's line out of the fleet file."""
        lines = self.fleet_file.read_text().splitlines(keepends=True)
        self.fleet_file.write_text("".join(line for line in lines if not line.startswith(f"  {node}:")))

    def edit(self, old: str, new: str) -> None:
        text = self.fleet_file.read_text()
        assert old in text
        self.fleet_file.write_text(text.replace(old, new))


def make_world(directory: Path, fleet: str = FLEET) -> World:
    name = f"e2e-{uuid.uuid4().hex[:10]}"
    world = World(directory, name)
    world.fleet_file.write_text(fleet.format(name=name))
    return world


def lost_packets(ping: str) -> int:
    sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", ping).groups()
    return int(sent) - int(received)
