"""Every error this package raises on purpose.

HomerangeError
  ManifestError        a manifest, a table of photos or one of its columns breaks docs/manifest.md
    CoordinateError    a latitude or longitude is missing, swapped or out of range
  ImageError           a photo cannot be read
  OccurrenceError      records of species cannot be read, or have no coordinates that can be used
  PlaceError           a place is malformed, or the world has no records there
  SpeciesError         a species is not one that the world knows
  ConfigError          a setting has a value that cannot work
  CheckpointError      a checkpoint or a weights file is missing, unknown or does not fit
  WorldError           a world is missing, damaged or of an unknown version
  PackageError         a place package is missing, damaged or of an unknown version
  DownloadError        photos could not be fetched
  RunError             a run over photos cannot start, or cannot go on from its journal
  MapError             the map cannot be served
  ExtraNotInstalled    a feature needs an optional dependency that is absent

Each also inherits the built-in error that a Python programmer would expect to catch. Messages
say which input, what was found, what was expected and the next step.
"""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "CoordinateError",
    "DownloadError",
    "ExtraNotInstalled",
    "HomerangeError",
    "ImageError",
    "ManifestError",
    "MapError",
    "OccurrenceError",
    "PackageError",
    "PlaceError",
    "RunError",
    "SpeciesError",
    "WorldError",
]


class HomerangeError(Exception):
    """Base of all errors that homerange raises on purpose."""


class ManifestError(HomerangeError, ValueError):
    """A manifest, a table of photos or one of its columns breaks the contract."""


class CoordinateError(ManifestError):
    """A latitude or longitude is missing, swapped or out of range."""


class ImageError(HomerangeError, ValueError):
    """A photo cannot be read."""


class OccurrenceError(HomerangeError, ValueError):
    """Records of species cannot be read, or have no coordinates that can be used."""


class PlaceError(HomerangeError, ValueError):
    """A place is malformed, or the world has no records there."""


class SpeciesError(HomerangeError, ValueError):
    """A species is not one that the world knows."""


class ConfigError(HomerangeError, ValueError):
    """A setting has a value that cannot work."""


class CheckpointError(HomerangeError, ValueError):
    """A checkpoint or a weights file is missing, unknown or does not fit the network."""


class WorldError(HomerangeError, ValueError):
    """A world is missing, damaged or of an unknown version."""


class PackageError(HomerangeError, ValueError):
    """A place package is missing, damaged or of an unknown version."""


class DownloadError(HomerangeError, OSError):
    """Photos could not be fetched."""


class RunError(HomerangeError, ValueError):
    """A run over photos cannot start, or cannot go on from its journal."""


class MapError(HomerangeError, ValueError):
    """The map cannot be served: its folder, its address or a setting is at fault."""


class ExtraNotInstalled(HomerangeError, ImportError):
    """A feature needs an optional dependency that is absent."""
