"""A machine whose network is cut: the others go on, and it catches up."""

import subprocess
import time
from collections.abc import Iterator

from tests.machines.machines import Machines

OTHERS = ("alpha", "beta", "gamma")


def mtus(group: Machines, names: tuple[str, ...]) -> set[str]:
    return {group[name].run("cat", "/sys/class/net/wg0/mtu").strip() for name in names}


def test_a_machine_that_is_cut_off_is_pending_and_catches_up(mended: Machines) -> None:
    mended.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    with mended["delta"].cut_off():
        pending = mended.operator.json("apply", "--yes", expect=2)
    endings = {one["node"]: one["ending"] for one in pending["nodes"]}

    assert endings == {"cp1": "changed", "w1": "changed", "db1": "changed", "far1": "pending"}
    assert (mtus(mended, OTHERS), mtus(mended, ("delta",))) == ({"1400"}, {"1440"})
    mended.operator.run("apply", "--yes")
    assert mtus(mended, ("delta",)) == {"1400"}
    assert mended.operator.changes() == []
    assert mended.operator.settles("holds")


SLOW_PING = """\
#!/bin/sh
sleep 3
exec /usr/bin/ping "$@"
"""


def test_a_machine_that_is_cut_off_before_it_is_proven_has_the_others_rolled_back(mended: Machines) -> None:
    delta = mended["delta"]
    delta.write("/usr/local/sbin/ping", SLOW_PING)
    delta.run("chmod", "+x", "/usr/local/sbin/ping")
    mended.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    apply = mended.operator.popen("apply", "--yes", "--confirm-within", "15s")
    said = [*read_until(apply, "proving 3 nodes")]
    committed = mtus(mended, OTHERS)
    with delta.cut_off():
        said.append(apply.communicate(timeout=120)[0])
    delta.run("rm", "/usr/local/sbin/ping")

    assert apply.returncode == 1, "".join(said)
    assert "far1" in "".join(said)
    assert (committed, mtus(mended, OTHERS)) == ({"1400"}, {"1440"})
    until = time.monotonic() + 20
    while mtus(mended, ("delta",)) != {"1440"} and time.monotonic() < until:
        time.sleep(0.5)  # it takes its change back by its own clock
    mended.operator.run("apply", "--yes")
    assert mended.operator.changes() == []
    assert mended.operator.settles("holds")


def read_until(process: "subprocess.Popen[str]", word: str) -> Iterator[str]:
    """The lines that a process prints, up to the first with that word."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if word in line:
            break
