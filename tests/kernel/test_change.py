"""Changes on a running mesh: what did not change must not feel them."""

from tests.kernel.pings import pinging
from tests.machines.machines import Machines


def test_a_peer_comes_and_goes_and_the_others_lose_no_packet(mended: Machines) -> None:
    cp1 = mended["cp1"]
    interface = cp1.run("cat", "/sys/class/net/wg0/ifindex")
    with_w1 = mended.operator.fleet_file.read_text()
    lines = with_w1.splitlines(keepends=True)
    without_w1 = "".join(line for line in lines if not line.startswith("  w1:"))
    peers = []
    with pinging(cp1, "10.99.0.2") as pings:
        for fleet in (without_w1, with_w1):
            mended.operator.fleet_file.write_text(fleet)
            mended.operator.run("apply", "--yes")
            peers.append(cp1.run("wg", "show", "wg0", "peers").count("\n"))

    assert peers == [1, 2]
    assert len(pings.answered) > 100
    assert pings.lost == set()
    assert cp1.run("cat", "/sys/class/net/wg0/ifindex") == interface


def test_the_pings_notice_a_line_that_is_cut_for_a_moment(mesh: Machines) -> None:
    cp1 = mesh["cp1"]
    with pinging(cp1, "10.99.0.2") as pings, mesh["db1"].cut_off():
        cp1.run("ping", "-c", "1", "-W", "1", "10.99.0.2", expect=1)
    assert len(pings.lost) > 10
