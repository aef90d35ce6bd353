"""Write docs/cli.md: what ``--help`` says of every verb. A test compares it with the file.

Run: ``python docs/generate_cli.py``
"""

from collections.abc import Iterator
from pathlib import Path

import click

from homerange.cli import main

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 88
HEAD = """\
# The command line

Written by `python docs/generate_cli.py` from `--help`; do not edit.

Exit codes: 0 done, 1 nothing could be done, 2 wrong use, 3 done with some inputs refused.
Results go to stdout; progress, notes and errors go to stderr. `homerange specialize` is another
name of `homerange get`.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    top = click.Context(main, info_name="homerange", terminal_width=WIDTH, **main.context_settings)
    for name, text in helps(main, top):
        parts.append(f"## {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Give the full name and the help of a command, then those of the commands below it."""
    yield context.command_path, command.get_help(context)
    for name, verb in sorted(getattr(command, "commands", {}).items()):
        yield from helps(
            verb, click.Context(verb, info_name=name, parent=context, terminal_width=WIDTH)
        )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
