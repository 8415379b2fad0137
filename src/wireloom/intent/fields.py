"""Tables of fields: what a key is called, what its value may be, and what stands for it when it is left out.

One table serves both the reading of a file and its JSON Schema, so that the two can't disagree. A ``Kind``
reads a node and describes itself; a ``Field`` is a key with a kind, and the typed handle to its value in
``Values``.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from wireloom.intent.document import MappingNode, ScalarNode, SequenceNode, YamlNode, describe
from wireloom.intent.finding import Finding, Located, Position, Refused, ask_for, closest, show

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JsonSchema = dict[str, object]
# Looking for the key that was meant is slow: with this many mistakes in one place the file is another one.
GUESSES = 100

Json = None | bool | int | str | list[Any] | dict[str, Any]


class Kind(Protocol[T_co]):
    """A type of value."""

    @property
    def wanted(self) -> str:
        """What is expected, as in ``expected a list of addresses``."""
        ...

    def parse(self, node: YamlNode, findings: list[Finding]) -> T_co | None:
        """The value, or None with the reason in ``findings``."""
        ...

    def schema(self) -> JsonSchema:
        """The JSON Schema of what ``parse`` takes."""
        ...


@dataclass(frozen=True, slots=True)
class Scalar(Generic[T]):
    """A text that ``read`` turns into a value, or refuses with Refused.

    ``bare``: only without quotes, as a number and a truth value are in YAML.
    """

    wanted: str
    read: Callable[[str], T]
    shape: JsonSchema
    bare: bool = False

    def parse(self, node: YamlNode, findings: list[Finding]) -> T | None:
        """The value that ``read`` makes of a scalar."""
        if not isinstance(node, ScalarNode) or node.null:
            findings.append(Finding(node.at, f"expected {self.wanted}, got {describe(node)}"))
            return None
        if self.bare and node.quoted:
            what = f"expected {self.wanted}, got {describe(node)}"
            findings.append(Finding(node.at, what, f"write it without quotes: {node.text}"))
            return None
        try:
            return self.read(node.text)
        except Refused as refused:
            findings.append(Finding(node.at, refused.what, refused.hint))
            return None

    def schema(self) -> JsonSchema:
        """The shape given."""
        return dict(self.shape)


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list, each item once. The items that can't be read are left out of the value, and reported."""

    item: Kind[T]
    wanted: str

    def parse(self, node: YamlNode, findings: list[Finding]) -> tuple[Located[T], ...] | None:
        """The items with their places."""
        if not isinstance(node, SequenceNode):
            written = node.text if isinstance(node, ScalarNode) and len(node.text) < 60 else "ONE, TWO"
            hint = f"write it in brackets: [{written}]"
            findings.append(Finding(node.at, f"expected {self.wanted}, got {describe(node)}", hint))
            return None
        found: dict[T, Located[T]] = {}
        for child in node.items:
            value = self.item.parse(child, findings)
            if value is None:
                continue
            if value in found:
                what = f"{show(str(value))} is in this list twice"
                findings.append(Finding(child.at, what, "remove one of them"))
                continue
            found[value] = Located(value, child.at)
        return tuple(found.values())

    def schema(self) -> JsonSchema:
        """An array of the item's schema."""
        return {"type": "array", "items": self.item.schema(), "uniqueItems": True}


