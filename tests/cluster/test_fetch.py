"""What a server answers to who fetches its administrator's access."""

import subprocess

import pytest

from tests.cluster.access import KEY, certificate, fetched, k3s_yaml
from wireloom.cluster.fetch import SHELL, Fetched, NotFetched, fetch_script, read_fetched, read_names
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

CP1 = NodeName("cp1")
SCRIPT = fetch_script("word")


def read(answer: Completed | TransportError) -> Fetched | NotFetched:
    return read_fetched(CP1, "shop", answer, "word")


def test_access_and_the_names_of_the_certificate() -> None:
    pem = certificate("10.99.0.1", "2001:db8::1", "CP1.example")
    got = read(Completed(0, fetched(SCRIPT, access=k3s_yaml(), pem=pem, fleet="shop"), ""))
    assert isinstance(got, Fetched)
    assert got.access.key.reveal() == KEY
    assert got.names == {"10.99.0.1", "2001:db8::1", "cp1.example"}


@pytest.mark.parametrize("pem", ["", "garbage", certificate()], ids=["none", "garbage", "without names"])
def test_a_certificate_that_is_not_shown_is_not_known(pem: str) -> None:
    assert not read_names(pem)


NOTHING = {
    "no answer": (TransportError("no route", hint="is it up?"), "no route"),
    "no server": (Completed(1, "", "no server of k3s: there is no file\n"), "no server of k3s"),
    "no reason": (Completed(1, "", ""), "exit status 1"),
    "cut short": (
        Completed(0, "\nword fleet\n\nword access\n", ""),
        "makes no sense: the answer was cut short",
    ),
    "empty": (Completed(0, fetched(SCRIPT, access=""), ""), "makes no sense"),
    "garbage": (Completed(0, fetched(SCRIPT, access=f"a: [{KEY}"), ""), "makes no sense: it is not YAML"),
    "another fleet's": (
        Completed(0, fetched(SCRIPT, access=k3s_yaml(), fleet="other"), ""),
        "its k3s is the fleet `other`'s",
    ),
}


@pytest.mark.parametrize(("answer", "why"), NOTHING.values(), ids=NOTHING)
def test_a_server_that_gives_nothing_says_why(answer: Completed | TransportError, why: str) -> None:
    got = read(answer)
    assert isinstance(got, NotFetched)
    assert why in got.what
    assert KEY[:12] not in got.what


def test_the_script_is_one_that_a_posix_shell_reads() -> None:
    for text in (SHELL, SCRIPT):
        assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_where_no_k3s_is_the_script_says_so() -> None:
    script = SCRIPT.replace("/etc/rancher", "/nonexistent")
    done = subprocess.run(["sh", "-s"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "no server of k3s: there is no /nonexistent/k3s/k3s.yaml\n",
    )
