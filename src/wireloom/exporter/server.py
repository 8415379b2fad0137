"""Hands out the page of metrics over HTTP: never more than what is there already."""

import asyncio
import contextlib
import errno
import gzip
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from wireloom.errors import UserError
from wireloom.exporter.metrics import CONTENT_TYPE
from wireloom.values import Endpoint

PATH = "/metrics"
MAX_HEAD = 16 * 1024
"""Bytes of a request; Prometheus sends a few hundred."""

MAX_READERS = 64
"""Connections at a time; who comes then is hung up on, so that descriptors are left for SSH."""

PATIENCE = 30.0
"""Seconds for a whole conversation."""

REFUSALS = {
    errno.EADDRINUSE: (
        "the address is in use",
        "somebody listens there already, another exporter perhaps: --listen names another port",
    ),
    errno.EACCES: (
        "not permitted to listen there",
        "ports below 1024 are root's: --listen names another one",
    ),
    errno.EADDRNOTAVAIL: (
        "not an address of this machine",
        "--listen names one that is; the underlay's own is there once its interface is up",
    ),
}


@dataclass(frozen=True, slots=True)
class Page:
    """The metrics as text, and the same compressed: made once, read by everybody until the next look."""

    plain: bytes
    compressed: bytes

    @classmethod
    def of(cls, text: bytes) -> "Page":
        """The page with this text."""
        return cls(text, gzip.compress(text, compresslevel=6, mtime=0))


@contextlib.asynccontextmanager
async def serve(listen: Endpoint, page: Callable[[], Page]) -> AsyncIterator[Endpoint]:
    """Answer requests with the present ``page`` as long as the ``async with`` lasts.

    Gives the address in use, whose port is another one where ``listen`` has port 0. Raises UserError where
    nobody can listen there.
    """
    readers: set[asyncio.Task[None]] = set()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # we are in one
        readers.add(task)
        try:
            if len(readers) <= MAX_READERS:
                await _converse(reader, writer, page)
        except asyncio.CancelledError:
            pass  # by ourselves, below; the streams of Python 3.11 would make a noise about it
        finally:
            writer.close()
            readers.discard(task)

    try:
        server = await asyncio.start_server(attend, str(listen.address), listen.port, limit=MAX_HEAD)
    except OSError as error:
        raise _cannot_listen(listen, error) from None
    try:
        yield Endpoint(listen.address, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, page: Callable[[], Page]
) -> None:
    """One request and its answer. Who does not keep to the rules, or leaves, is not worth a word."""
    with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(head, page()))
            await writer.drain()


def answer(head: bytes, page: Page) -> bytes:
    """The whole response to the head of a request (RFC 9112)."""
    first, *lines = head.decode("latin-1").split("\r\n")
    match first.split(" "):
        case [method, target, version] if version.startswith("HTTP/1."):
            path = target.partition("?")[0]
        case _:
            return _response("400 Bad Request", b"not HTTP\n")
    if path not in {PATH, "/"}:
        return _response("404 Not Found", f"the metrics are at {PATH}\n".encode())
    if method not in {"GET", "HEAD"}:
        return _response("405 Method Not Allowed", b"only GET and HEAD\n", "Allow: GET, HEAD")
    if path == "/":
        return _response("302 Found", b"", f"Location: {PATH}")
    body = page.compressed if _takes_gzip(lines) else page.plain
    coding = ("Content-Encoding: gzip",) if body is page.compressed else ()
    whole = _response("200 OK", body, *coding, "Vary: Accept-Encoding", content_type=CONTENT_TYPE)
    return whole if method == "GET" else whole.removesuffix(body)


def _takes_gzip(lines: list[str]) -> bool:
    """Whether ``Accept-Encoding`` names gzip, without refusing it in the same breath (``;q=0``)."""
    headers = [line.partition(":") for line in lines]
    accepted = [value for name, _, value in headers if name.strip().lower() == "accept-encoding"]
    codings = [one.replace(" ", "").lower().split(";") for value in accepted for one in value.split(",")]
    return any(coding == "gzip" and not {"q=0", "q=0.0"} & set(more) for coding, *more in codings)


def _response(
    status: str, body: bytes, *headers: str, content_type: str = "text/plain; charset=utf-8"
) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _cannot_listen(listen: Endpoint, error: OSError) -> UserError:
    otherwise = f"nobody can listen there: {error.strerror}", ""
    what, hint = REFUSALS.get(error.errno or 0, otherwise)
    return UserError.one(what, where=str(listen), hint=hint)
