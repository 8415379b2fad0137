# ruff: noqa: E501 - a row of a table stays a row
"""The words of the field: what is one, and how it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireloom.values import Endpoint, PublicKey

KEY = "vczH6YJzRo7zAvOJMtW3w5TSG21zUFpNCs4u2G9Sjl0="

NO_KEYS = {
    "empty": "",
    "too short": KEY[4:],
    "too long": "AAAA" + KEY,
    "no padding": KEY[:-1],
    "a space": " " + KEY,
    "a new line": KEY + "\n",
    "another alphabet": "_" + KEY[1:],
    "not ASCII": "é" + KEY[1:],
    "bits that are lost": KEY[:-2] + "1=",
    "(none)": "(none)",
}


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(ValueError, match="44 characters of base64"):
        PublicKey(text)


def test_a_public_key_is_written_as_it_was_read() -> None:
    assert str(PublicKey(KEY)) == KEY


@pytest.mark.parametrize(
    "text", ["192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%eth0]:1", "192.0.2.1:65535"]
)
def test_an_endpoint_is_written_as_wg_writes_it(text: str) -> None:
    assert text == str(Endpoint.parse(text))


NO_ENDPOINTS = ["", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:-1", "192.0.2.1:65536", "192.0.2.1: 1", "host:1", "192.0.2.1:1_0", "192.0.2.1:\u0661"]  # fmt: skip


@pytest.mark.parametrize("text", NO_ENDPOINTS)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError):
        Endpoint.parse(text)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_any_endpoint_comes_back(address: object, port: int) -> None:
    endpoint = Endpoint(address, port)  # type: ignore[arg-type]
    assert endpoint == Endpoint.parse(str(endpoint))
