"""`portroom completion`: the script that completes words in a shell."""

from __future__ import annotations

import click

from portroom.cli.options import exit_statuses

SHELLS = ("bash", "zsh", "fish")


@click.command(epilog=exit_statuses())
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(portroom completion bash)" in ~/.bashrc
    zsh:  eval "$(portroom completion zsh)" in ~/.zshrc
    fish: portroom completion fish > ~/.config/fish/completions/portroom.fish
    """
    click.echo(script(shell), nl=False)


def script(shell: str) -> str:
    """Return the completion script of one of SHELLS, as click makes it."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from portroom.cli.commands import portroom

    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    # click looks for its version in bash by running one; the source is the same.
    return kinds[shell](portroom, {}, "portroom", "_PORTROOM_COMPLETE").source()
