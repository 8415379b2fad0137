"""``wireloom exporter``: metrics for Prometheus, from looks at the machines that no scrape brings about."""

import asyncio
import contextlib
import time
from typing import Any

import click

from wireloom.cli.lookout import Lookout
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.terms import Seconds
from wireloom.cli.world import run_async
from wireloom.exporter.metrics import render
from wireloom.exporter.server import PATH, Page, serve
from wireloom.exporter.snapshot import Snapshot
from wireloom.report.terminal import Progress, say
from wireloom.values import Endpoint

LISTEN = "127.0.0.1:9952"
EVERY = 60
LEAST_PAUSE = 1.0
"""Seconds between two looks, where one takes longer than there is time for."""


class ListenAddress(click.ParamType[Endpoint]):
    """``ADDRESS:PORT``; port 0 is any that is free."""

    name = "address:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Endpoint:
        """The address and port. A host's name is not looked up: it may stand for more than one address."""
        try:
            return Endpoint.parse(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an address and a port: {LISTEN} or [::1]:9952, say.", param, ctx)


@click.command("exporter", cls=Verb)
@click.option("--listen", type=ListenAddress(), help=f"Where the metrics are read.  [default: {LISTEN}]")
@click.option("--every", type=Seconds(), help=f"The time between two looks; 5s to 60m.  [default: {EVERY}s]")
@click.option("--once", is_flag=True, help="Look once, print the metrics on stdout, and end.")
@click.option("--per-peer", is_flag=True, help="Tell of every pair of nodes, too: four series for each.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact.")
@settings_of
def command(
    settings: Settings, *, listen: Endpoint | None, every: int | None, once: bool, per_peer: bool, yes: bool
) -> int:
    """Serve metrics for Prometheus: reachability, handshakes, traffic, drift, the last verdicts of verify.

    Looks at the machines every 60 s over connections that stay open, and changes nothing. A scrape reads
    what the last look found. The fleet file and its lock are read again before each look.

    Ctrl-C and SIGTERM are the usual end of it: exit code 0. With --once machines that do not answer are
    metrics like any other, and no reason for another exit code.
    """
    if once and (listen is not None or every is not None):
        raise click.UsageError("--listen and --every make no sense with --once")
    lookout = Lookout(settings, yes=yes, patient=not once)
    if once:
        click.echo(run_async(_look_once(lookout, settings, per_peer=per_peer)), nl=False)
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        run_async(
            _serve(lookout, settings, listen or Endpoint.parse(LISTEN), every or EVERY, per_peer=per_peer)
        )
    return 0


async def _look_once(lookout: Lookout, settings: Settings, *, per_peer: bool) -> str:
    with Progress(quiet=settings.quiet) as progress:
        progress("looking at the machines")
        async with lookout:
            return render(await lookout.look(), per_peer=per_peer).decode()


async def _serve(
    lookout: Lookout, settings: Settings, listen: Endpoint, every: int, *, per_peer: bool
) -> None:
    """Until it is cancelled. Who listens is known before a machine is dialled."""
    page = _make_page(None, per_peer)
    async with serve(listen, lambda: page) as address, lookout:
        if not settings.quiet:
            say(f"Metrics at http://{address}{PATH}, a look every {every} s.")
        while True:
            began = time.monotonic()
            snapshot = await lookout.look()
            page = await asyncio.to_thread(_make_page, snapshot, per_peer)
            await asyncio.sleep(max(LEAST_PAUSE, every - (time.monotonic() - began)))


def _make_page(snapshot: Snapshot | None, per_peer: bool) -> Page:
    return Page.of(render(snapshot, per_peer=per_peer))
