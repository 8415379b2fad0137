"""The running state in one normal form: what counts is in it, what moves by itself is not, and no key."""

import shutil
import subprocess

import pytest

from wireloom.observe.probes import RUNNING

PRIVATE = "KB9FAlU+ODwKZetBQSdsXAEqtewMI5Xxea77B85hFmQ="
PRESHARED = "Z/84SswZZKbl6PsceYB+bu9kvnwKVE5iQXkqmGdtO6k="
OWN = "N9s3unphe9iF17wpvOCCTUpkhmfNF0Sh6sOpJSlD+zY="
ONE = "vczH6YJzRo7zAvOJMtW3w5TSG21zUFpNCs4u2G9Sjl0="
TWO = "t/cKFb6GL66rlzOWW3678168bOjYAqW6C/PkyMKJLFA="

SHELLS = [
    command for command in (("dash",), ("bash", "--posix"), ("busybox", "sh")) if shutil.which(command[0])
]


def dump(*peers: str, port: str = "51820", mark: str = "off") -> str:
    """What `wg show IF dump` prints."""
    lines = [f"{PRIVATE}\t{OWN}\t{port}\t{mark}", *peers]
    return "".join(f"{line}\n" for line in lines)


def peer(
    key: str,
    allowed: str,
    *,
    preshared: str = "(none)",
    endpoint: str = "(none)",
    moved: str = "0\t0\t0",
    alive: str = "off",
) -> str:
    return "\t".join([key, preshared, endpoint, allowed, moved, alive])


