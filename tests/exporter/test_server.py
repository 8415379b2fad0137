"""The server, over loopback: answers what is there, at once, and nothing else."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from wireloom.errors import UserError
from wireloom.exporter import server
from wireloom.exporter.server import MAX_HEAD, Page, answer, serve
from wireloom.values import Endpoint

LOOPBACK = Endpoint(ip_address("127.0.0.1"), 0)
PAGE = Page.of(b"metric 1\n")
WAIT = 20.0


@asynccontextmanager
async def served(page: Page = PAGE) -> AsyncIterator[Endpoint]:
    async with asyncio.timeout(WAIT), serve(LOOPBACK, lambda: page) as address:
        yield address


async def talk(address: Endpoint, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(str(address.address), address.port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), WAIT)
    except ConnectionResetError:  # hung up on with our request unread
        return b""
    finally:
        writer.close()


def get(path: str = "/metrics", *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def parts(response: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


async def test_a_scrape_gets_the_page() -> None:
    async with served() as address:
        status, headers, body = parts(await talk(address, get()))
    assert (status, body) == (200, b"metric 1\n")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["Content-Length"] == "9"


async def test_every_scrape_gets_the_page_as_it_is_then() -> None:
    pages = iter([Page.of(b"one 1\n"), Page.of(b"two 2\n")])
    async with serve(LOOPBACK, lambda: next(pages)) as address:
        assert [parts(await talk(address, get()))[2] for _ in "ab"] == [b"one 1\n", b"two 2\n"]


async def test_who_says_nothing_holds_nobody_up() -> None:
    async with served() as address:
        silent = [await asyncio.open_connection(str(address.address), address.port) for _ in range(5)]
        assert parts(await talk(address, get()))[0] == 200
        for _, writer in silent:
            writer.close()


async def test_who_says_nothing_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as address:
        reader, writer = await asyncio.open_connection(str(address.address), address.port)
        writer.write(b"GET /metrics HTTP/1.1\r\n")
        assert parts(await talk(address, get()))[0] == 200
    assert await asyncio.wait_for(reader.read(), WAIT) == b""
    writer.close()
    assert caplog.text == ""


async def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.05)
    async with served() as address:
        assert await talk(address, b"GET /metrics HTTP/1.1\r\n") == b""


async def test_too_many_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_READERS", 2)
    async with served() as address:
        held = [await asyncio.open_connection(str(address.address), address.port) for _ in range(2)]
        assert await talk(address, get()) == b""
        for _, writer in held:
            writer.close()


async def test_a_head_without_end_is_not_kept() -> None:
    async with served() as address:
        assert await talk(address, b"GET /" + b"a" * (4 * MAX_HEAD)) == b""
        assert parts(await talk(address, get()))[0] == 200


async def test_a_port_that_is_taken_is_told() -> None:
    async with served() as address:
        with pytest.raises(UserError) as raised:
            async with serve(address, lambda: PAGE):
                pass
    assert str(raised.value).startswith(f"{address}: the address is in use\n    somebody listens there")


async def test_an_address_of_somebody_else_is_told() -> None:
    with pytest.raises(UserError, match=r"192\.0\.2\.1:9952: not an address of this machine"):
        async with serve(Endpoint(ip_address("192.0.2.1"), 9952), lambda: PAGE):
            pass


ANSWERS: dict[str, tuple[int, bytes]] = {
    "with a query": (200, get("/metrics?name[]=x")),
    "without a body": (200, get(method="HEAD")),
    "the root": (302, get("/")),
    "another path": (404, get("/etc/passwd")),
    "a path that only begins so": (404, get("/metrics/x")),
    "another method": (405, get(method="POST")),
    "no HTTP": (400, b"SSH-2.0-x\r\n\r\n"),
    "another HTTP": (400, b"PRI * HTTP/2.0\r\n\r\n"),
    "no line": (400, b"\r\n\r\n"),
    "no text": (400, b"\xff\xfe\r\n\r\n"),
}


@pytest.mark.parametrize(("expected", "head"), ANSWERS.values(), ids=ANSWERS)
def test_answers(expected: int, head: bytes) -> None:
    assert parts(answer(head, PAGE))[0] == expected


def test_head_has_the_headers_of_get() -> None:
    assert answer(get(method="HEAD"), PAGE) + PAGE.plain == answer(get(), PAGE)


CODINGS = {
    "prometheus": (True, "Accept-Encoding: gzip"),
    "in any case": (True, "accept-encoding: GZIP"),
    "among others": (True, "Accept-Encoding: deflate, gzip;q=0.8, br"),
    "refused": (False, "Accept-Encoding: gzip;q=0, identity"),
    "another": (False, "Accept-Encoding: zstd"),
    "another header": (False, "X-Encoding: gzip"),
}


@pytest.mark.parametrize(("compressed", "header"), CODINGS.values(), ids=CODINGS)
def test_who_takes_gzip_gets_it(compressed: bool, header: str) -> None:
    _, headers, body = parts(answer(get("/metrics", header), PAGE))
    assert (headers.get("Content-Encoding") == "gzip") == compressed
    assert (gzip.decompress(body) if compressed else body) == PAGE.plain
    assert headers["Content-Length"] == str(len(body))
