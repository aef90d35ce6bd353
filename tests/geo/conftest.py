"""Property tests that find the same examples on every run, on slow machines too."""

from hypothesis import settings

settings.register_profile("homerange", deadline=None, derandomize=True)
settings.load_profile("homerange")
