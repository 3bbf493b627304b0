"""MMRAN: a U-Net with attention in its encoder and a classifier at its end; every ablation is a value."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mmran.errors import UserError
from mmran.networks.attention import Attention, AttentionForm, attention_form
from mmran.networks.blocks import (
    Residual,
    SpatialPyramidPooling,
    UpStage,
    check_images,
    conv_block,
    conv_bn,
    double_conv,
    scaled,
    start_at,
)
from mmran.networks.output import N_CLASSES, Network, NetworkOutput

PLACEMENTS = ("replace", "after")
CLASS_HEADS = ("linear", "convolutional")


def _require(option: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise UserError(f"network mmran, option {option}: {value!r} is not {expected}")


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True)
class Reading:
    """What the paper leaves open, decided.

    Attributes:
        placement: where a multiscale attention module sits in a residual module: "replace" its second
            convolution, or "after" both. Attention without the multiscale module follows both in either case.
        reduction: channels per hidden unit of the channel gates.
        spp_levels: grids of the spatial pyramid pooling.
        class_head: "linear", pooling and one linear layer; or "convolutional", four residual double
            convolutions, pooling and two linear layers.
        residual_bottleneck: shortcut around the two convolutions at the end of the encoder.
        residual_decoder: shortcut around the two convolutions of every decoder stage.
    """

    placement: str
    reduction: int
    spp_levels: tuple[int, ...]
    class_head: str
    residual_bottleneck: bool
    residual_decoder: bool

    def __post_init__(self) -> None:
        _require("placement", self.placement, self.placement in PLACEMENTS, f"one of {', '.join(PLACEMENTS)}")
        _require("class_head", self.class_head, self.class_head in CLASS_HEADS, f"one of {', '.join(CLASS_HEADS)}")
        _require("reduction", self.reduction, _is_positive_integer(self.reduction), "a positive integer")
        levels = self.spp_levels
        levels_fit = isinstance(levels, tuple) and bool(levels) and all(map(_is_positive_integer, levels))
        _require("spp_levels", levels, levels_fit, "a list of positive integers")
        for option in ("residual_bottleneck", "residual_decoder"):
            value = getattr(self, option)
            _require(option, value, isinstance(value, bool), "true or false")


READINGS: dict[str, Reading] = {
    "paper": Reading("replace", 4, (1, 2, 4), "linear", residual_bottleneck=False, residual_decoder=False),
    "released": Reading("after", 2, (1, 2, 3, 4), "convolutional", residual_bottleneck=True, residual_decoder=True),
}
"""`paper` follows the text and figures, `released` the authors' released code where that differs."""


