"""The shell functions that go to nodes, from the files beside the code."""

from importlib.resources import files


def read_functions(package: str, name: str) -> str:
    """A file of shell functions, without its comments: it is sent again and again."""
    lines = (files(package) / name).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
