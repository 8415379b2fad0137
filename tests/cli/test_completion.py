"""What a shell completes: the script that is printed, in a bash that asks it as at a Tab."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import FLEET, WIRELOOM, wireloom

NODES = ["cp1", "w1", "db1"]

# what is typed; what is offered
OFFERED: dict[str, tuple[str, list[str]]] = {
    "a verb": ("wireloom hist", ["history"]),
    "a verb of a verb": ("wireloom k3s un", ["uninstall"]),
    "an option": ("wireloom apply --confirm", ["--confirm-within"]),
    "a machine of the lab": ("wireloom lab exec ", NODES),
    "a node, of several": ("wireloom k3s uninstall w1 d", ["db1"]),
    "a node, and none again": ("wireloom k3s uninstall w1 ", ["cp1", "db1"]),
    "a node for an option": ("wireloom verify --disrupt c", ["cp1"]),
    "a node of another file": ("wireloom -f other.yaml k3s remove ", ["far1"]),
    "a node of a file with mistakes": ("wireloom -f broken.yaml k3s remove ", []),
    "a node of no file": ("wireloom -f none.yaml k3s remove ", []),
    "a shell": ("wireloom completion ", ["bash", "zsh", "fish"]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("here")
    (here / "fleet.yaml").write_text(FLEET)
    only = "fleet: far\nunderlay: { ipv4: 10.98.0.0/24 }\nsites: { fsn: {} }\nnodes:\n"
    (here / "other.yaml").write_text(only + "  far1: { site: fsn, public: [203.0.113.10] }\n")
    (here / "broken.yaml").write_text(only + "  far1: { sight: fsn }\n")
    return here


@pytest.mark.parametrize(("typed", "offered"), OFFERED.values(), ids=OFFERED)
def test_bash_is_offered(typed: str, offered: list[str], place: Path) -> None:
    script = """
        eval "$(wireloom completion bash)"
        read -ra COMP_WORDS <<<"$1"
        [[ $1 != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _wireloom_completion wireloom
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script, "bash", typed],
        cwd=place,
        env={"PATH": f"{WIRELOOM.parent}:{os.environ['PATH']}", "HOME": str(place)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == (offered, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_printed_is_taken_by_its_shell(shell: str, tmp_path: Path) -> None:
    done = wireloom(tmp_path, "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_WIRELOOM_COMPLETE" in done.stdout
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=done.stdout, text=True, check=True, timeout=60)


def test_another_shell_is_a_mistake(tmp_path: Path) -> None:
    done = wireloom(tmp_path, "completion", "tcsh")
    assert done.returncode == 1
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
