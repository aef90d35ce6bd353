"""Records of three species in three parts of the Earth, and a range model of them in a second."""

import numpy as np

from homerange.train.range_config import RangeConfig

HOMES = {
    "Equus quagga": (-2.0, 35.0),
    "Panthera leo": (10.0, 20.0),
    "Procyon lotor": (41.0, -88.0),
}


def occurrence_table(path, *, records=60, spread_deg=8.0, seed=0, licence=None):
    """Write records around the homes of the species, in turn, as CSV."""
    rng = np.random.default_rng(seed)
    lines = ["species,latitude,longitude" + (",licence" if licence else "")]
    for i in range(records):
        name = list(HOMES)[i % len(HOMES)]
        latitude, longitude = rng.normal(HOMES[name], spread_deg)
        lines.append(f"{name},{latitude:.4f},{longitude:.4f}" + (f",{licence}" if licence else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


def tiny_range_config(**changes):
    """A small encoder and a few epochs, with dropout."""
    settings = {
        "name": "tiny",
        "scales": 6,
        "min_radius_deg": 5.0,
        "max_radius_deg": 90.0,
        "hidden": 16,
        "features": 8,
        "dropout": 0.2,
        "epochs": 3,
        "batch_size": 16,
        "val_share": 0.2,
        "val_block_level": 5,
    }
    return RangeConfig(**(settings | changes))
