"""The verbs that need no machine, and what the others say without one."""

import errno
import json
import stat
from pathlib import Path

import jsonschema
import pytest

from tests.cli.command import FLEET, wireloom
from wireloom.apply.outcome import Ending, NodeOutcome, Outcome
from wireloom.cli import apply as apply_verb
from wireloom.cli import world
from wireloom.cli.carry import conclude, note
from wireloom.cli.main import run
from wireloom.cli.settings import Settings
from wireloom.errors import Diagnostic, UserError
from wireloom.report.standing import NodeStanding
from wireloom.values import NodeName

Printed = pytest.CaptureFixture[str]


# init, check, schema


def test_init_writes_a_file_that_is_right_and_a_schema_that_fits_it(here: Path, capsys: Printed) -> None:
    assert run(["init"]) == 0
    assert capsys.readouterr().out == ""
    assert {path.name for path in here.iterdir()} == {"fleet.yaml", "fleet.schema.json"}
    jsonschema.Draft202012Validator.check_schema(json.loads((here / "fleet.schema.json").read_text()))
    assert run(["check"]) == 0


def test_init_overwrites_nothing(here: Path, capsys: Printed) -> None:
    run(["init"])
    (here / "fleet.yaml").write_text("mine")
    (here / "fleet.schema.json").write_text("mine too")
    assert run(["init"]) == 1
    assert (here / "fleet.yaml").read_text() == "mine"
    assert "fleet.yaml: error: already there: it is not overwritten" in capsys.readouterr().err
    assert run(["-f", "second.yaml", "init"]) == 0
    assert (here / "fleet.schema.json").read_text() == "mine too"


def test_init_where_nothing_can_be_written_is_no_traceback(here: Path, capsys: Printed) -> None:
    assert run(["-f", "no/such/place.yaml", "init"]) == 1
    assert "no/such/place.yaml: error: can't be written: No such file or directory" in capsys.readouterr().err


def test_check_tells_every_mistake_at_once_with_its_place(fleet: Path, capsys: Printed) -> None:
    text = FLEET.replace("public: [203.0.113.11]", "pubilc: [203.0.113.11]").replace("site: ams", "site: asm")
    fleet.write_text(text)
    assert run(["--json", "check"]) == 1
    printed = capsys.readouterr()
    errors = json.loads(printed.out)["errors"]
    assert {error["where"].split(":")[1] for error in errors} == {"6", "7"}
    assert all(error["what"] in printed.err for error in errors)


def test_check_touches_nothing(fleet: Path) -> None:
    assert run(["check"]) == 0
    assert list(fleet.parent.iterdir()) == [fleet]