def run(
    shown: str = "", addresses: str = "", routes: str = "", guard: str = "", *,
    shell: tuple[str, ...] = ("dash",), options: tuple[str, ...] = (), word: str = "",
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """`running` on a machine whose tools print this."""
    script = f"""interface=wg0
{RUNNING}
wg() {{ cat <<'X'
{shown}X
}}
ip() {{ case $* in
"-force -batch -") cat >/dev/null; cat <<'X'
{addresses}{routes}X
;;
*) exit 9 ;;
esac
}}
nft() {{ cat <<'X'
{guard}X
}}
is_there() {{ :; }}
running {word}"""
    command = [*shell, *options, "-s"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=True, timeout=20)


def running(*shown: str, **more: str) -> list[str]:
    return run(*shown, **more).stdout.splitlines()  # type: ignore[arg-type]


UP = """\
7: wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1440 qdisc noqueue state UNKNOWN group default qlen 500
    link/none
    inet 10.99.0.1/16 scope global wg0
       valid_lft forever preferred_lft forever
    inet6 fd42:99::1/64 scope global tentative
       valid_lft forever preferred_lft forever
    inet6 fe80::1234/64 scope link stable-privacy
       valid_lft forever preferred_lft forever
"""
ROUTES = """\
10.7.0.0/16 table 77 scope link
10.99.0.0/16 proto kernel scope link src 10.99.0.1
10.8.0.0/16 scope link mtu 1400
default via 10.99.0.9 metric 7
10.42.1.0/24 via 10.99.0.2
fd00:42:0:1::/64 via fd42:99::2 metric 1024 pref medium
local 10.99.0.1 table local proto kernel scope host src 10.99.0.1
fd42:99::/64 proto kernel metric 256 pref medium
fe80::/64 proto kernel metric 256 pref medium
multicast ff00::/8 table local proto kernel metric 256 pref medium
unreachable 10.99.0.0/16 metric 4000000
unreachable 10.66.0.0/16
unreachable default table 77 metric 9
unreachable fd42:99::/64 dev lo metric 4000000 pref medium
"""
INTERFACE = f"interface {OWN} 51820 off"

CASES: dict[str, tuple[list[str], list[str]]] = {
    "nothing": ([], []),
    "no peers": ([INTERFACE], [dump()]),
    "a mark and a port": ([f"interface {OWN} 1 0x1"], [dump(port="1", mark="0x1")]),
    "a peer": (
        [INTERFACE, f"peer {ONE} allowed 10.99.0.2/32", f"peer {ONE} keepalive 25 preshared none"],
        [dump(peer(ONE, "10.99.0.2/32", alive="25"))],
    ),
    "a peer without allowed IPs": (
        [INTERFACE, f"peer {ONE} allowed (none)", f"peer {ONE} keepalive off preshared none"],
        [dump(peer(ONE, "(none)"))],
    ),
    "a preshared key is there, and hidden": (
        [INTERFACE, f"peer {ONE} allowed (none)", f"peer {ONE} keepalive off preshared hidden"],
        [dump(peer(ONE, "(none)", preshared=PRESHARED, endpoint="[2001:db8::2]:51820"))],
    ),
    "both families": (
        [
            INTERFACE,
            f"peer {ONE} allowed 10.99.0.2/32",
            f"peer {ONE} allowed fd42:99::2/128",
            f"peer {ONE} keepalive off preshared none",
        ],
        [dump(peer(ONE, "10.99.0.2/32,fd42:99::2/128"))],
    ),
    "an interface with addresses": (
        ["address 10.99.0.1/16", "address fd42:99::1/64", "link up", "mtu 1440"],
        ["", UP],
    ),
    "an interface that is down": (
        ["link down", "mtu 1280"],
        ["", "7: wg0: <POINTOPOINT,NOARP> mtu 1280 qdisc noop state DOWN group default qlen 500\n"],
    ),
    "routes": (
        [
            "route 10.8.0.0/16",
            "route 10.99.0.0/16",
            "route default",
            "route fd42:99::/64",
            "route unreachable 10.66.0.0/16 0",
            "route unreachable 10.99.0.0/16 4000000",
            "route unreachable fd42:99::/64 4000000",
        ],
        ["", "", ROUTES],
    ),
    "the guard": (
        ["table inet wireloom {", "\tchain 10.1.1.1\t1\t2\t3", "}"],
        ["", "", "", "table inet wireloom {\n\tchain 10.1.1.1\t1\t2\t3\n}\n"],
    ),
    "garbage": ([], ["one\tword\tand\tmore\twords\na\n", "what?\n", "\n\n", "no\n"]),
}


@pytest.mark.parametrize(("expected", "shown"), CASES.values(), ids=CASES)
def test_running(expected: list[str], shown: list[str]) -> None:
    assert sorted(expected) == running(*shown)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_every_shell_says_the_same(shell: tuple[str, ...]) -> None:
    told = [dump(peer(ONE, "10.99.0.2/32,fd42:99::2/128"), peer(TWO, "(none)")), UP, ROUTES, "table x\n"]
    assert run(*told, shell=shell).stdout.splitlines() == running(*told)


def test_what_moves_by_itself_does_not_show() -> None:
    still = dump(peer(ONE, "10.99.0.2/32"))
    moved = dump(peer(ONE, "10.99.0.2/32", endpoint="192.0.2.9:9", moved="1700000000\t92\t180"))
    assert running(still) == running(moved)


def test_the_order_of_peers_and_of_allowed_ips_does_not_matter() -> None:
    one = dump(peer(ONE, "10.99.0.2/32,10.5.0.0/16"), peer(TWO, "10.99.0.3/32"))
    other = dump(peer(TWO, "10.99.0.3/32"), peer(ONE, "10.5.0.0/16,10.99.0.2/32"))
    assert running(one) == running(other)


def test_many_peers() -> None:
    keys = [f"{number:043d}=" for number in range(1000)]
    told = running(dump(*(peer(key, f"10.99.{n // 250}.{n % 250}/32") for n, key in enumerate(keys))))
    assert len(told) == 2001


def test_what_moves_is_told_to_who_asks_for_all() -> None:
    one = peer(ONE, "10.99.0.2/32", endpoint="192.0.2.9:9", moved="1700000000\t92\t180")
    other = peer(TWO, "(none)", preshared=PRESHARED)
    shown = dump(one, other)
    told = run(shown, word="whole").stdout.splitlines()
    moving = [line for line in told if line.startswith("dump ")]
    assert moving == [f"dump {other.replace(PRESHARED, 'hidden')}", f"dump {one}"]
    assert [line for line in told if line not in moving] == running(shown)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize("options", [(), ("-x",)], ids=["plain", "traced"])
@pytest.mark.parametrize("word", ["", "whole"])
def test_no_key_is_shown(shell: tuple[str, ...], options: tuple[str, ...], word: str) -> None:
    """Traced without what hides the trace: a trace shows what a shell has read."""
    told = dump(peer(ONE, "10.99.0.2/32", preshared=PRESHARED), peer(TWO, "(none)", preshared=PRESHARED))
    done = run(told, shell=shell, options=options, word=word)
    assert done.stdout.count("preshared hidden") == 2
    assert PRIVATE not in done.stdout + done.stderr
    assert PRESHARED not in done.stdout + done.stderr
