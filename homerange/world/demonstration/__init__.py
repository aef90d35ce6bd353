"""A small world that comes with the package, so that every verb works at once.

For demonstration only: ``CARD.md`` beside this file says where its photos came from, which of its
places are drawn, and how it was trained; ``runs/demonstration.sh`` trains it again from nothing.
"""

from pathlib import Path

__all__ = ["DEMONSTRATION"]

DEMONSTRATION = Path(__file__).parent / "world"
"""Its folder."""
