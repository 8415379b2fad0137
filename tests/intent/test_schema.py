"""The JSON Schema and the loader are made of one table; here they are held against each other."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.intent.files import EXAMPLE, WHOLE, mistakes, whole
from tests.intent.test_mistakes import VALUES
from wireloom.intent.document import MappingNode, ScalarNode, YamlNode, read_document
from wireloom.intent.schema import json_schema
from wireloom.intent.template import SCHEMA_FILE, TEMPLATE

VALIDATOR = Draft202012Validator(json_schema())


def as_editor_reads(node: YamlNode) -> Any:
    """The JSON value of a node by YAML 1.2's core schema, which editors go by."""
    if isinstance(node, MappingNode):
        return {key.text: as_editor_reads(value) for key, value in node.entries}
    if not isinstance(node, ScalarNode):
        return [as_editor_reads(item) for item in node.items]
    if node.null:
        return None
    if not node.quoted and re.fullmatch(r"-?[0-9]{1,9}", node.text):
        return int(node.text)
    if not node.quoted and node.text in ("true", "false"):
        return node.text == "true"
    return node.text


def complaints(text: str) -> list[str]:
    findings: list = []
    root = read_document(text.encode(), findings)
    assert root is not None
    return [one.message for one in VALIDATOR.iter_errors(as_editor_reads(root))]


def test_it_is_a_schema_and_plain_json() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


GOOD = {"example": EXAMPLE.read_text(), "template": TEMPLATE, "every key": WHOLE}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_loads_is_valid(text: str) -> None:
    assert mistakes(text) == ()
    assert complaints(text) == []


NULLS = ["port: 51821", "preshared_keys: false", "private: [10.0.0.0/16, \"fd00:1::/64\"]", "subnets: []",
         "nat: true", "mtu: 1400", "roles: [k3s-server]", "devices: {}", "cni: flannel"]  # fmt: skip


@pytest.mark.parametrize("value", NULLS)
def test_null_for_a_value_that_may_be_left_out_is_valid(value: str) -> None:
    text = whole(value, value.split(":", maxsplit=1)[0] + ": ~")
    form = [
        one.what
        for one in mistakes(text)
        if "private ranges" not in one.what and one.what != "no node has a role"
    ]
    assert form == []
    assert complaints(text) == []


# Known only to `check`: how a number is spelt, which addresses are special, what is not there yet, what
# values say about each other. And a line end behind a name: Python's `$` allows it, JavaScript's does not.
BEYOND = {
    "port octal", "port huge", "interface lo", "interface of flannel", "port of VXLAN",
    "ipv4 host bits", "ipv4 long prefix", "ipv4 too small", "ipv4 is IPv6", "ipv4 everything",
    "ipv4 loopback", "ipv4 multicast", "ipv4 link-local", "ipv6 too small", "ipv6 link-local",
    "ipv6 is IPv4", "ipv6 is IPv4, mapped", "ipv6 around what is mapped", "ipv6 holds what is mapped",
    "a private range mapped", "mtu too low for IPv6", "preshared keys", "subnets", "unknown site",
    "two roles", "cni", "ranges not a list", "fleet with a line end",
    "a backend that encrypts again", "a backend that does not encrypt", "a backend of another plugin",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(VALUES.keys() - BEYOND))
def test_a_wrong_value_is_wrong_in_the_editor_too(name: str) -> None:
    old, new, _, _ = VALUES[name]
    assert complaints(whole(old, new))


def objects(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object in the schema, with a path to it."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield path, schema
        for key, value in schema.items():
            yield from objects(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from objects(value, f"{path}/{index}")


def test_every_key_is_described_and_no_other_is_allowed() -> None:
    found = dict(objects(json_schema()))
    assert len(found) == 9
    assert all(one["additionalProperties"] is False for one in found.values())
    assert all(
        key["description"].endswith(".") for one in found.values() for key in one["properties"].values()
    )


def test_the_template_asks_the_editor_for_the_schema() -> None:
    assert TEMPLATE.splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA_FILE}"


def test_the_template_uses_documentation_addresses_only() -> None:
    found = re.findall(r"\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\b", TEMPLATE)
    assert found
    assert all(one.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "10.")) for one in found)


def test_the_optional_lines_of_the_template_are_right_too() -> None:
    text = re.sub(r"^(\s*)# (?=(ipv6|mtu|office|ssh|kubernetes): )", r"\1", TEMPLATE, flags=re.MULTILINE)
    assert text.count("#") == TEMPLATE.count("#") - 5
    assert mistakes(text) == ()
