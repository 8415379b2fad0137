"""``wireloom k3s kubeconfig``: fetch what kubectl needs to reach the cluster."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wireloom.cli.settings import NamedPath, Settings, Verb, settings_of
from wireloom.cli.world import World, nonce, open_crew, open_world, require_directory, run_async, unwritable
from wireloom.cluster.reaching import PUBLIC, UNDERLAY, Way, find_way, parse_way
from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.report.terminal import Progress, say, show_diagnostics

if TYPE_CHECKING:
    from wireloom.cluster.fetch import Fetched
    from wireloom.cluster.kubeconfig import Entry

STDOUT = Path("-")


class Via(click.ParamType[str | Way]):
    """``underlay``, ``public``, or an address or name, perhaps with a port."""

    name = "way"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Way:
        """One of the two words, or a Way; anything else is a usage error."""
        if isinstance(value, Way) or value in {UNDERLAY, PUBLIC}:
            return value  # type: ignore[no-any-return]  # click's Any
        try:
            return parse_way(value)
        except ValueError as error:
            self.fail(f"{error}: underlay, public, ADDRESS or ADDRESS:PORT.", param, ctx)


@click.command("kubeconfig", cls=Verb)
@click.option(
    "-o",
    "--output",
    type=NamedPath(path_type=Path, dir_okay=False, allow_dash=True),
    help="Another file than kubectl's own; - prints it.",
)
@click.option(
    "--via",
    type=Via(),
    metavar="WAY",
    help="How kubectl reaches a server: underlay, public, or an ADDRESS[:PORT].  [default: as machines do]",
)
@click.option("--use", is_flag=True, help="Make it the current context, also where there is another.")
@click.option("--force", is_flag=True, help="Replace an entry of this name that is not this fleet's.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact.")
@settings_of
def command(
    settings: Settings, *, output: Path | None, via: str | Way | None, use: bool, force: bool, yes: bool
) -> None:
    """Fetch an administrator's access, and put it in the file that kubectl reads, mode 0600.

    That is the first file in $KUBECONFIG, or ~/.kube/config. Cluster, user and context are named after the
    fleet. What else is in the file stays; its current context too, where it has one.
    What is fetched holds a private key that may do anything in the cluster.
    """
    if settings.json and output == STDOUT:
        raise click.UsageError("--json and -o - both want stdout: name a file with -o")
    world = open_world(settings)
    target = usual_file() if output is None else output
    if output is not None and output != STDOUT:
        require_directory(output)
    run_async(_fetch_into(world, target, via, use=use, force=force, yes=yes))


async def _fetch_into(
    world: World, target: Path, via: str | Way | None, *, use: bool, force: bool, yes: bool
) -> None:
    from wireloom.cluster.kubeconfig import Entry, merge

    fetched = await _fetch(world, yes=yes)
    way = find_way(world.fleet, world.network, fetched.server, via)
    entry = Entry(context_name(world), way.url, fetched.access)
    warnings = []
    if fetched.names is not None and way.host not in fetched.names:
        what = f"the certificate of {fetched.server} is not for {way.host}: kubectl will not accept it"
        hint = f"it is for {', '.join(sorted(fetched.names))}"
        warnings.append(Diagnostic(what, hint=hint, severity=Severity.WARNING))
    if target == STDOUT:
        sys.stdout.write(merge("", entry, where="-").text)
        show_diagnostics(warnings)
        return
    current = _put(target, entry, use=use, force=force)
    show_diagnostics(warnings)
    if world.settings.json:
        from wireloom.report.documents import print_document

        print_document(
            {
                "file": str(target),
                "context": entry.name,
                "current": current,
                "server": way.url,
                "fetched_from": fetched.server,
            }
        )
    elif not world.settings.quiet:
        say(f"{target}: the context `{entry.name}` reaches {way.url}.")
        how = "kubectl get nodes" if current else f"kubectl --context {entry.name} get nodes"
        say(f"Try it: {how}")


async def _fetch(world: World, *, yes: bool) -> "Fetched":
    """From the first server, in the order of the file, that gives it. Raises UserError with every reason."""
    from wireloom.cluster.fetch import TIMEOUT, Fetched, fetch_script, read_fetched
    from wireloom.cluster.places import Role
    from wireloom.cluster.standing import cluster_nodes

    servers = [
        name
        for name, role in cluster_nodes(world.fleet).items()
        if role is Role.SERVER and name in world.dialled
    ]
    if not servers:
        hint = "give `roles: [k3s-server]` and `ssh` to one"
        raise UserError.one(
            "no machine is a server that can be asked", where=str(world.fleet.path), hint=hint
        )
    word = nonce()
    with Progress(quiet=world.settings.quiet) as progress:
        progress(f"asking {', '.join(servers)}")
        async with open_crew(world, yes=yes, progress=progress) as crew:
            answers = await crew.run(dict.fromkeys(servers, fetch_script(word)), timeout=TIMEOUT)
    tried = [read_fetched(name, world.fleet.name, answer, word) for name, answer in answers.items()]
    for one in tried:
        if isinstance(one, Fetched):
            return one
    raise UserError(
        Diagnostic(one.what, where=one.server, hint=one.hint) for one in tried if not isinstance(one, Fetched)
    )


def context_name(world: World) -> str:
    """The fleet's name; its twin in the lab has another cluster."""
    twin = world.lab and not world.fleet.lab
    return f"{world.fleet.name}-lab" if twin else world.fleet.name


def usual_file() -> Path:
    """Where kubectl would write: the first file in $KUBECONFIG, or ``~/.kube/config``."""
    named = [one for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    if named:
        return Path(named[0])
    return Path.home() / ".kube" / "config"


def _put(target: Path, entry: "Entry", *, use: bool, force: bool) -> bool:
    """Merge the entry into a file; whether its context is the current one. Raises UserError."""
    from wireloom.cluster.kubeconfig import merge
    from wireloom.disk import put_file

    path = target.resolve()  # a link, as dotfiles are kept, stays one
    try:
        if target == usual_file() and target.parent.name == ".kube":
            path.parent.mkdir(mode=0o700, exist_ok=True)
        require_directory(path)
        with _alone(path):
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            merged = merge(text, entry, where=str(target), use=use, force=force)
            put_file(path, merged.text.encode(), mode=0o600, durable=True)
    except UnicodeDecodeError:
        raise UserError.one("is not a kubeconfig: it is not UTF-8", where=str(target)) from None
    except OSError as error:
        raise unwritable(target, error) from None
    return merged.current


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """As kubectl does it (client-go, tools/clientcmd/config.go): who makes FILE.lock may write FILE."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        hint = f"wait a moment; if nobody does, remove {lock}"
        raise UserError.one("somebody else is writing it", where=str(path), hint=hint) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
