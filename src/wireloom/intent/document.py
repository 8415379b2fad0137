"""YAML as a tree of nodes that know their place; values stay text until the schema types them.

It is built from the parser's events, without recursion, so that neither deep nesting nor a bomb of
aliases can bring the interpreter down. Of YAML, what makes one text mean two things is refused: duplicate
keys, merge keys, tags, a second document.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from wireloom.intent.finding import START, Finding, Position, show

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 20
MAX_NODES = 500_000  # a fleet of 10,000 machines has about 200,000

# What YAML 1.1, section 5.1, does not count as printable. Surrogates are missing here: UTF-8 has none.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A text, as written between its quotes if it had any."""

    at: Position
    text: str
    quoted: bool = False

    @property
    def null(self) -> bool:
        """Whether nothing was written: empty, ``~`` or ``null``, without quotes."""
        return not self.quoted and self.text in _NULL


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    at: Position
    items: tuple["YamlNode", ...] = ()


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys with values, in the order of the file; no key is there twice."""

    at: Position
    entries: tuple[tuple[ScalarNode, "YamlNode"], ...] = ()


YamlNode = ScalarNode | SequenceNode | MappingNode


class _Unreadable(Exception):
    """The file can't be read any further."""

    def __init__(self, at: Position, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.finding = Finding(at, what, hint)


def read_document(data: bytes, findings: list[Finding]) -> MappingNode | None:
    """Parse the bytes of a file; what is wrong with them is appended to ``findings``.

    Returns None when the file can't be read at all, with the reason in ``findings``.
    """
    try:
        text = _decode(data)
        root = _Builder(text, findings).build()
        if root is None or (isinstance(root, ScalarNode) and root.null):
            raise _Unreadable(START, "the file is empty", "`wireloom init` writes one to start from")
        if not isinstance(root, MappingNode):
            raise _Unreadable(
                root.at,
                f"expected keys and values at the top of the file, got {describe(root)}",
                "a fleet file starts with `fleet: NAME`",
            )
    except _Unreadable as unreadable:
        findings.append(unreadable.finding)
        return None
    return root


def describe(node: YamlNode) -> str:
    """What a node is, in words for a message."""
    match node:
        case MappingNode():
            return "a mapping"
        case SequenceNode():
            return "a list"
        case ScalarNode() if node.null:
            return "nothing"
        case ScalarNode(quoted=True):
            return f"{show(node.text)} in quotes"
    return show(node.text)


def _decode(data: bytes) -> str:
    """The text of the file: UTF-8, with or without a byte order mark, printable, of a sane size."""
    if len(data) > MAX_BYTES:
        raise _Unreadable(
            START, f"the file is larger than {MAX_BYTES // 1024**2} MiB", "is it the right file?"
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _Unreadable(START, "the file is not UTF-8 but UTF-16", "save it as UTF-8")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        at = _place(data[: error.start].decode())
        what = f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        raise _Unreadable(at, what, "save it as UTF-8") from None
    text = text.removeprefix("\ufeff")
    if bad := _UNPRINTABLE.search(text):
        at = _place(text[: bad.start()])
        raise _Unreadable(at, f"a control character (U+{ord(bad.group()):04X})", "remove it")
    return text


def _place(before: str) -> Position:
    """The position right after the text ``before``."""
    lines = _LINE_BREAK.split(before.removeprefix("\ufeff"))
    return Position(len(lines), len(lines[-1]) + 1)


class _Frame:
    """A list or mapping that is still open."""

    __slots__ = ("anchor", "at", "children", "height", "is_mapping", "size_before")

    def __init__(self, at: Position, anchor: str | None, *, is_mapping: bool, size_before: int) -> None:
        self.at = at
        self.anchor = anchor
        self.is_mapping = is_mapping
        self.size_before = size_before
        self.children: list[YamlNode] = []  # of a mapping: key, value, key, value …
        self.height = 1


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A node that aliases may stand for: how many nodes and levels each use of it adds."""

    node: YamlNode
    size: int
    height: int


class _Builder:
    """Turns parser events into nodes."""

    def __init__(self, text: str, findings: list[Finding]) -> None:
        self._text = text
        self._findings = findings
        self._open: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}  # None: still open
        self._size = 0
        self._root: YamlNode | None = None
        self._documents = 0

    def build(self) -> YamlNode | None:
        """The tree of the only document; None when there is none. Raises _Unreadable."""
        # Loaded late: the commands that read no fleet (--help, schema) don't pay for it.
        import yaml

        act: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start_mapping,
            yaml.SequenceStartEvent: self._start_sequence,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            for event in yaml.parse(self._text, Loader=loader):
                if action := act.get(type(event)):
                    action(event)
        except yaml.MarkedYAMLError as error:
            raise _explain(error, self._text) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The parser in Python, which stands in for libyaml, lets int() and chr() fail in its escapes.
            raise _Unreadable(START, f"not YAML: {error}") from None
        return self._root

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _Unreadable(_mark(event), "a second document", "one fleet to a file: remove the `---`")

    def _scalar(self, event: Any) -> None:
        at = self._enter(event)
        node = ScalarNode(at, event.value, bool(event.style))
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, 1, 0)
        self._add(node)

    def _start_mapping(self, event: Any) -> None:
        self._start(event, is_mapping=True)

    def _start_sequence(self, event: Any) -> None:
        self._start(event, is_mapping=False)

    def _start(self, event: Any, *, is_mapping: bool) -> None:
        before = self._size
        at = self._enter(event)
        self._check_depth(at, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Frame(at, event.anchor, is_mapping=is_mapping, size_before=before))

    def _end(self, _event: Any) -> None:
        frame = self._open.pop()
        node: YamlNode
        if frame.is_mapping:
            node = MappingNode(frame.at, self._entries(frame))
        else:
            node = SequenceNode(frame.at, tuple(frame.children))
        if frame.anchor is not None:
            self._anchors[frame.anchor] = _Anchored(node, self._size - frame.size_before, frame.height)
        self._add(node, frame.height)

    def _alias(self, event: Any) -> None:
        at = _mark(event)
        if event.anchor not in self._anchors:
            raise _Unreadable(at, f"the alias {show('*' + event.anchor)} stands for nothing before it")
        target = self._anchors[event.anchor]
        if target is None:
            raise _Unreadable(at, f"the alias {show('*' + event.anchor)} is inside what it stands for")
        self._grow(at, target.size)
        self._check_depth(at, target.height)
        self._add(replace(target.node, at=at), target.height)

    def _enter(self, event: Any) -> Position:
        """Count a node that is written out, and refuse a tag on it."""
        at = _mark(event)
        self._grow(at, 1)
        if event.tag is not None:
            self._refuse(at, f"tags are not supported ({show(event.tag)})", "write the value without it")
        return at

    def _grow(self, at: Position, size: int) -> None:
        self._size += size
        if self._size > MAX_NODES:
            raise _Unreadable(at, f"more than {MAX_NODES} values, those that aliases repeat included")

    def _check_depth(self, at: Position, more: int) -> None:
        if len(self._open) + more > MAX_DEPTH:
            raise _Unreadable(at, f"lists and mappings nested more than {MAX_DEPTH} deep")

    def _add(self, node: YamlNode, height: int = 0) -> None:
        if not self._open:
            self._root = node
            return
        frame = self._open[-1]
        frame.children.append(node)
        frame.height = max(frame.height, height + 1)

    def _entries(self, frame: _Frame) -> tuple[tuple[ScalarNode, YamlNode], ...]:
        """The entries of a mapping, without those whose key is refused."""
        first: dict[str, ScalarNode] = {}
        entries: list[tuple[ScalarNode, YamlNode]] = []
        for key, value in zip(frame.children[::2], frame.children[1::2], strict=True):
            if not isinstance(key, ScalarNode):
                self._refuse(
                    key.at, f"a key must be a word, got {describe(key)}", "are there braces too many?"
                )
            elif key.text == "<<" and not key.quoted:
                self._refuse(key.at, "merge keys (`<<`) are not supported", "write the keys out")
            elif key.text in first:
                line, column = first[key.text].at
                what = f"duplicate key {show(key.text)}: it is at line {line}, column {column} already"
                self._refuse(key.at, what, "remove or rename one of them")
            else:
                first[key.text] = key
                entries.append((key, value))
        return tuple(entries)

    def _refuse(self, at: Position, what: str, hint: str) -> None:
        self._findings.append(Finding(at, what, hint))


def _mark(event: Any) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1)


_SYNTAX_HINTS = {
    "mapping values are not allowed in this context": "put quotes around a value that holds `: `",
    "did not find expected key": "check the indentation: the keys of a mapping start in one column",
    "did not find expected '-' indicator": "check the indentation: the items of a list start in one column",
    "did not find expected ',' or ']'": "a comma or a closing bracket is missing",
    "did not find expected ',' or '}'": "a comma or a closing brace is missing",
    "could not find expected ':'": "a key needs a colon and a space after it",
    "found unexpected end of stream": "a closing quote is missing",
}


def _explain(error: Any, text: str) -> _Unreadable:
    """A syntax error of the parser, in words that help."""
    mark = error.problem_mark or error.context_mark
    at = START if mark is None else Position(mark.line + 1, mark.column + 1)
    problem = error.problem or "not YAML"
    lines = _LINE_BREAK.split(text)
    rest = lines[at.line - 1][at.column - 1 :] if at.line <= len(lines) else ""
    if rest.startswith("\t"):
        return _Unreadable(at, "a tab where YAML wants spaces", "indent with spaces")
    if "cannot start any token" in problem:
        return _Unreadable(at, f"{show(rest[:1])} can't start a value", "put quotes around the value")
    hint = _SYNTAX_HINTS.get(problem, "")
    start = error.context_mark
    if start is not None and start.line + 1 != at.line:
        began = f"{error.context}, which begins at line {start.line + 1}, column {start.column + 1}"
        hint = f"{hint} ({began})" if hint else began
    return _Unreadable(at, f"not YAML: {problem}", hint)
