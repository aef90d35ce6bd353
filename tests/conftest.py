"""Helpers beside the tests can be imported; property tests find the same examples on every run."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))
settings.register_profile("homerange", deadline=None, derandomize=True)
settings.load_profile("homerange")
