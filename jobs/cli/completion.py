"""`thornback completion`: what makes a shell complete the commands."""

import click
from click.shell_completion import get_completion_class


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print what makes a shell complete the commands and options of thornback.

    For bash, add to ~/.bashrc: eval "$(thornback completion bash)"; for zsh the same in ~/.zshrc
    with zsh; for fish: thornback completion fish > ~/.config/fish/completions/thornback.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # the choice above
    root = ctx.find_root()
    click.echo(kind(root.command, {}, "thornback", "_THORNBACK_COMPLETE").source())
    return 0
