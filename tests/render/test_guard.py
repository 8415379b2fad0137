"""The guard as text, and what nft and packets make of it."""

import shutil
import subprocess

import pytest

from tests.network.fleets import lock_of, named
from wireloom.network.topology import weave
from wireloom.render.guard import REMOVE, render_guard


def guard(**options: object) -> str:
    fleet = named("a", "b", **options)
    return render_guard(weave(fleet, lock_of(fleet)))


def test_no_guard_no_table() -> None:
    assert guard(guard=False) == ""


def test_pods_are_guarded_and_their_devices_trusted() -> None:
    text = guard(pods=["10.42.0.0/16"])
    for rule in ("ip saddr 10.42.0.0/16 counter drop", 'iifname "cni0" accept', 'oifname "flannel.1" accept'):
        assert rule in text


def test_who_is_named_is_trusted_both_ways() -> None:
    text = guard(trusted=["br-*"])
    assert ('iifname "br-*" accept' in text, 'oifname "br-*" accept' in text) == (True, True)


@pytest.mark.parametrize("options", [{}, {"ipv6": "fd42:99::/64", "trusted": ["docker0", "br-*"]}])
def test_it_can_stand_between_single_quotes_on_one_line(options: dict[str, object]) -> None:
    assert not {"'", "\n", "#", "%"} & set(guard(**options))


LOADS = {
    "IPv4": {},
    "both families, pods, wildcards": {
        "ipv6": "fd42:99::/64",
        "pods": ["10.42.0.0/16", "fd01::/56"],
        "trusted": ["docker0", "br-*"],
    },
}


@pytest.mark.lab
@pytest.mark.parametrize("options", LOADS.values(), ids=LOADS)
def test_nft_loads_it_again_and_again_and_takes_it_away(options: dict[str, object]) -> None:
    assert shutil.which("nft")
    script = (
        'nft "$1" && nft "$1" && nft -s list table inet wireloom && nft "$2" && nft "$2" && nft list tables'
    )
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", guard(**options), REMOVE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("drop") == guard(**options).count("drop")
    assert done.stdout.rstrip().endswith("}")  # of the listing: no table is left to be named after it
