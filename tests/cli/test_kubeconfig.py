"""``wireloom k3s kubeconfig`` as a user has it."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.cluster import FLEET, answer_for, write_fleet
from tests.cluster.access import KEY, certificate, fetched, k3s_yaml
from wireloom.cli.main import run
from wireloom.transport.fake import Answer
from wireloom.transport.port import Completed

Printed = pytest.CaptureFixture[str]
MODULE = "wireloom.cli.cluster.kubeconfig"
NAMES = ("10.99.0.1", "203.0.113.10", "127.0.0.1", "localhost")


def server(*names: str, fleet: str = "shop") -> Answer:
    pem = certificate(*(names or NAMES))
    return lambda script: Completed(0, fetched(script, access=k3s_yaml(), pem=pem, fleet=fleet), "")


def silent(script: str) -> Completed:
    return Completed(1, "", "no server of k3s: there is no /etc/rancher/k3s/k3s.yaml\n")


@pytest.fixture(autouse=True)
def one_server(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    write_fleet(here)
    answer_for(monkeypatch, MODULE, {"cp1": server()})


def config(path: Path) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load(path.read_text())
    return loaded


def test_it_goes_where_kubectl_looks_for_nobody_else_to_read(here: Path, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    path = here / ".kube" / "config"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert config(path)["clusters"][0]["cluster"]["server"] == "https://10.99.0.1:6443"  # type: ignore[index]
    assert [one.name for one in path.parent.iterdir()] == ["config"]


def test_it_says_what_to_try(here: Path, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{here}/.kube/config: the context `shop` reaches https://10.99.0.1:6443." in printed.err
    assert "Try it: kubectl get nodes\n" in printed.err
    assert KEY not in printed.err


def test_json_tells_where_it_is_and_never_what(here: Path, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig", "--json", "-q"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "version": 1,
        "file": str(here / ".kube" / "config"),
        "context": "shop",
        "current": True,
        "server": "https://10.99.0.1:6443",
        "fetched_from": "cp1",
    }
    assert KEY not in printed.out + printed.err


def test_stdout_has_it_only_when_asked_for(here: Path, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig", "-q", "-o", "-"]) == 0
    assert KEY in capsys.readouterr().out
    assert not (here / ".kube").exists()


def test_the_first_file_of_the_environment_is_kubectls(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f":{here}/first:{here}/second")
    assert run(["k3s", "kubeconfig", "-q"]) == 0
    assert {path.name for path in here.iterdir()} == {"fleet.yaml", "first"}


def test_a_link_stays_one(here: Path) -> None:
    (here / "kept").write_text("")
    (here / "link").symlink_to("kept")
    assert run(["k3s", "kubeconfig", "-q", "-o", "link"]) == 0
    assert (here / "link").is_symlink()
    assert "clusters" in config(here / "kept")


OTHER = "kind: Config\ncontexts: [{name: other, context: {}}]\ncurrent-context: other\n"


@pytest.mark.parametrize(("words", "current"), [([], "other"), (["--use"], "shop")])
def test_the_current_context_stays_the_users(
    words: list[str], current: str, here: Path, capsys: Printed
) -> None:
    path = here / "config"
    path.write_text(OTHER)
    assert run(["k3s", "kubeconfig", "-o", "config", *words]) == 0
    assert config(path)["current-context"] == current
    assert ("kubectl --context shop get nodes" in capsys.readouterr().err) is (current == "other")


REFUSED = {
    "malformed": ("a: [", "config: error: is not a kubeconfig: it is not YAML, line 1"),
    "foreign": ("users: [{name: shop, user: {}}]", "config: error: has another user named `shop`"),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_left_as_it_was(text: str, expected: str, here: Path, capsys: Printed) -> None:
    path = here / "config"
    path.write_text(text)
    assert run(["k3s", "kubeconfig", "-o", "config"]) == 1
    assert expected in capsys.readouterr().err
    assert path.read_text() == text
    assert {one.name for one in here.iterdir()} == {"fleet.yaml", "config"}


def test_bytes_that_are_no_text_are_refused(here: Path, capsys: Printed) -> None:
    (here / "config").write_bytes(b"\xff\xfe")
    assert run(["k3s", "kubeconfig", "-o", "config"]) == 1
    assert "is not a kubeconfig: it is not UTF-8" in capsys.readouterr().err


def test_while_kubectl_writes_nobody_else_does(here: Path, capsys: Printed) -> None:
    (here / "config.lock").touch()
    assert run(["k3s", "kubeconfig", "-o", "config"]) == 1
    assert "somebody else is writing it" in capsys.readouterr().err
    assert {one.name for one in here.iterdir()} == {"fleet.yaml", "config.lock"}


def test_a_directory_that_is_not_there_is_told_before_anybody_is_asked(here: Path, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig", "-o", "no/such/config"]) == 1
    assert "there is no directory no/such" in capsys.readouterr().err


WAYS = {
    "the server's own": (["--via", "127.0.0.1:16443"], "https://127.0.0.1:16443", ""),
    "a name that it has not": (
        ["--via", "api.example.com"],
        "https://api.example.com:6443",
        "warning: the certificate of cp1 is not for api.example.com: kubectl will not accept it",
    ),
}


@pytest.mark.parametrize(("words", "url", "warning"), WAYS.values(), ids=WAYS)
def test_another_way(words: list[str], url: str, warning: str, here: Path, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig", "-q", "-o", "config", *words]) == 0
    assert config(here / "config")["clusters"][0]["cluster"]["server"] == url  # type: ignore[index]
    assert warning in capsys.readouterr().err


def test_the_outside_is_refused_where_the_guard_closes_it(here: Path, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig", "--via", "public"]) == 1
    assert "--via public: error: the guard closes 6443 to the outside" in capsys.readouterr().err
    assert not (here / ".kube").exists()


def test_the_outside_where_it_is_open(here: Path) -> None:
    write_fleet(here, FLEET.replace("k3s1 }", "k3s1, public_api: true }"))
    assert run(["k3s", "kubeconfig", "-q", "-o", "config", "--via", "public"]) == 0
    assert config(here / "config")["clusters"][0]["cluster"]["server"] == "https://203.0.113.10:6443"  # type: ignore[index]


def test_the_first_server_that_answers_is_taken(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_for(monkeypatch, MODULE, {"cp1": silent, "cp2": server(), "cp3": server()})
    assert run(["k3s", "kubeconfig", "-q", "-o", "config"]) == 0
    assert config(here / "config")["clusters"][0]["cluster"]["server"] == "https://10.99.0.2:6443"  # type: ignore[index]


def test_where_no_server_answers_each_says_why(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    answer_for(monkeypatch, MODULE, {"cp1": silent, "cp2": server(fleet="other")})
    assert run(["k3s", "kubeconfig", "-q"]) == 1
    assert capsys.readouterr().err == (
        "cp1: error: no server of k3s: there is no /etc/rancher/k3s/k3s.yaml\n"
        "    how it stands: wireloom k3s status\n"
        "cp2: error: its k3s is the fleet `other`'s\n"
        "cp3: error: no answer from cp3\n"
    )


def test_a_fleet_without_servers(here: Path, capsys: Printed) -> None:
    text = FLEET.replace(", roles: [k3s-server]", "").replace(", roles: [k3s-agent]", "")
    write_fleet(here, text.partition("kubernetes:")[0])
    assert run(["k3s", "kubeconfig"]) == 1
    assert "fleet.yaml: error: no machine is a server that can be asked" in capsys.readouterr().err


USAGE = {
    "a way": (["--via", "a/b"], "neither an address nor a host's name"),
    "a port": (["--via", "a:99999"], "'99999' is not a port"),
    "an empty file": (["-o", ""], "it is empty: is a variable not set?"),
    "two for stdout": (["-o", "-", "--json"], "both want stdout"),
    "a directory": (["-o", "."], "is a directory"),
    "a word too much": (["shop"], "unexpected extra argument"),
}


@pytest.mark.parametrize(("words", "expected"), USAGE.values(), ids=USAGE)
def test_wrong_options(words: list[str], expected: str, capsys: Printed) -> None:
    assert run(["k3s", "kubeconfig", *words]) == 1
    assert expected in capsys.readouterr().err
