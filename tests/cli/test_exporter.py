"""``wireloom exporter`` without a machine that answers: options, errors, its end."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import FLEET, WIRELOOM, wireloom
from wireloom.cli.main import run

Printed = pytest.CaptureFixture[str]


@contextmanager
def exporter(directory: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """``wireloom exporter WORDS`` in the background; killed at the end if it has not ended."""
    process = subprocess.Popen(
        [WIRELOOM, "exporter", "--listen", "127.0.0.1:0", *words],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HOME": str(directory)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address_of(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://\S+/metrics", line)
    assert found, line
    return found[0]


def scrape(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read().decode()


def test_once_prints_what_is_known_and_is_fine(fleet: Path) -> None:
    done = wireloom(fleet.parent, "exporter", "--once")
    assert done.returncode == 0
    assert 'wireloom_node_reachable{fleet="clitest",node="cp1",site="fsn"} 0.0\n' in done.stdout
    assert 'wireloom_verify_report{fleet="clitest",state="absent"} 1.0\n' in done.stdout
    assert "cp1: warning: connection refused by 127.0.0.1 port 1" in done.stderr
    assert list(fleet.parent.iterdir()) == [fleet]


def test_once_is_the_same_with_json(fleet: Path) -> None:
    done = wireloom(fleet.parent, "exporter", "--once", "--json")
    assert (done.returncode, done.stdout[:7]) == (0, "# HELP ")


def test_once_reads_what_verify_has_left(fleet: Path) -> None:
    report = fleet.parent / ".wireloom" / "verified" / "clitest.json"
    report.parent.mkdir(parents=True)
    report.write_text(
        json.dumps({"at": "2026-11-25T19:00:00Z", "verdict": "holds", "claims": {"mtu": {"holds": 58}}})
    )
    told = wireloom(fleet.parent, "exporter", "--once").stdout
    assert 'wireloom_verify_claims{fleet="clitest",kind="mtu",verdict="holds"} 58.0\n' in told
    report.unlink()
    report.mkdir()
    told = wireloom(fleet.parent, "exporter", "--once").stdout
    assert 'wireloom_verify_report{fleet="clitest",state="garbled"} 1.0\n' in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_is_quiet_and_fine(number: signal.Signals, fleet: Path) -> None:
    with exporter(fleet.parent, "--every", "5s") as process:
        address = address_of(process)
        assert process.stderr is not None
        assert process.stderr.readline() == "cp1: warning: connection refused by 127.0.0.1 port 1\n"
        scrape(address)
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        told = process.communicate()
    assert (told[0], told[1].splitlines()[1:]) == ("", [])


def test_a_scrape_is_answered_before_the_first_look_has_ended(fleet: Path) -> None:
    """The only machine takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fleet.write_text(FLEET.replace("127.0.0.1:1,", f"127.0.0.1:{silent.getsockname()[1]},"))
        with exporter(fleet.parent) as process:
            assert "wireloom_build_info" in scrape(address_of(process))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0


def test_a_port_that_is_taken(fleet: Path, capsys: Printed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run(["exporter", "--listen", address]) == 1
    assert capsys.readouterr().err == (
        f"{address}: error: the address is in use\n"
        "    somebody listens there already, another exporter perhaps: --listen names another port\n"
    )


USAGE = {
    "a name": (["--listen", "localhost:9952"], "'localhost:9952' is not an address and a port"),
    "no port": (["--listen", "127.0.0.1"], "'127.0.0.1' is not an address and a port"),
    "too often": (["--every", "1s"], "'1s' is not between 5s and 60m"),
    "once and again": (["--once", "--every", "60"], "--listen and --every make no sense with --once"),
    "once and a port": (["--once", "--listen", "[::1]:1"], "--listen and --every make no sense with --once"),
}


@pytest.mark.parametrize(("words", "expected"), USAGE.values(), ids=USAGE)
def test_what_makes_no_sense_is_a_usage_error(
    words: list[str], expected: str, fleet: Path, capsys: Printed
) -> None:
    assert run(["exporter", *words]) == 1
    assert expected in capsys.readouterr().err


def test_a_fleet_file_that_is_not_there_is_told_at_once(here: Path, capsys: Printed) -> None:
    assert run(["exporter"]) == 1
    assert "fleet.yaml: error: there is no such file" in capsys.readouterr().err
