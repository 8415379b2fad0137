"""A word of the command line that names a node."""

import click
from click.shell_completion import CompletionItem

from wireloom.cli.settings import Settings
from wireloom.errors import UserError


class NodeWord(click.ParamType[str]):
    """A node's name, as it is typed: whether the fleet has such a one is for the verb to say."""

    name = "node"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,
        incomplete: str,
    ) -> list[CompletionItem]:
        """The names in the fleet file that begin so, and are not there yet.

        None where the file has mistakes, which a verb tells.
        """
        from wireloom.intent.load import load_fleet

        settings = ctx.find_object(Settings) or Settings()
        try:
            fleet = load_fleet(settings.fleet_path, ahead=True).fleet
        except UserError:
            return []
        given = ctx.params.get(param.name or "") or ()
        left = [name for name in fleet.nodes if param.nargs == 1 or name not in given]
        return [CompletionItem(name) for name in left if name.startswith(incomplete)]
