"""What only a kernel's WireGuard does: it sends packets that are too large for the path in fragments."""

from tests.machines.machines import Machines
from tests.machines.test_sabotage import found


def test_fragments_are_found_on_the_wire(mended: Machines) -> None:
    cp1 = mended["cp1"]
    cp1.shell("ip link set eth0 mtu 1300")
    try:
        evidence = mended.operator.json("verify", expect=2)
    finally:
        cp1.shell("ip link set eth0 mtu 1500")
    claims = found(evidence, "fragments")
    verdict, detail = claims["cp1", "db1"]
    assert verdict == "falsified"
    assert detail.startswith("messages to 198.51.100.1:51820 leave in fragments: ")
    assert claims["db1", "w1"][0] == "holds"
