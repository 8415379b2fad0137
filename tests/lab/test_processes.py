import pytest

from wireloom.lab.processes import Kind, LabProcess, classify

INIT = ["sh", "/run/wireloom/lab/shop/init.sh", "wireloom-lab", "shop", "/home/me/shop.yaml"]
MACHINE = ["sh", "/run/lab/machine.sh", "wireloom-machine", "shop", "cp1", "22"]


@pytest.mark.parametrize(
    ("argv", "pids", "expected"),
    [
        pytest.param(INIT, (70, 1), (Kind.LAB, "/home/me/shop.yaml"), id="a lab's init"),
        pytest.param(INIT, (71, 5), None, id="a child of a lab's init that has not become itself yet"),
        pytest.param(INIT, (70, 9, 1), None, id="a lab inside of a container on this computer"),
        pytest.param(INIT, (70,), None, id="somebody's shell with the same arguments"),
        pytest.param(
            ["unshare", "--fork", *INIT], (69,), (Kind.STARTER, "/home/me/shop.yaml"), id="its starter"
        ),
        pytest.param(
            ["setsid", "--fork", *INIT], (69,), (Kind.STARTER, "/home/me/shop.yaml"), id="the one before"
        ),
        pytest.param(["unshare", "--fork", *INIT], (69, 4), None, id="a starter in a container"),
        pytest.param(["vim", *INIT], (69,), None, id="an editor"),
        pytest.param(MACHINE, (80, 12, 1), (Kind.MACHINE, "cp1"), id="a machine's init"),
        pytest.param(MACHINE, (81, 13, 7), None, id="a child of a machine's init"),
        pytest.param(["unshare", *MACHINE], (79, 11), None, id="what started the machine"),
        pytest.param([], (4,), None, id="a kernel thread, or one that just died"),
        pytest.param(INIT, (), None, id="gone before its status was read"),
    ],
)
def test_what_a_process_is_to_a_lab(argv, pids, expected):
    process = LabProcess(70, expected[0], "shop", expected[1]) if expected else None
    assert classify(70, argv, pids) == process