def test_check_quietly_says_nothing(fleet: Path, capsys: Printed) -> None:
    assert run(["check", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_one_of_each_is_counted_as_one(fleet: Path, capsys: Printed) -> None:
    fleet.write_text(
        "fleet: pair\nunderlay: { ipv4: 10.99.0.0/24 }\nsites: { fsn: {} }\nnodes:\n"
        "  a: { site: fsn, public: [203.0.113.1] }\n  b: { site: fsn, public: [203.0.113.2] }\n"
    )
    assert run(["check"]) == 0
    assert "fine. 2 nodes in 1 site, 1 tunnel, " in capsys.readouterr().out


ROLES = """\
fleet: cluster
underlay: { ipv4: 10.99.0.0/24 }
sites: { fsn: {} }
nodes:
  cp1: { site: fsn, ssh: root@127.0.0.1:1, public: [203.0.113.1], roles: [k3s-server] }
  w1: { site: fsn, ssh: root@127.0.0.1:2, public: [203.0.113.2], roles: [k3s-agent] }
  w2: { site: fsn, ssh: root@127.0.0.1:3, public: [203.0.113.3], roles: [k3s-agent] }
"""
UNDERLAY = "3 tunnels, 10.99.0.0/24 on wg0, port 51820, MTU 1440"
MADE = {
    "the underlay alone": ("pods: [10.42.0.0/16]", UNDERLAY),
    "k3s on it": ("version: v1.34.2+k3s1", f"{UNDERLAY}, k3s v1.34.2+k3s1 on 1 server and 2 agents"),
    "k3s alone": (
        "version: v1.34.2+k3s1, encrypt: cni",
        "no underlay (`encrypt: cni`), k3s v1.34.2+k3s1 on 1 server and 2 agents",
    ),
}


@pytest.mark.parametrize(("kubernetes", "made"), MADE.values(), ids=MADE)
def test_check_says_what_is_made_of_the_fleet(
    fleet: Path, capsys: Printed, kubernetes: str, made: str
) -> None:
    fleet.write_text(f"{ROLES}kubernetes: {{ {kubernetes} }}\n")
    assert run(["check"]) == 0
    assert capsys.readouterr().out == f"fleet.yaml: fine. 3 nodes in 1 site, {made}\n"


NODES: dict[str, tuple[list[str], str]] = {
    "an installation": (["check", "--install"], "--install and --yes go with --nodes"),
    "a yes": (["check", "--yes"], "--install and --yes go with --nodes"),
}


@pytest.mark.parametrize(("words", "expected"), NODES.values(), ids=NODES)
def test_check_without_nodes_wants_nothing_that_is_about_them(
    words: list[str], expected: str, fleet: Path, capsys: Printed
) -> None:
    assert run(words) == 1
    assert expected in capsys.readouterr().err


def test_check_of_nodes_tells_who_does_not_answer_and_who_is_not_asked(fleet: Path) -> None:
    done = wireloom(fleet.parent, "check", "--nodes")
    assert done.returncode == 1
    assert done.stdout == (
        "cp1: error: connection refused by 127.0.0.1 port 1\n"
        "    is the machine up, is sshd running and listening on that port, does a firewall reject it?\n"
        "w1, db1: warning: no `ssh`: not applied from here\n"
        "    `wireloom export` writes its file\n"
        "fleet.yaml: not ready: 1 error on 1 of 1 machine\n"
    )
    assert list(fleet.parent.iterdir()) == [fleet]


def test_check_of_nodes_as_json(fleet: Path) -> None:
    done = wireloom(fleet.parent, "check", "--nodes", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["version"], document["ok"], document["installed"]) == (1, False, [])
    assert [(one["node"], one["check"], one["severity"]) for one in document["findings"]] == [
        ("cp1", "answer", "error"),
        ("w1", "login", "warning"),
        ("db1", "login", "warning"),
    ]


def test_check_of_a_file_with_mistakes_looks_at_no_machine(fleet: Path, capsys: Printed) -> None:
    fleet.write_text(FLEET.replace("site: ams", "site: asm"))
    assert run(["check", "--nodes"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, "cp1" in printed.err) == ("", False)


def test_schema_is_json(capsys: Printed) -> None:
    assert run(["schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


# graph


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        ("<svg", ["graph"]),
        ("graph", ["graph", "--format", "dot"]),
        ("{", ["graph", "--json"]),
    ],
    ids=["svg", "dot", "json"],
)
def test_graph_goes_to_stdout(begin: str, words: list[str], fleet: Path, capsys: Printed) -> None:
    assert run(words) == 0
    assert begin in capsys.readouterr().out[:200]


@pytest.mark.parametrize(
    ("begin", "name", "more"),
    [
        ("<svg", "net.svg", []),
        ("<svg", "NET.SVG", []),
        ("digraph", "net.dot", []),
        ("digraph", "net.gv", []),
        ("digraph", "net", ["--format", "dot"]),
        ("<svg", "net.svg", ["--json"]),
    ],
)
def test_graph_goes_to_a_file_in_the_form_of_its_name(
    begin: str, name: str, more: list[str], fleet: Path, capsys: Printed
) -> None:
    assert run(["graph", "-o", name, *more]) == 0
    assert begin in Path(name).read_text()[:200]
    assert capsys.readouterr().out[:1] == ("{" if "--json" in more else "")


NO_PICTURE = {
    "another kind": ("net.png: error: no picture is drawn as .png\n    wireloom draws SVG", ["net.png"]),
    "no kind": ("net: error: which kind of picture?\n    wireloom draws SVG (NAME.svg) and DOT", ["net"]),
    "two kinds": ("net.svg: error: --format dot is not for a .svg file", ["net.svg", "--format", "dot"]),
    "a kind that a format does not make right": ("is drawn as .png", ["net.png", "--format", "svg"]),
}


@pytest.mark.parametrize(("told", "words"), NO_PICTURE.values(), ids=NO_PICTURE)
def test_a_name_that_promises_another_picture_is_refused(
    told: str, words: list[str], fleet: Path, capsys: Printed
) -> None:
    assert run(["graph", "-o", *words]) == 1
    assert told in capsys.readouterr().err
    assert list(fleet.parent.iterdir()) == [fleet]


def test_graph_makes_no_directory(fleet: Path, capsys: Printed) -> None:
    assert run(["graph", "-o", "no/such/net.svg"]) == 1
    assert capsys.readouterr().err == (
        "no/such/net.svg: error: can't be written: No such file or directory\n"
        "    there is no directory no/such: make it first, or name another\n"
    )
    assert list(fleet.parent.iterdir()) == [fleet]


def test_graph_where_nothing_can_be_written_is_no_traceback(fleet: Path, capsys: Printed) -> None:
    assert run(["graph", "-o", "fleet.yaml/net.svg"]) == 1
    assert "can't be written" in capsys.readouterr().err


def test_a_disk_that_is_full_costs_no_picture(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(handle: int, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("net.svg").write_text("the picture before")
    monkeypatch.setattr("wireloom.disk._write_all", fill)
    assert run(["graph", "-o", "net.svg"]) == 1
    assert Path("net.svg").read_text() == "the picture before"


# export


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_export_with_keys_makes_them_and_complete_files(fleet: Path, capsys: Printed) -> None:
    assert run(["export", "-o", "out", "--keys", "keys"]) == 0
    assert capsys.readouterr() == ("", "Wrote 3 files to out.\n")
    assert {path.name: mode(path) for path in Path("keys").iterdir()} == dict.fromkeys(
        ("cp1.key", "w1.key", "db1.key"), 0o600
    )
    for path in Path("out").iterdir():
        assert mode(path) == 0o600
        assert "PrivateKey = " in path.read_text()


def test_export_puts_public_keys_in_the_lock_and_never_private_ones(fleet: Path) -> None:
    run(["export", "-o", "out", "--keys", "keys"])
    lock = Path("fleet.lock").read_text()
    assert lock.count("public_key") == 3
    assert not any(path.read_text().strip() in lock for path in Path("keys").iterdir())


def test_export_without_keys_makes_none_and_says_which_are_missing(fleet: Path, capsys: Printed) -> None:
    assert run(["export", "-o", "out"]) == 0
    assert "no key of theirs is known: cp1, w1, db1. --keys DIR makes one." in capsys.readouterr().err
    assert {path.name for path in fleet.parent.iterdir()} == {"fleet.yaml", "fleet.lock", "out"}
    for path in Path("out").iterdir():
        assert mode(path) == 0o644
        assert "\nPrivateKey = " not in path.read_text()


def test_export_again_touches_nothing(fleet: Path) -> None:
    run(["export", "-o", "out", "--keys", "keys"])
    before = {path: path.stat().st_mtime_ns for path in fleet.parent.rglob("*") if path.is_file()}
    run(["export", "-o", "out", "--keys", "keys"])
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_export_as_json(fleet: Path, capsys: Printed) -> None:
    assert run(["--json", "export", "-o", "out"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "files": ["out/cp1.conf", "out/w1.conf", "out/db1.conf"],
        "without_private_key": ["cp1", "w1", "db1"],
        "without_public_key": ["cp1", "w1", "db1"],
    }


@pytest.mark.parametrize("words", [["-o", "fleet.yaml/out"], ["-o", "out", "--keys", "fleet.yaml/keys"]])
def test_export_where_nothing_can_be_written_is_no_traceback(
    words: list[str], fleet: Path, capsys: Printed
) -> None:
    assert run(["export", *words]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_export_refuses_a_broken_key_without_repeating_it(fleet: Path, capsys: Printed) -> None:
    Path("keys").mkdir()
    Path("keys/w1.key").write_text("hunter2\n")
    assert run(["export", "-o", "out", "--keys", "keys"]) == 1
    told = capsys.readouterr().err
    assert "keys/w1.key: error: not a WireGuard private key" in told
    assert "hunter2" not in told


# Machines that are not there


@pytest.mark.parametrize("verb", ["plan", "verify", "status"])
def test_a_machine_that_does_not_answer_is_told_and_no_traceback(verb: str, fleet: Path) -> None:
    done = wireloom(fleet.parent, verb)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cp1" in done.stdout + done.stderr
    assert not Path("fleet.lock").exists()


def test_status_quietly_shows_only_what_is_wrong(fleet: Path) -> None:
    done = wireloom(fleet.parent, "status", "-q")
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NODE", "cp1"]
    assert len(json.loads(wireloom(fleet.parent, "status", "-q", "--json").stdout)["nodes"]) == 3


def test_a_k3s_for_a_fleet_that_gets_none_is_a_mistake(fleet: Path, capsys: Printed) -> None:
    Path("k3s").write_bytes(b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00")
    assert run(["apply", "--k3s-binary", "k3s"]) == 1
    assert "fleet.yaml: error: wireloom makes no cluster of this fleet" in capsys.readouterr().err


def test_status_misses_no_interface_where_there_is_no_underlay(
    fleet: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(*_: object, **__: object) -> list[NodeStanding]:
        return [NodeStanding(NodeName("cp1"), "fsn", (), "absent", 2)]

    monkeypatch.setattr("wireloom.cli.status._look", look)
    fleet.write_text(f"{ROLES}kubernetes: {{ version: v1.34.2+k3s1, encrypt: cni }}\n")
    assert run(["status", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["status"]) == 0
    assert "`wireloom k3s status` shows the cluster" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["status", "-q"], ["plan", "-q"]], ids=" ".join)
def test_quietly_there_is_nothing_to_say_where_nothing_is_wrong(words: list[str], fleet: Path) -> None:
    fleet.write_text(FLEET.replace("ssh: root@127.0.0.1:1, ", ""))
    done = wireloom(fleet.parent, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_plan_quietly_tells_only_what_went_wrong(fleet: Path) -> None:
    done = wireloom(fleet.parent, "plan", "-q")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cp1: warning: could not be looked at")


def test_apply_quietly_tells_who_was_left_behind(fleet: Path) -> None:
    done = wireloom(fleet.parent, "apply", "-q", "--yes")
    assert (done.returncode, done.stdout.splitlines()[0][:12]) == (2, "cp1 pending:")


def test_verify_says_once_why_a_machine_could_not_be_asked(fleet: Path) -> None:
    done = wireloom(fleet.parent, "verify")
    assert done.stdout.count("connection refused") == 1
    assert done.stdout.count("    unknown   cp1 → 2 nodes  cp1 could not be asked\n") == 3
    document = json.loads(wireloom(fleet.parent, "verify", "--json").stdout)
    assert [one["node"] for one in document["unasked"]] == ["cp1", "w1", "db1"]
    of_cp1 = {one["detail"] for one in document["claims"] if one["from"] == "cp1"}
    assert of_cp1 == {"connection refused by 127.0.0.1 port 1"}


def test_verify_also_writes_what_it_found_as_a_page(fleet: Path) -> None:
    done = wireloom(fleet.parent, "verify", "--html", "report.html")
    assert done.returncode == 1
    page = Path("report.html").read_text(encoding="utf-8")
    assert "<title>clitest: unknown · wireloom verify</title>" in page
    assert "connection refused by 127.0.0.1 port 1" in page


def test_verify_asks_nobody_where_its_page_has_no_directory(fleet: Path) -> None:
    done = wireloom(fleet.parent, "verify", "--html", "nowhere/report.html")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere/report.html: error: can't be written: No such file or directory" in done.stderr


def test_apply_to_a_machine_that_does_not_answer_leaves_it_pending(fleet: Path) -> None:
    done = wireloom(fleet.parent, "apply", "--yes", "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert {(node["node"], node["ending"]) for node in document["nodes"]} == {("cp1", "pending")}


# Questions


def test_nobody_to_ask_is_an_error_that_names_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Path("/dev/null").open())  # noqa: SIM115
    with pytest.raises(UserError) as raised:
        world.ask("Apply this to 3 nodes?", yes=False)
    assert str(raised.value) == "Apply this to 3 nodes? Nobody can be asked here\n    --yes says yes to it"


def test_yes_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.confirm", lambda *_, **__: pytest.fail("asked"))
    world.ask("Apply?", yes=True)


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_, **__: answer)
    if answer:
        world.ask("Apply?", yes=False)
        return
    with pytest.raises(UserError, match="stopped: nothing was changed"):
        world.ask("Apply?", yes=False)


# apply


ENDINGS = {
    "changed": (0, [Ending.CHANGED]),
    "nothing to do": (0, [Ending.UNCHANGED]),
    "somebody away": (2, [Ending.CHANGED, Ending.PENDING]),
    "failed": (1, [Ending.FAILED, Ending.ROLLED_BACK]),
    "failed, and somebody away": (1, [Ending.FAILED, Ending.PENDING]),
}


@pytest.mark.parametrize(("expected", "endings"), ENDINGS.values(), ids=ENDINGS)
def test_apply_exits_as_it_ended(
    expected: int, endings: list[Ending], fleet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = Outcome(1, tuple(NodeOutcome(NodeName("n"), ending) for ending in endings))

    async def ended(*_: object, **__: object) -> Outcome:
        return outcome

    monkeypatch.setattr(apply_verb, "_apply", ended)
    assert expected == run(["apply", "--yes"])


def test_apply_tells_what_keeps_it_from_several_machines_once(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    """As a plan does; for programs each stays what it is."""
    refusals = [Diagnostic("no wg there", where=name, hint="install it") for name in ("cp1", "w1")]

    async def refused(*_: object, **__: object) -> Outcome:
        raise UserError(refusals)

    monkeypatch.setattr(apply_verb, "_apply", refused)
    assert run(["apply", "--yes", "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "cp1, w1: error: no wg there\n    install it\n"
    assert [one["where"] for one in json.loads(printed.out)["errors"]] == ["cp1", "w1"]


def test_steps_that_are_left_are_work_for_the_next_apply(capsys: Printed) -> None:
    """Also where somebody only watches for the exit code."""
    assert conclude(Settings(quiet=True), Outcome(1, (), ("hear no port but 51820",))) == 2
    assert "Left to do by the next apply: hear no port but 51820." in capsys.readouterr().out


def test_a_journal_that_can_not_be_written_is_a_warning(fleet: Path, capsys: Printed) -> None:
    Path(".wireloom").touch()
    note(world.open_world(Settings()), Outcome(1, ()))
    assert ".wireloom: warning: this apply is not in the journal: File exists" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", "[]", "7", '{"digest"', "\0"], ids=repr)
def test_what_is_no_saved_plan_is_told_before_a_machine_is_dialled(
    text: str, fleet: Path, capsys: Printed
) -> None:
    Path("no.plan").write_text(text)
    assert run(["apply", "no.plan"]) == 1
    assert capsys.readouterr().err == (
        "no.plan: error: not a plan of `wireloom plan -o`\n    a fleet file is named with -f\n"
    )


def test_a_plan_that_could_not_be_saved_is_told_before_a_machine_is_dialled(
    fleet: Path, capsys: Printed
) -> None:
    assert run(["plan", "-o", "no/such/next.plan"]) == 1
    assert capsys.readouterr().err == (
        "no/such/next.plan: error: can't be written: No such file or directory\n"
        "    there is no directory no/such: make it first, or name another\n"
    )


EMPTY = [["check", "-f", ""], ["graph", "-o", ""], ["plan", "-o", ""], ["export", "-o", ""]]


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_name_is_not_the_directory_here(words: list[str], fleet: Path, capsys: Printed) -> None:
    assert run(words) == 1
    assert "it is empty: is a variable not set?" in capsys.readouterr().err
    assert list(fleet.parent.iterdir()) == [fleet]


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_init_in_the_place_of_a_directory_is_no_traceback(name: str, here: Path, capsys: Printed) -> None:
    assert run(["-f", name, "init"]) == 1
    assert f"{name}: error: already there" in capsys.readouterr().err


def test_a_saved_plan_that_is_not_there_is_a_usage_error(fleet: Path, capsys: Printed) -> None:
    assert run(["apply", "no.plan"]) == 1
    assert "no.plan" in capsys.readouterr().err


# Labs


@pytest.mark.parametrize("verb", ["plan", "apply", "verify", "status"])
def test_a_lab_that_is_not_up_is_told_with_what_to_do(verb: str, fleet: Path, capsys: Printed) -> None:
    fleet.write_text(FLEET.replace("fleet: clitest", "fleet: cli-no-lab\nlab: {}"))
    assert run([verb]) == 1
    assert capsys.readouterr().err.endswith(
        "fleet.yaml: error: the lab of `cli-no-lab` is not up\n"
        "    build its machines on this computer: wireloom lab up\n"
    )


def test_the_hint_names_the_fleet_again_as_it_was_named(fleet: Path, capsys: Printed) -> None:
    fleet.rename("two words.yaml")
    assert run(["--lab", "-f", "two words.yaml", "plan"]) == 1
    assert "computer: wireloom -f 'two words.yaml' --lab lab up\n" in capsys.readouterr().err


def test_a_twin_is_asked_for_with_lab(fleet: Path, capsys: Printed) -> None:
    assert run(["status", "--lab"]) == 1
    assert "the lab of `clitest` is not up" in capsys.readouterr().err


def test_a_lab_that_is_not_up_can_be_taken_down(fleet: Path, capsys: Printed) -> None:
    assert run(["lab", "down"]) == 0
    assert capsys.readouterr().err == "Lab clitest was not up.\n"


def test_lab_list_is_a_document(here: Path, capsys: Printed) -> None:
    assert run(["--json", "lab", "list"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"version", "labs"}


EXECUTED: dict[str, tuple[tuple[str, list[str]], list[str]]] = {
    "after a dash": (("cp1", ["wg", "show"]), ["cp1", "--", "wg", "show"]),
    "without one": (("cp1", ["wg", "show"]), ["cp1", "wg", "show"]),
    "options are the command's": (("cp1", ["ip", "-j", "--json", "-f"]), ["cp1", "ip", "-j", "--json", "-f"]),
    "options after a dash": (("cp1", ["-x", "--help"]), ["cp1", "--", "-x", "--help"]),
    "only the first dash is ours": (("cp1", ["sh", "--", "x"]), ["cp1", "--", "sh", "--", "x"]),
    "words stay words": (("@fsn", ["sh", "-c", "a b; c"]), ["@fsn", "--", "sh", "-c", "a b; c"]),
}


@pytest.mark.parametrize(("expected", "words"), EXECUTED.values(), ids=EXECUTED)
def test_lab_exec_hands_words_on_as_they_are(
    expected: tuple[str, list[str]], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wireloom.cli import lab

    entered: list[tuple[str, list[str]]] = []

    def enter(_: object, machine: str, argv: list[str]) -> int:
        entered.append((machine, argv))
        return 42

    monkeypatch.setattr(lab, "_chosen_lab", lambda _: None)
    monkeypatch.setattr(lab, "enter", enter)
    assert run(["lab", "exec", *words]) == 42
    assert entered == [expected]


@pytest.mark.parametrize("words", [["cp1"], ["cp1", "--"], []], ids=" ".join)
def test_lab_exec_without_a_command_is_a_usage_error(words: list[str], capsys: Printed) -> None:
    assert run(["lab", "exec", *words]) == 1
    assert "Usage: wireloom lab exec" in capsys.readouterr().err
