"""Whatever the bytes are: a Fleet comes out, or diagnostics."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.intent.files import PATH, WHOLE, mistakes, nodes
from wireloom.errors import Severity, UserError
from wireloom.intent.access import fold_host, parse_host
from wireloom.intent.finding import Refused
from wireloom.intent.fleet import Fleet
from wireloom.intent.load import parse_fleet
from wireloom.intent.scalars import parse_address

LINES = WHOLE.splitlines()
WORDS = [
    *(
        "fleet",
        "nodes",
        "sites",
        "x",
        "~",
        "null",
        "no",
        "1",
        "-1",
        "0x1f",
        "1e9",
        "''",
        "10.0.0.1",
        "root@h",
    ),
    *(
        "&a ",
        "*a",
        "<<",
        "!!int ",
        "'",
        '"',
        ":",
        ": ",
        "- ",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\n",
        "  ",
        "\t",
    ),
    *("#", "|", ">", "---", "...", "%YAML 1.1", "\\x00", "é", "10.0.0.0/8", "::", "@", "$("),
]

fast = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def read(data: bytes) -> None:
    try:
        loaded = parse_fleet(data, PATH)
    except UserError as error:
        found = error.diagnostics
    else:
        assert isinstance(loaded.fleet, Fleet)
        return
    assert any(one.severity is Severity.ERROR for one in found)
    assert all(one.where.startswith("fleet.yaml:") and one.what for one in found)
    assert all(line.isprintable() for one in found for line in str(one).splitlines())


@given(st.binary(max_size=200))
@fast
def test_random_bytes(data: bytes) -> None:
    read(data)


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
@example("fleet: &a [*a]")
@fast
def test_what_looks_like_yaml(text: str) -> None:
    read(text.encode())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The whole file, with some parts cut out, doubled or replaced by words."""
    text = WHOLE
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        new = draw(st.one_of(st.sampled_from(WORDS), st.just(text[start:end] * 2), st.text(max_size=5)))
        text = text[:start] + new + text[end:]
    return text.encode(errors="surrogatepass")


@given(mutated())
@fast
def test_a_right_file_with_something_wrong(data: bytes) -> None:
    read(data)


values = st.recursive(
    st.sampled_from(WORDS[:14]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["site", "public", "host", "x"]), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{k}: {v}" for k, v in items.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.integers(0, len(LINES) - 1), values)
@fast
def test_a_value_of_another_type(index: int, value: str) -> None:
    key = LINES[index].split(":")[0]
    read("\n".join([*LINES[:index], f"{key}: {value}", *LINES[index + 1 :]]).encode())


hosts = (
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True)
    | st.ip_addresses().map(str)
    | st.ip_addresses(v=4).map("::ffff:{}".format)
)


@given(hosts)
@fast
def test_a_host_has_one_spelling_whatever_its_case_and_its_last_dot(host: str) -> None:
    try:
        told = parse_host(host)
    except Refused:
        assume(False)
    folded = fold_host(told)
    assert fold_host(parse_host(folded)) == folded
    if ":" not in told:
        assert fold_host(told.upper()) == folded
        assert fold_host(f"{told}.") == folded or told.endswith(".")


@given(st.ip_addresses(v=4))
@fast
def test_an_ipv4_address_in_ipv6_spelling_is_told_as_it_should_be_written(address: IPv4Address) -> None:
    for spelling in (f"::ffff:{address}", str(IPv6Address(0xFFFF << 32 | int(address)))):
        with pytest.raises(Refused) as refused:
            parse_address(spelling)
        assert refused.value.hint == f"write {address}"


@given(st.sampled_from(["10.0.0.0/{}", "fd00:1::/{}"]), st.integers(0, 7), st.integers(0, 127), st.booleans())
@fast
def test_a_private_address_is_a_hosts(where: str, bits: int, offset: int, last: bool) -> None:
    """Python's own list of the hosts of a network says which."""
    length = (128 if ":" in where else 32) - bits
    network = ip_network(where.format(length))
    size = network.num_addresses
    address = network[size - 1 if last else offset % size]
    text = nodes(f"x: {{ site: a, private: ['{address}'] }}", sites=f"{{ a: {{ private: ['{network}'] }} }}")
    assert (mistakes(text) == ()) == (address in list(network.hosts()))
