"""A CLIP of open_clip as a network of ours: the image tower, and captions for class rows.

Source: Radford et al. 2021, arXiv:2103.00020; a class is the mean embedding of its captions.

Axes used in this file:
    B  photos      C  classes      D  features
    K  captions of a class         L  tokens of a caption
"""

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from homerange.errors import CheckpointError, ConfigError
from homerange.extras import need
from homerange.model.network import Head, SpeciesNetwork

__all__ = ["TEMPLATES", "CaptionedNetwork", "build_clip"]

TEMPLATES = ("a photo of {}.", "{} in the wild.")
LARGEST_SCALE = 100.0  # of the logits, as CLIP was pre-trained
ENCODED_AT_ONCE = 256


class ImageTower(nn.Module):
    """The encoder: photos (B, 3, H, W), values 0 to 1, to directions of length 1."""

    mean_311: Tensor
    std_311: Tensor

    def __init__(
        self, visual: nn.Module, features: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.visual, self.num_features = visual, features
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(f"{name}_311", torch.tensor(values).view(3, 1, 1))

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return directions, shape (B, D)."""
        return functional.normalize(self.visual((x_B3HW - self.mean_311) / self.std_311), dim=1)


class CaptionedNetwork(SpeciesNetwork):
    """A CLIP whose class rows are the mean embeddings of captions, times the scale of its logits.

    Only the image tower and the class rows answer; the text tower is kept to be trained on.
    """

    token_CKL: Tensor
    """Captions, as tokens."""

    def __init__(self, image: ImageTower, text: nn.Module, token_CKL: Tensor) -> None:
        """Join the towers; ``text`` is a CLIP of open_clip without its own image tower."""
        head = Head(image.num_features, len(token_CKL), kind="plain", dropout=0.0)
        head.requires_grad_(False)
        super().__init__(image, head)
        self.text = text
        self.register_buffer("token_CKL", token_CKL)

    def scale(self) -> Tensor:
        """Return what cosines are multiplied with to become logits."""
        log_scale: Tensor = self.text.get_parameter("logit_scale")
        return log_scale.exp().clamp(max=LARGEST_SCALE)

    def directions(self, token_BL: Tensor) -> Tensor:
        """Return the embeddings of captions, of length 1, shape (B, D)."""
        text_BD: Tensor = self.text.encode_text(token_BL, normalize=True)  # type: ignore[operator]
        return text_BD

    def write_class_rows(self) -> None:
        """Set the class rows by the captions, as the text tower reads them now."""
        assert self.head is not None
        parts = torch.split(self.token_CKL.flatten(0, 1), ENCODED_AT_ONCE)
        with torch.no_grad():
            text_CKD = torch.cat([self.directions(part) for part in parts]).view(
                *self.token_CKL.shape[:2], -1
            )
            mean_CD = functional.normalize(text_CKD.float().mean(1), dim=1)
            self.head.classes.weight.copy_(self.scale() * mean_CD)
            self.head.classes.bias.zero_()


def build_clip(
    backbone: str, classes: int, *, input_px: int, start: str = "none"
) -> CaptionedNetwork:
    """Build the network, without captions yet.

    Args:
        backbone: A CLIP of open_clip, with a text tower of CLIP's own kind.
        classes: Number of classes.
        input_px: Side of the square that the image tower sees.
        start: Weights: a tag of open_clip, a file, or ``"none"``.

    Raises:
        ExtraNotInstalled: If open_clip is not.
        ConfigError: If open_clip has no CLIP of that name.
        CheckpointError: If its weights cannot be had.
    """
    open_clip = need("open_clip")
    shape = open_clip.get_model_config(backbone)
    if shape is None or "custom_text" in shape or "hf_model_name" in shape["text_cfg"]:
        raise ConfigError(
            f"backbone is {backbone!r}, which is no plain CLIP of open_clip; "
            "open_clip.list_models() names its models, ViT-B-16 is a plain one"
        )
    if start == "none":
        shape["vision_cfg"]["image_size"] = input_px
        clip = open_clip.CLIP(**shape)
        mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    else:
        clip = _with_weights(open_clip, backbone, start, input_px)
        facts = open_clip.get_model_preprocess_cfg(clip)
        mean, std = facts["mean"], facts["std"]
    image = ImageTower(clip.visual, shape["embed_dim"], mean, std)
    clip.visual = nn.Identity()
    token_CKL = torch.zeros(classes, len(TEMPLATES), clip.context_length, dtype=torch.long)
    return CaptionedNetwork(image, clip, token_CKL)


def _with_weights(open_clip: ModuleType, backbone: str, start: str, input_px: int) -> nn.Module:
    try:
        clip: nn.Module = open_clip.create_model(
            backbone, pretrained=start, force_image_size=input_px
        )
    except Exception as error:  # no network, no such tag, a file that does not fit: many kinds
        raise CheckpointError(
            f"could not load the weights {start} of {backbone}: {error}. Connect to the network, "
            'or use start = "none" or a weights file'
        ) from error
    return clip
