"""YOLOX-tiny, a small detector of objects, as the animal detector of ``zamba`` has it.

Source: Ge et al., YOLOX: Exceeding YOLO Series in 2021 (arXiv 2107.08430), and the names of the
tensors in the weights of MegadetectorLite (MIT licence, in the wheel of ``zamba`` on PyPI), which
fix the architecture: depth 0.33, width 0.375, one class, SiLU. Only what inference needs is here.

Axes used in this file:
    B  photos      D  channels      H, W  positions      A  candidate boxes of all three scales
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["STRIDES", "YoloxTiny"]

STRIDES = (8, 16, 32)
"""Pixels between neighbouring positions of the three scales; a side must divide by the last."""
WIDTHS = (96, 192, 384)
BN_EPS = 1e-3  # of the authors; torch has 1e-5


class ConvBlock(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, given: int, made: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(made, eps=BN_EPS)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B, made, H / stride, W / stride)."""
        return nn.functional.silu(self.bn(self.conv(x_BDHW)))


class Bottleneck(nn.Module):
    """1 x 1, then 3 x 3, with or without the input added."""

    def __init__(self, width: int, *, residual: bool) -> None:
        super().__init__()
        self.conv1 = ConvBlock(width, width)
        self.conv2 = ConvBlock(width, width, 3)
        self.residual = residual

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return the same shape."""
        y_BDHW: Tensor = self.conv2(self.conv1(x_BDHW))
        return x_BDHW + y_BDHW if self.residual else y_BDHW


class CspLayer(nn.Module):
    """Half of the channels go through bottlenecks, half go past them."""

    def __init__(self, given: int, made: int, depth: int, *, residual: bool) -> None:
        super().__init__()
        self.conv1 = ConvBlock(given, made // 2)
        self.conv2 = ConvBlock(given, made // 2)
        self.conv3 = ConvBlock(made, made)
        self.m = nn.Sequential(*(Bottleneck(made // 2, residual=residual) for _ in range(depth)))

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B, made, H, W)."""
        y_BDHW: Tensor = self.conv3(torch.cat([self.m(self.conv1(x_BDHW)), self.conv2(x_BDHW)], 1))
        return y_BDHW


