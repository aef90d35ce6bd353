"""Data: manifests of photos and places, importers, splits, and how a photo is prepared."""
