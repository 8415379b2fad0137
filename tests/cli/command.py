"""The command line as a user has it: a process of its own."""

import subprocess
import sys
from pathlib import Path

WIRELOOM = Path(sys.executable).with_name("wireloom")

FLEET = """\
fleet: clitest
underlay: { ipv4: 10.99.0.0/24 }
sites: { fsn: { private: [10.0.0.0/16] }, ams: {} }
nodes:
  cp1: { site: fsn, ssh: root@127.0.0.1:1, public: [203.0.113.10], private: [10.0.0.2] }
  w1: { site: fsn, public: [203.0.113.11], private: [10.0.0.3] }
  db1: { site: ams, public: [198.51.100.22] }
"""


def wireloom(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``wireloom WORDS`` in a directory that is its home too, with nobody at the keyboard."""
    return subprocess.run(
        [WIRELOOM, *words],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(directory),
            "COLUMNS": "100",
        },
    )
