"""``wireloom completion``: what lets a shell complete verbs, options and the names of nodes."""

import click
from click.shell_completion import get_completion_class

from wireloom.cli.settings import Settings, Verb, settings_of

VARIABLE = "_WIRELOOM_COMPLETE"
"""Set by the script that is printed here, and asked by click: what to complete is then in the environment."""


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@settings_of
def command(settings: Settings, *, shell: str) -> None:  # noqa: ARG001  # every verb takes the common options
    """Print what SHELL reads to complete verbs, options and nodes.

    \b
    bash, in ~/.bashrc:                  eval "$(wireloom completion bash)"
    zsh, in ~/.zshrc, after compinit:    eval "$(wireloom completion zsh)"
    fish, in ~/.config/fish/config.fish: wireloom completion fish | source
    """  # noqa: D301  # the backspace is meant: click leaves the paragraph after it as it is
    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101  # click has these three
    click.echo(complete(click.get_current_context().find_root().command, {}, "wireloom", VARIABLE).source())
