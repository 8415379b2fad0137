"""The operator's own files: what is put where something else than a plain file stands."""

import os
import stat
from pathlib import Path

import pytest

from wireloom.disk import put_file


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert put_file(pipe, b"a plan", mode=0o644)
        assert os.read(reader, 100) == b"a plan"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("was", [b"the plan before", None], ids=["to a file", "to nothing yet"])
def test_a_link_stays_one(was: bytes | None, tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "elsewhere" / "file"
    file.parent.mkdir()
    if was is not None:
        file.write_bytes(was)
    link.symlink_to("elsewhere/file")
    assert put_file(link, b"a plan", mode=0o644)
    assert link.is_symlink()
    assert file.read_bytes() == b"a plan"


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        put_file(tmp_path, b"a plan", mode=0o644)
    assert list(tmp_path.iterdir()) == []