class Focus(nn.Module):
    """Each 2 x 2 pixels become one position of four times the channels."""

    def __init__(self, made: int) -> None:
        super().__init__()
        self.conv = ConvBlock(12, made, 3)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return (B, made, H / 2, W / 2)."""
        corners = [x_B3HW[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        y_BDHW: Tensor = self.conv(torch.cat(corners, 1))
        return y_BDHW


class SpatialPyramid(nn.Module):
    """Maxima over four neighbourhoods, side by side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvBlock(width, width // 2)
        self.conv2 = ConvBlock(width * 2, width)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return the same shape."""
        x_BDHW = self.conv1(x_BDHW)
        pools = [nn.functional.max_pool2d(x_BDHW, k, 1, k // 2) for k in (5, 9, 13)]
        y_BDHW: Tensor = self.conv2(torch.cat([x_BDHW, *pools], 1))
        return y_BDHW


class Darknet(nn.Module):
    """The backbone: features at three scales."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Focus(24)
        self.dark2 = self._stage(24, 48, 1)
        self.dark3 = self._stage(48, 96, 3)
        self.dark4 = self._stage(96, 192, 3)
        self.dark5 = nn.Sequential(
            ConvBlock(192, 384, 3, 2),
            SpatialPyramid(384),
            CspLayer(384, 384, 1, residual=False),
        )

    @staticmethod
    def _stage(given: int, made: int, depth: int) -> nn.Sequential:
        return nn.Sequential(
            ConvBlock(given, made, 3, 2), CspLayer(made, made, depth, residual=True)
        )

    def forward(self, x_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features of strides 8, 16 and 32."""
        fine = self.dark3(self.dark2(self.stem(x_B3HW)))
        middle = self.dark4(fine)
        return fine, middle, self.dark5(middle)


class Pyramid(nn.Module):
    """Hands features from coarse to fine and back again."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.backbone = Darknet()
        self.lateral_conv0 = ConvBlock(coarse, middle)
        self.C3_p4 = CspLayer(2 * middle, middle, 1, residual=False)
        self.reduce_conv1 = ConvBlock(middle, fine)
        self.C3_p3 = CspLayer(2 * fine, fine, 1, residual=False)
        self.bu_conv2 = ConvBlock(fine, fine, 3, 2)
        self.C3_n3 = CspLayer(2 * fine, middle, 1, residual=False)
        self.bu_conv1 = ConvBlock(middle, middle, 3, 2)
        self.C3_n4 = CspLayer(2 * middle, coarse, 1, residual=False)

    def forward(self, x_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features of strides 8, 16 and 32."""
        fine, middle, coarse = self.backbone(x_B3HW)
        top = self.lateral_conv0(coarse)
        down = self.reduce_conv1(self.C3_p4(torch.cat([_twice(top), middle], 1)))
        out_fine = self.C3_p3(torch.cat([_twice(down), fine], 1))
        out_middle = self.C3_n3(torch.cat([self.bu_conv2(out_fine), down], 1))
        out_coarse = self.C3_n4(torch.cat([self.bu_conv1(out_middle), top], 1))
        return out_fine, out_middle, out_coarse


def _twice(x_BDHW: Tensor) -> Tensor:
    return nn.functional.interpolate(x_BDHW, scale_factor=2.0, mode="nearest")


class Head(nn.Module):
    """For each position: where the box is, whether there is one, and how sure it is an animal."""

    def __init__(self) -> None:
        super().__init__()
        width = WIDTHS[0]
        self.stems = nn.ModuleList(ConvBlock(given, width) for given in WIDTHS)
        self.cls_convs = nn.ModuleList(self._branch(width) for _ in WIDTHS)
        self.reg_convs = nn.ModuleList(self._branch(width) for _ in WIDTHS)
        self.cls_preds = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in WIDTHS)
        self.reg_preds = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in WIDTHS)
        self.obj_preds = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in WIDTHS)

    @staticmethod
    def _branch(width: int) -> nn.Sequential:
        return nn.Sequential(ConvBlock(width, width, 3), ConvBlock(width, width, 3))

    def forward(self, scales: Sequence[Tensor]) -> Tensor:
        """Return candidate boxes (B, A, 5): left, top, right, bottom in pixels, and confidence."""
        return torch.cat([self._boxes(i, x_BDHW) for i, x_BDHW in enumerate(scales)], 1)

    def _boxes(self, scale: int, x_BDHW: Tensor) -> Tensor:
        """Decode one scale: centres relative to the position, sizes as logarithms of strides."""
        x_BDHW = self.stems[scale](x_BDHW)
        of_box_BDHW = self.reg_convs[scale](x_BDHW)
        sure_B1HW = (
            self.cls_preds[scale](self.cls_convs[scale](x_BDHW)).sigmoid()
            * self.obj_preds[scale](of_box_BDHW).sigmoid()
        )
        box_B4HW = self.reg_preds[scale](of_box_BDHW)
        rows, columns = torch.meshgrid(
            torch.arange(x_BDHW.shape[2]), torch.arange(x_BDHW.shape[3]), indexing="ij"
        )
        position_2HW = torch.stack([columns, rows])
        centre_B2HW = (box_B4HW[:, :2] + position_2HW) * STRIDES[scale]
        half_B2HW = box_B4HW[:, 2:].exp() * STRIDES[scale] / 2
        made = [centre_B2HW - half_B2HW, centre_B2HW + half_B2HW, sure_B1HW]
        return torch.cat(made, 1).flatten(2).transpose(1, 2)


class YoloxTiny(nn.Module):
    """The detector: red, green and blue, 0 to 255 (B, 3, H, W), to candidate boxes (B, A, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Pyramid()
        self.head = Head()

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return boxes (left, top, right, bottom in pixels) with a confidence from 0 to 1."""
        boxes_BA5: Tensor = self.head(self.backbone(x_B3HW))
        return boxes_BA5