@dataclass(frozen=True, slots=True, eq=False)
class Field(Generic[T]):
    """A key of a record. ``default`` is what the file could have said instead of leaving the key out.

    A key without a default that is left out, or null, has the value None.
    """

    key: str
    kind: Kind[T]
    description: str
    default: Json = None
    required: bool = False
    nullable: bool = True

    def schema(self) -> JsonSchema:
        """The kind's schema with the description, the default and, if optional, null."""
        shape = self.kind.schema()
        if self.nullable and not self.required:
            shape = _or_null(shape)
        shape["description"] = self.description
        if self.default is not None:
            shape["default"] = self.default
        return shape


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a record that were read, each by its Field.

    ``sound`` says that nothing in the record was refused: only then is every required value there.
    ``meant`` are the keys that unknown ones were told to be perhaps.
    """

    at: Position
    found: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Position] = field(default_factory=dict)
    sound: bool = True
    meant: Collection[str] = ()

    def get(self, key: Field[T]) -> T | None:
        """The value given or the default; None when there is neither, or it was refused."""
        value: T | None = self.found.get(key.key)
        return value

    def __getitem__(self, key: Field[T]) -> T:
        """The value of a key that is required or has a default, in a sound record."""
        value: T = self.found[key.key]
        return value

    def gave(self, key: Field[Any]) -> bool:
        """Whether the file holds the key, with null or anything else."""
        return key.key in self.places

    def misspelt(self, key: Field[Any]) -> bool:
        """Whether the key is there in another spelling only, which is told as an unknown key."""
        return key.key in self.meant and not self.gave(key)

    def place(self, key: Field[Any]) -> Position:
        """Where the value is written; where the record starts when it is not."""
        return self.places.get(key.key, self.at)


def missing(key: Field[Any], at: Position, record: str) -> Finding:
    """A key is needed that the file does not hold. ``record``: what it calls the mapping."""
    return Finding(at, f"`{key.key}` is missing in {record}", key.description)


def empty(key: Field[Any], at: Position) -> Finding:
    """A key is needed that the file holds without a value."""
    return Finding(at, f"`{key.key}` is empty", key.description)


class Record:
    """A mapping with fixed keys."""

    def __init__(self, called: str, *fields: Field[Any]) -> None:
        self.called = called
        self.wanted = "a mapping"
        self._fields = {one.key: one for one in fields}

    def parse(self, node: YamlNode, findings: list[Finding]) -> Values:
        """The values of the keys that could be read; unsound and empty when it is not a mapping."""
        if not isinstance(node, MappingNode):
            hint = f"known keys: {', '.join(self._fields)}" if self._fields else "write {}"
            findings.append(Finding(node.at, f"expected {self.wanted}, got {describe(node)}", hint))
            return Values(node.at, sound=False)
        before = len(findings)
        found: dict[str, object] = {}
        places: dict[str, Position] = {}
        meant: set[str] = set()
        for key, child in node.entries:
            known = self._fields.get(key.text)
            if known is None:
                guess = closest(key.text, list(self._fields)) if len(findings) - before < GUESSES else None
                findings.append(self._unknown(key, guess))
                meant |= {guess} if guess else set()
                continue
            places[key.text] = child.at
            if not (isinstance(child, ScalarNode) and child.null and known.nullable):
                found[key.text] = known.kind.parse(child, findings)
            elif known.required:
                findings.append(empty(known, child.at))
        self._fill(node.at, found, places.keys() | meant, findings)
        return Values(node.at, found, places, sound=len(findings) == before, meant=meant)

    def _fill(
        self,
        at: Position,
        found: dict[str, object],
        told: Collection[str],
        findings: list[Finding],
    ) -> None:
        """Put in the defaults of what is not there, and report what is needed and not ``told`` of."""
        for one in self._fields.values():
            if one.key in found:
                continue
            if one.default is not None:
                found[one.key] = one.kind.parse(_as_node(one.default, at), findings)
            elif one.required and one.key not in told:
                findings.append(missing(one, at, self.called))

    def _unknown(self, key: ScalarNode, guess: str | None) -> Finding:
        known = list(self._fields)
        hint = f"known keys: {', '.join(known)}" if known else f"{self.called} has no keys yet: write {{}}"
        return Finding(key.at, f"unknown key {show(key.text)}{ask_for(guess)}", hint)

    def schema(self) -> JsonSchema:
        """An object with these properties and no others."""
        shape: JsonSchema = {
            "type": "object",
            "properties": {one.key: one.schema() for one in self._fields.values()},
            "additionalProperties": False,
        }
        if required := [one.key for one in self._fields.values() if one.required]:
            shape["required"] = required
        return shape


@dataclass(frozen=True, slots=True)
class Entry(Generic[T_co]):
    """A named value of a table: ``at`` is the place of its name."""

    name: str
    at: Position
    value: T_co


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """A mapping whose keys are names that the operator gives."""

    called: str
    name: Scalar[str]
    row: Kind[T]

    @property
    def wanted(self) -> str:
        """What is expected."""
        return f"a mapping of names to {self.called}"

    def parse(self, node: YamlNode, findings: list[Finding]) -> tuple[Entry[T], ...] | None:
        """The entries whose value has the right shape, in the order of the file."""
        if not isinstance(node, MappingNode):
            findings.append(Finding(node.at, f"expected {self.wanted}, got {describe(node)}"))
            return None
        entries = []
        for key, child in node.entries:
            # A key is a name whatever it looks like: `no` and `null` are not special here.
            self.name.parse(ScalarNode(key.at, key.text, quoted=True), findings)
            # `sin:` with nothing after it is a row without keys: YAML's block style invites to it.
            empty = isinstance(child, ScalarNode) and child.null
            value = self.row.parse(MappingNode(child.at) if empty else child, findings)
            if value is not None:
                entries.append(Entry(key.text, key.at, value))
        return tuple(entries)

    def schema(self) -> JsonSchema:
        """An object whose property names are names."""
        return {
            "type": "object",
            "propertyNames": self.name.schema(),
            "additionalProperties": _or_null(self.row.schema()),
        }


@dataclass(frozen=True, slots=True)
class NotYet(Generic[T]):
    """A value that is checked like any other and then refused, unless it asks for nothing."""

    kind: Kind[T]
    what: str

    @property
    def wanted(self) -> str:
        """What is expected."""
        return self.kind.wanted

    def parse(self, node: YamlNode, findings: list[Finding]) -> T | None:
        """The value, which is empty or false."""
        value = self.kind.parse(node, findings)
        if value:
            findings.append(Finding(node.at, f"{self.what} not supported yet", "remove it for now"))
        return value

    def schema(self) -> JsonSchema:
        """What the kind takes: a value that is not supported yet is not a mistake of form."""
        return self.kind.schema()


def _or_null(shape: JsonSchema) -> JsonSchema:
    """The same schema with null allowed beside it."""
    if isinstance(shape.get("type"), str):
        widened = {**shape, "type": [shape["type"], "null"]}
        if isinstance(enum := shape.get("enum"), list):
            widened["enum"] = [*enum, None]
        return widened
    if isinstance(options := shape.get("anyOf"), list):
        return {**shape, "anyOf": [*options, {"type": "null"}]}
    return {"anyOf": [shape, {"type": "null"}]}


def _as_node(value: Json, at: Position) -> YamlNode:
    """The node that a file with this default written out would hold."""
    match value:
        case list():
            return SequenceNode(at, tuple(_as_node(one, at) for one in value))
        case dict():
            entries = ((ScalarNode(at, key), _as_node(one, at)) for key, one in value.items())
            return MappingNode(at, tuple(entries))
        case bool():
            return ScalarNode(at, "true" if value else "false")
    return ScalarNode(at, "" if value is None else str(value))
