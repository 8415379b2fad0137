# ruff: noqa: E501 - a row of a table stays a row
import pytest

from tests.intent.files import mistakes
from wireloom.intent.document import MAX_BYTES, MappingNode, ScalarNode, SequenceNode, read_document
from wireloom.intent.finding import Position

UNREADABLE = {
    "empty": (b"", "1:1", "the file is empty"),
    "comments only": (b"# nothing\n\n", "1:1", "the file is empty"),
    "an empty document": (b"---\n", "1:1", "the file is empty"),
    "a list": (b"- a\n- b\n", "1:1", "expected keys and values at the top of the file, got a list"),
    "a word": (b"\nfleet\n", "2:1", "expected keys and values at the top of the file, got `fleet`"),
    "too large": (b"#" * (MAX_BYTES + 1), "1:1", "the file is larger than 4 MiB"),
    "not UTF-8": (b"a: b\nc: \xe9\n", "2:4", "the file is not UTF-8: byte 0xe9 at offset 8"),
    "half a character": (b"\xef\xbb\xbfa: \xc3", "1:4", "the file is not UTF-8: byte 0xc3 at offset 6"),
    "UTF-16": ("a: b".encode("utf-16"), "1:1", "the file is not UTF-8 but UTF-16"),
    "NUL": (b"a: b\nc: d\0e\n", "2:5", "a control character (U+0000)"),
    "escape": (b"a: \x1b[31m\n", "1:4", "a control character (U+001B)"),
    "tab as indentation": (b"a:\n\tb: c\n", "2:1", "a tab where YAML wants spaces"),
    "bad start": (b"a: @x\n", "1:4", "`@` can't start a value"),
    "bad start behind a byte order mark": ("\ufeffa: @x\n".encode(), "1:4", "`@` can't start a value"),
    "two documents": (b"a: b\n---\nc: d\n", "2:1", "a second document"),
    "bracket left open": (b"a: [b, c\nd: e\n", "2:2", "not YAML: did not find expected ',' or ']'"),
    "quote left open": (b'a: "b\n', "2:1", "not YAML: found unexpected end of stream"),
    "colon in a value": (b"a: b: c\n", "1:5", "not YAML: mapping values are not allowed in this context"),
    "indentation": (b"a:\n  - x\n y: 1\n", "3:2", "not YAML: did not find expected key"),
    "unknown alias": (b"a: *b\n", "1:4", "the alias `*b` stands for nothing before it"),
    "alias in itself": (b"a: &a\n  b: *a\n", "2:6", "the alias `*a` is inside what it stands for"),
    "deep flow": (b"a: " + b"[" * 100_000, "1:23", "lists and mappings nested more than 20 deep"),
    "deep block": (
        b"\n".join(b" " * i + b"a:" for i in range(100)),
        "21:21",
        "lists and mappings nested more than 20 deep",
    ),
}


@pytest.mark.parametrize(("data", "where", "what"), UNREADABLE.values(), ids=UNREADABLE)
def test_one_mistake_when_a_file_cannot_be_read(data: bytes, where: str, what: str) -> None:
    found = mistakes(data)
    assert [(f"fleet.yaml:{where}", what)] == [(one.where, one.what) for one in found]


def test_an_unclosed_bracket_is_told_with_where_it_opened() -> None:
    [found] = mistakes("a: [b, c\nd: e\n")
    assert "line 1, column 4" in found.hint


BOMBS = {
    "aliases of aliases": "a0: &a0 [x]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)),
    "deeper by each alias": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 100)),
    "a large list many times": f"a: &a [{','.join('x' * 50_000)}]\nb: [{','.join(['*a'] * 50)}]\n",
    "a long list": f"a: [{','.join('x' * 600_000)}]\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_it_grows(text: str) -> None:
    [found] = mistakes(text)
    assert found.what.startswith(("more than 500000 values", "lists and mappings nested more than 20 deep"))


REFUSED = {
    "duplicate key": ("a: 1\nb: 2\na: 3\n", (3, 1), "duplicate key `a`: it is at line 1, column 1 already"),
    "duplicate in flow": ("x: { a: 1, 'a': 2 }\n", (1, 12), "duplicate key `a`: it is at line 1, column 6 already"),
    "merge key": ("x: &x { a: 1 }\ny: { <<: *x }\n", (2, 6), "merge keys (`<<`) are not supported"),
    "tag": ("a: !!python/object:os.system x\n", (1, 4), "tags are not supported (`tag:yaml.org,2002:python/object:os.system`)"),
    "list as a key": ("{ [a]: 1 }\n", (1, 3), "a key must be a word, got a list"),
    "mapping as a key": ("{ {a: b}: 1 }\n", (1, 3), "a key must be a word, got a mapping"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "at", "what"), REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_is_refused_and_the_rest_is_read(text: str, at: tuple[int, int], what: str) -> None:
    findings: list = []
    assert read_document(text.encode(), findings) is not None
    assert [(at, what)] == [(one.at, one.what) for one in findings]


READ = {
    "no is a word": ("a: no\n", ScalarNode(Position(1, 4), "no")),
    "a number is a text": ("a: 010\n", ScalarNode(Position(1, 4), "010")),
    "quotes": ("a: 'null'\n", ScalarNode(Position(1, 4), "null", quoted=True)),
    "a byte order mark counts for nothing": ("\ufeffa: b\n", ScalarNode(Position(1, 4), "b")),
    "columns are characters": ("{é: [], a: b}\n", ScalarNode(Position(1, 12), "b")),
    "Windows line ends": ("x: y\r\na: b\r\n", ScalarNode(Position(2, 4), "b")),
    "a list": ("a: [b]\n", SequenceNode(Position(1, 4), (ScalarNode(Position(1, 5), "b"),))),
    "an alias is at its own place": ("x: &x b\na: *x\n", ScalarNode(Position(2, 4), "b")),
    "a quoted <<": ("a: { '<<': b }\n", MappingNode(Position(1, 4), ((ScalarNode(Position(1, 6), "<<", quoted=True), ScalarNode(Position(1, 12), "b")),))),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_nodes_hold_the_text_as_written_and_its_place(text: str, expected: object) -> None:
    findings: list = []
    root = read_document(text.encode(), findings)
    assert findings == []
    assert root is not None
    assert expected == next(value for key, value in root.entries if key.text == "a")


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_null_is_what_is_not_written(text: str) -> None:
    assert ScalarNode(Position(1, 1), text).null
    assert not ScalarNode(Position(1, 1), text, quoted=True).null


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    text = b"a: { b: [1, 'x', ~], c: &c d }\ne: *c\nf: |\n  text\n"
    expected = read_document(text, [])
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert expected == read_document(text, [])


@pytest.mark.parametrize("text", ['a: "\\U99999999"\n', "%YAML 1." + "9" * 5000 + "\n---\na: b\n"])
def test_the_parser_in_python_fails_as_a_mistake(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    monkeypatch.delattr(yaml, "CSafeLoader")
    [found] = mistakes(text)
    assert found.what.startswith("not YAML")
