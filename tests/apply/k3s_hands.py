"""A machine for the scripts of k3s: a small disk for its program, and programs that play systemd and k3s."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.apply.sandbox import Sandbox
from wireloom.transport.fake import FAKE_HOST_KEY
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

VERSION = "v1.34.2+k3s1"
BINARY = "/usr/local/bin/k3s"
NODE = NodeName("cp1")

SETUP = """\
set -e
mkdir /run/etc /run/work /run/fake
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work etc /etc
mkdir /etc/rancher
mount -t tmpfs -o mode=755,size=64k rancher /etc/rancher
mount -t tmpfs -o mode=755,size=1m bin /usr/local/bin
mount -t tmpfs -o mode=755 sbin /usr/local/sbin
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/sh
# A property is a file of its values, one for each time that it is asked for; the last one stays.
echo "$*" >>/run/fake/log
case "$*" in
    "show --value -p "*) property=/run/fake/$4
        head -n 1 "$property" 2>/dev/null
        test "$(wc -l 2>/dev/null <"$property")" -lt 2 || sed -i 1d "$property" ;;
    *restart*) cp -r /run/fake/then/. /run/fake 2>/dev/null; test ! -e /run/fake/refuses ;;
    *) test ! -e /run/fake/refuses ;;
esac
END
cat >/usr/local/sbin/journalctl <<'END'
#!/bin/sh
echo "journalctl $*" >>/run/fake/log
cat /run/fake/journal
END
printf '#!/bin/sh\\necho "sleep $*" >>/run/fake/log\\n' >/usr/local/sbin/sleep
chmod 755 /usr/local/sbin/*
"""


def furnish(machine: Sandbox) -> None:
    """Give a sandbox what k3s' hands need of a machine; nothing of it is this computer's."""
    machine.ask(SETUP)


def set_property(machine: Sandbox, name: str, *values: str, after: str = "") -> None:
    """What systemd says of the unit, one answer after the other; ``after``: once it was restarted."""
    where = "/run/fake/then" if after else "/run/fake"
    text = "\\n".join((*values, after) if after else values)
    machine.ask(f"mkdir -p {where}; printf '{text}\\n' >{where}/{name}")


def log_of(machine: Sandbox) -> list[str]:
    return machine.ask("cat /run/fake/log 2>/dev/null || :").splitlines()


@dataclass(frozen=True)
class Bytes:
    """A file that is here."""

    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, start: int, length: int) -> bytes:
        return self.content[start : start + length]


def program(*, version: str = VERSION, size: int = 300_000, seed: int = 1) -> Bytes:
    """A k3s that says its version and is that large; no two seeds have one content."""
    head = f'#!/bin/sh\necho "k3s version {version} (0123abcd)"\necho go version go1.24\nexit\n'.encode()
    rest = hashlib.shake_256(bytes([seed])).digest(size - len(head))
    return Bytes(head + rest)


Fault = Callable[[str], str | TransportError]
"""What becomes of a script on its way: another script, or an error after which nothing ran."""


@dataclass
class Wire:
    """A transport to one sandbox. ``faults``: what happens to the script of that number, from 0."""

    machine: Sandbox
    faults: dict[int, Fault] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    host_key: str = FAKE_HOST_KEY

    async def connect(self, node: NodeName) -> "Wire":
        return self

    async def run(self, script: str, *, timeout: float, data: bytes = b"") -> Completed:
        number = len(self.scripts)
        self.scripts.append(script)
        changed = self.faults[number](script) if number in self.faults else script
        if isinstance(changed, TransportError):
            raise changed
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            done = await asyncio.to_thread(self.machine.sh, f"exec 3<{file.name}\n{changed}")
        if changed != script:
            raise TransportError("the connection broke", unreachable=True)
        return Completed(done.returncode, done.stdout, done.stderr)

    async def close(self) -> None:
        pass


def is_root() -> bool:
    return os.geteuid() == 0
