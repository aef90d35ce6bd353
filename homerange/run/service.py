"""Watching as a service: signals that end it well, and the unit that systemd starts."""

import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import FrameType

__all__ = ["stop_on_signals", "systemd_unit"]


def stop_on_signals() -> Event:
    """Return what SIGTERM and Ctrl-C set, so that the batch in work is kept and results written."""
    stop = Event()

    def ask(number: int, frame: FrameType | None) -> None:
        """Ask once; the second time, end at once."""
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop


def systemd_unit(arguments: Sequence[str]) -> str:
    r"""Return a unit file that runs ``homerange`` with these arguments.

    Args:
        arguments: Those of this call; ``--print-systemd-unit`` is left out. Relative paths hold,
            because the service starts in the present folder.

    Example:
        >>> unit = systemd_unit(["watch", "my photos", "--print-systemd-unit"])
        >>> ' watch "my photos"\n' in unit, "print-systemd-unit" in unit
        (True, False)
    """
    program = shutil.which("homerange")
    start = [program] if program else [sys.executable, "-m", "homerange.cli"]
    kept = [argument for argument in arguments if argument != "--print-systemd-unit"]
    command = " ".join(_quoted(part) for part in (*start, *kept))
    return f"""[Unit]
Description=homerange: name the species in photos as they come
After=local-fs.target network-online.target

[Service]
WorkingDirectory={str(Path.cwd()).replace("%", "%%")}
ExecStart={command}
Restart=on-failure
RestartSec=30
Nice=5
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


def _quoted(text: str) -> str:
    """Quote for ExecStart: systemd expands ``%`` and ``$``, and reads backslashes in quotes."""
    text = text.replace("%", "%%").replace("$", "$$")
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