class MMRAN(Network):
    """Multitask multiscale residual attention network: one encoder, a mask decoder and a class head.

    (B, 1, H, W) -> mask_logits (B, 1, H, W), class_logits (B, 3), for any H and W divisible by 16.

    Source: section 3.1, Figs. 1-4.
    Deviates: 42,770,180 parameters where Table 3 prints 42.73 million (+0.09 %). The authors' released code
    has exactly 42,737,684, but only without its attention modules, which it made anew in every forward pass,
    so that none was trained; with them it has 57,711,444.

    Args:
        width: channel multiplier; 1.0 is the published network.
        attention: a name in `ATTENTIONS`.
        reading: a name in `READINGS`; the options below, where given, take the place of its fields.
        placement: see `Reading`, as all that follow.
        reduction: of the channel gates, except those whose authors fixed it (SE: 16).
        spp_levels: grids of the pyramid pooling.
        class_head: "linear" or "convolutional".
        residual_bottleneck: shortcut in the last encoder stage.
        residual_decoder: shortcuts in the decoder.

    Raises:
        UserError: an option has a value that it cannot have.
    """

    stride = 16
    tasks = ("segmentation", "classification")
    recipe = "mmran.training.multitask:Multitask"

    def __init__(
        self,
        *,
        width: float = 1.0,
        attention: str = "mram",
        reading: str = "paper",
        placement: str | None = None,
        reduction: int | None = None,
        spp_levels: Sequence[int] | None = None,
        class_head: str | None = None,
        residual_bottleneck: bool | None = None,
        residual_decoder: bool | None = None,
    ):
        super().__init__()
        decided = _decide(
            reading,
            placement=placement,
            reduction=reduction,
            spp_levels=tuple(spp_levels) if isinstance(spp_levels, list) else spp_levels,
            class_head=class_head,
            residual_bottleneck=residual_bottleneck,
            residual_decoder=residual_decoder,
        )
        form = attention_form(attention)
        channels = [scaled(n, width) for n in (64, 128, 256, 512, 1024)]
        *shared, deepest = channels

        self.encoder = nn.ModuleList(
            encoder_stage(before, after, form, decided) for before, after in pairwise([1, *shared])
        )
        self.bottleneck = double_conv(shared[-1], deepest, decided.residual_bottleneck)
        self.class_head = build_class_head(decided.class_head, channels, decided.spp_levels, scaled(100, width))
        self.decoder = nn.ModuleList(
            UpStage(deep, skip, decided.residual_decoder) for deep, skip in pairwise(reversed(channels))
        )
        self.mask_head = nn.Conv2d(channels[0], 1, kernel_size=1)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment and classify.

        Args:
            images: (B, 1, H, W), 0..1.

        Raises:
            ValueError: H or W is not divisible by 16.
        """
        check_images(images, self.stride)
        x, skips = images, []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottleneck(x)  # (B, 1024, H/16, W/16)
        class_logits = self.class_head(x)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x, skip)
        return NetworkOutput(self.mask_head(x), class_logits)

    def start_masks(self, logit: float) -> None:
        """Set the mask head's bias."""
        start_at(self.mask_head, logit)


def encoder_stage(in_channels: int, out_channels: int, form: AttentionForm | None, reading: Reading) -> Residual:
    """The residual module of the shared layers, with its attention: (B, in, H, W) -> (B, out, H, W).

    Source: section 3.2.3, Fig. 4: "to save the number of parameters", the multiscale convolutions stand in
    place of the second convolution.
    """
    body = conv_block(in_channels, out_channels)
    if form is None or not form.multiscale or reading.placement == "after":
        body += conv_bn(out_channels, out_channels)
    if form is not None:
        body.append(Attention(out_channels, form, reading.reduction))
    return Residual(in_channels, out_channels, body)


def build_class_head(kind: str, channels: Sequence[int], levels: Sequence[int], hidden: int) -> nn.Sequential:
    """From the deepest features to class logits: (B, C, h, w) -> (B, 3).

    Source: section 3.1 ("linear"); the authors' released code ("convolutional").

    Args:
        kind: see `Reading.class_head`.
        channels: of the five encoder stages, shallow to deep.
        levels: grids of the pyramid pooling.
        hidden: units between the two linear layers of the convolutional head.
    """
    pyramid = SpatialPyramidPooling(levels)
    if kind == "linear":
        return nn.Sequential(pyramid, nn.Linear(pyramid.bins * channels[-1], N_CLASSES))
    convs: list[nn.Module] = []
    for before, after in pairwise(reversed(channels)):
        # Halves even sizes as usual; a map of one pixel stays one pixel, so that small images go through.
        convs += [double_conv(before, after, residual=True), nn.MaxPool2d(2, ceil_mode=True)]
    return nn.Sequential(
        *convs[:-1],
        pyramid,
        nn.Linear(pyramid.bins * channels[0], hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, N_CLASSES),
    )


def _decide(reading: str, **given: Any) -> Reading:
    """The named reading, with the fields that are not None in its place."""
    _require("reading", reading, reading in READINGS, f"one of {', '.join(READINGS)}")
    assert set(given) == {field.name for field in fields(Reading)}
    return replace(READINGS[reading], **{key: value for key, value in given.items() if value is not None})
