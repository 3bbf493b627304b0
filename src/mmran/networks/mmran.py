"""MMRAN: a U-Net with attention in its encoder and a class head on its deepest map. Every ablation is an option."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from mmran.errors import UserError
from mmran.networks.attention import Attention, AttentionForm, attention_form
from mmran.networks.blocks import Residual, SpatialPyramidPooling, conv_block, conv_bn, double_conv, scaled
from mmran.networks.output import NetworkOutput
from mmran.networks.unet import UNet, UpStage

PLACEMENTS = ("replace", "after")
CLASS_HEADS = ("linear", "convolutional")


def _require(option: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise UserError(f"network mmran, option {option}: {value!r} is not {expected}")


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True)
class Reading:
    """Decisions on what the paper leaves open.

    Attributes:
        placement: where a residual module has its multiscale attention: "replace" its second convolution, or
            "after" both. Attention without the multiscale module always follows both.
        multiscale_norm: batch normalization ends the multiscale module.
        reduction: channels per hidden unit of the channel gates.
        spp_levels: grids of the spatial pyramid pooling.
        class_head: "linear", pooling and one linear layer; or "convolutional", four residual double convolutions,
            pooling and two linear layers.
        residual_bottleneck: shortcut around the two convolutions of the bottleneck.
        residual_decoder: shortcut around the two convolutions of every decoder stage.
    """

    placement: str
    multiscale_norm: bool
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
        for option in ("multiscale_norm", "residual_bottleneck", "residual_decoder"):
            value = getattr(self, option)
            _require(option, value, isinstance(value, bool), "true or false")


READINGS: dict[str, Reading] = {
    "paper": Reading(
        placement="replace",
        multiscale_norm=True,
        reduction=4,
        spp_levels=(1, 2, 4),
        class_head="linear",
        residual_bottleneck=False,
        residual_decoder=False,
    ),
    "released-backbone": Reading(
        placement="after",
        multiscale_norm=True,
        reduction=2,
        spp_levels=(1, 2, 3, 4),
        class_head="convolutional",
        residual_bottleneck=True,
        residual_decoder=True,
    ),
}
"""`paper` follows the text and the figures.

`released-backbone` takes the layers and channels of the authors' released code, and so its parameter count. It is not
that code: there, a double convolution ends with a ReLU before the sum, the pyramid pools other windows where its grid
does not divide the map, the multiscale kernels are 1, 3, 5 and 7, the two branches of the channel gate share one MLP
without ReLU, attention acts only on the skip connection, and the losses differ (docs/ledger.md).
"""


class MMRAN(UNet):
    """Multitask multiscale residual attention network: one encoder, a mask decoder and a class head.

    (B, C, H, W) -> mask_logits (B, 1, H, W), class_logits (B, K), for any H and W divisible by 16.

    Source: section 3.1, Figs. 1-4.
    Deviates: 42,770,180 parameters where Table 3 prints 42.73 million (+0.09 %). The authors' released code has
    42,737,684, exactly Table 3's count, but without its attention modules: it makes them in every forward pass and
    never trains them. With them it has 57,711,444.

    Args:
        width: channel multiplier; 1.0 is the published network.
        attention: a name in `ATTENTIONS`.
        reading: a name in `READINGS`. Each option below overrides one field of it; see `Reading`.
        placement: "replace" or "after".
        multiscale_norm: batch normalization at the end of the multiscale module.
        reduction: of the channel gates. SE keeps the 16 of its authors.
        spp_levels: grids of the pyramid pooling.
        class_head: "linear" or "convolutional".
        residual_bottleneck: shortcut in the bottleneck.
        residual_decoder: shortcuts in the decoder.
        n_classes: number of classes, K.
        channels: C, channels of the images.

    Raises:
        UserError: the value of an option is invalid.
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
        multiscale_norm: bool | None = None,
        reduction: int | None = None,
        spp_levels: Sequence[int] | None = None,
        class_head: str | None = None,
        residual_bottleneck: bool | None = None,
        residual_decoder: bool | None = None,
        n_classes: int = 3,
        channels: int = 1,
    ):
        decided = _decide(
            reading,
            placement=placement,
            multiscale_norm=multiscale_norm,
            reduction=reduction,
            spp_levels=tuple(spp_levels) if isinstance(spp_levels, list) else spp_levels,
            class_head=class_head,
            residual_bottleneck=residual_bottleneck,
            residual_decoder=residual_decoder,
        )
        form = attention_form(attention)
        levels = [scaled(n, width) for n in (64, 128, 256, 512, 1024)]
        *shared, deepest = levels
        super().__init__(
            encoder=(encoder_stage(before, after, form, decided) for before, after in pairwise([channels, *shared])),
            bottleneck=double_conv(shared[-1], deepest, decided.residual_bottleneck),
            decoder=(UpStage(deep, skip, decided.residual_decoder) for deep, skip in pairwise(reversed(levels))),
        )
        self.channels = channels
        self.mask_head = nn.Conv2d(levels[0], 1, kernel_size=1)
        hidden = scaled(100, width)
        self.class_head = build_class_head(decided.class_head, levels, decided.spp_levels, hidden, n_classes)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment and classify."""
        deepest, finest = self.walk(images)  # (B, 1024, H/16, W/16) and (B, 64, H, W)
        return NetworkOutput(self.mask_head(finest), self.class_head(deepest))


def encoder_stage(in_channels: int, out_channels: int, form: AttentionForm | None, reading: Reading) -> Residual:
    """A residual module with its attention: (B, in, H, W) -> (B, out, H, W).

    Source: section 3.2.3, Fig. 4. "To save the number of parameters", the multiscale module replaces the second
    convolution.
    """
    body = conv_block(in_channels, out_channels)
    if form is None or not form.multiscale or reading.placement == "after":
        body += conv_bn(out_channels, out_channels)
    if form is not None:
        body.append(Attention(out_channels, form, reading.reduction, reading.multiscale_norm))
    return Residual(in_channels, out_channels, body)


def build_class_head(
    kind: str, channels: Sequence[int], levels: Sequence[int], hidden: int, n_classes: int
) -> nn.Sequential:
    """From the deepest map to class logits: (B, C, h, w) -> (B, K).

    Source: section 3.1 ("linear"); the authors' released code ("convolutional").

    Args:
        kind: see `Reading.class_head`.
        channels: of the five levels, shallow to deep.
        levels: grids of the pyramid pooling.
        hidden: units between the two linear layers of the convolutional head.
        n_classes: K.
    """
    pyramid = SpatialPyramidPooling(levels)
    if kind == "linear":
        return nn.Sequential(pyramid, nn.Linear(pyramid.bins * channels[-1], n_classes))
    convs: list[nn.Module] = []
    for before, after in pairwise(reversed(channels)):
        # ceil_mode keeps a map of one pixel, so that small images pass.
        convs += [double_conv(before, after, residual=True), nn.MaxPool2d(2, ceil_mode=True)]
    return nn.Sequential(
        *convs[:-1],
        pyramid,
        nn.Linear(pyramid.bins * channels[0], hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, n_classes),
    )


def _decide(reading: str, **given: Any) -> Reading:
    """The named reading, its fields overridden by the given values that are not None."""
    _require("reading", reading, reading in READINGS, f"one of {', '.join(READINGS)}")
    assert set(given) == {field.name for field in fields(Reading)}
    return replace(READINGS[reading], **{key: value for key, value in given.items() if value is not None})
