"""`portroom completion`: the script that completes words in a shell."""

from __future__ import annotations

import click

from portroom.cli.options import exit_statuses

SHELLS = ("bash", "zsh", "fish")

END = "\n    return 0\n}"
"""How the function of click's script for bash ends."""

NO_BLANK = "    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace"
"""What keeps bash from a blank behind a word that ends with ``=``."""


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
    source = kinds[shell](portroom, {}, "portroom", "_PORTROOM_COMPLETE").source()
    # bash would set a blank between `range=` and its value; fish knows better by itself.
    return source.replace(END, f"{NO_BLANK}\n{END}") if shell == "bash" else source
