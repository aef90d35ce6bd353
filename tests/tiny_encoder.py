"""A location encoder in a file as TorchSpatial writes them, small and with random weights."""

import torch

from homerange.geo.space2vec import Space2Vec
from homerange.model.location import LocationEncoder, LocationSpec

SMALL = LocationSpec(space2vec=Space2Vec(scales=4), hidden=12, features=6)


def torchspatial_file(path, spec=SMALL, *, wrapped=False, prefix="", seed=3, **changes):
    """Write the file.

    Args:
        path: Where.
        spec: Shape of the encoder.
        wrapped: Whether the encoder stands beside an image decoder, as CSP stores it.
        prefix: Of all names of tensors.
        seed: Of the weights.
        changes: Other ``params``; None leaves one out.

    Returns:
        The encoder, in evaluation mode.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = LocationEncoder(spec)
    tensors = {f"spa_enc.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state = {**tensors, "class_emb.weight": torch.ones(5, spec.features)}
    if wrapped:
        state = {f"loc_enc.{name}": tensor for name, tensor in state.items()} | tensors
        state["img_dec.weight"] = torch.ones(spec.features, 9)
    params = {
        "spa_enc_type": "Space2Vec-grid",
        "frequency_num": spec.space2vec.scales,
        "freq_init": "geometric",
        "min_radius": 0.005,
        "max_radius": 360.0,
        "num_hidden_layer": spec.hidden_layers,
        "hidden_dim": spec.hidden,
        "num_filts": spec.features,
        "spa_f_act": "leakyrelu",
        "use_layn": True,
        "skip_connection": True,
        "dropout": 0.5,
        "device": "cuda:2",
    }
    params = {name: value for name, value in (params | changes).items() if value is not None}
    state = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 1, "state_dict": state, "optimizer": {}, "params": params}, path)
    return encoder.eval()
