"""RV-GAN: a coarse generator at half size, a fine one at full size, and a discriminator for each."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.networks.blocks import DepthwiseConv2d, scaled, start_at
from mmran.networks.output import Network, NetworkOutput


class RVGAN(Network):
    """Both generators and both discriminators; prediction runs only the generators.

    (B, C, H, W) -> mask_logits (B, 1, H, W), for any H and W divisible by 16. 15,530,756 parameters, of which the
    generators have 14,740,226.

    The fine generator's output is tanh(z), -1 for background and 1 for tumor. The mask logit is 2 z: it is >= 0
    where tanh(z) is, and its sigmoid is (tanh(z) + 1) / 2, the output mapped to 0..1.

    Source: Kamran et al. 2021, figures and released code.
    Deviates: Table 3 prints 21.93 million, which neither the generators nor all four networks have. Images are halved
    by the means of 2 x 2 pixels, not by a Lanczos window. Batch normalization has torch's constants, momentum .1 and
    epsilon 1e-5; the authors' are those of Keras, .01 and 1e-3. The masks that discriminators judge come from the
    generators in training mode; the authors' come from `predict`, in inference mode.

    Args:
        width: channel multiplier; 1.0 is the published network.
        channels: C, channels of the images.

    Raises:
        UserError: width is not a positive number.
    """

    # The generators need 8; the discriminator at half size needs 16.
    stride = 16
    tasks = ("segmentation",)
    recipe = "mmran.training.adversarial:Adversarial"

    def __init__(self, *, width: float = 1.0, channels: int = 1):
        super().__init__()
        self.channels = channels
        self.coarse = CoarseGenerator(scaled(128, width), in_channels=channels)
        self.fine = FineGenerator(scaled(128, width), in_channels=channels)
        self.discriminators = nn.ModuleList(
            Discriminator(scaled(64, width), in_channels=channels) for _ in ("full size", "half size")
        )

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment."""
        full = signed(images)
        _, feature = self.coarse(halved(full))
        return NetworkOutput(mask_logits=2 * self.fine(full, feature))

    def start_masks(self, logit: float) -> None:
        """Set the bias of both generators; the mask logit is twice the argument of their tanh."""
        for generator in (self.coarse, self.fine):
            start_at(generator.head[-1], logit / 2)


def signed(x: Tensor) -> Tensor:
    """0..1 to -1..1."""
    return 2 * x - 1


def halved(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H/2, W/2), means of 2 x 2 pixels."""
    return functional.avg_pool2d(x, 2)


class CoarseGenerator(nn.Module):
    """Encoder, nine residual blocks and decoder, with feature aggregation in the skip connections.

    (B, in, h, w), -1..1 -> z (B, 1, h, w), the output before its tanh, and the feature (B, C, h, w) for the fine
    generator. 13,328,001 parameters at C = 128.

    Args:
        channels: C.
        n_blocks: residual blocks.
        in_channels: of the images.
    """

    def __init__(self, channels: int, n_blocks: int = 9, in_channels: int = 1):
        super().__init__()
        c1, c2, c4 = channels, 2 * channels, 4 * channels
        self.stem = nn.Sequential(ReflectionPad(3), gan_init(nn.Conv2d(in_channels, c1, 7)), *norm(c1))
        self.down1, self.down2 = down(c1, c2), down(c2, c4)
        self.blocks = nn.Sequential(*(DilatedResidual(c4) for _ in range(n_blocks)))
        self.up1, self.skip1 = up(c4, c2), FeatureAggregation(c2)
        self.up2, self.skip2 = up(c2, c1), FeatureAggregation(c1)
        self.head = nn.Sequential(ReflectionPad(3), gan_init(nn.Conv2d(c1, 1, 7)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Generate at half size."""
        full = self.stem(images)  # (B, C, h, w)
        half = self.down1(full)  # (B, 2C, h/2, w/2)
        x = self.blocks(self.down2(half))  # (B, 4C, h/4, w/4)
        x = self.up1(x) + self.skip1(half)
        feature = self.up2(x) + self.skip2(full)
        return self.head(feature), feature


class FineGenerator(nn.Module):
    """A shallow generator at full size that adds the coarse generator's feature at half size.

    images (B, in, H, W), -1..1, and feature (B, C, H/2, W/2) -> z (B, 1, H, W), the output before its tanh.
    1,412,225 parameters at C = 128.

    Args:
        channels: C.
        n_blocks: residual blocks.
        in_channels: of the images.
    """

    def __init__(self, channels: int, n_blocks: int = 2, in_channels: int = 1):
        super().__init__()
        c1, c2 = channels, 2 * channels
        self.stem = nn.Sequential(ReflectionPad(3), gan_init(nn.Conv2d(in_channels, c1, 7)), *norm(c1))
        self.down = down(c1, c1)
        self.widen = nn.Sequential(*separable(c1, c2), *norm(c2))
        self.blocks = nn.Sequential(*(DilatedResidual(c2) for _ in range(n_blocks)))
        self.up, self.skip = up(c2, c1), FeatureAggregation(c1)
        self.head = nn.Sequential(ReflectionPad(3), nn.Conv2d(c1, 1, 7))

    def forward(self, images: Tensor, feature: Tensor) -> Tensor:
        """Generate at full size."""
        full = self.stem(images)  # (B, C, H, W)
        x = self.widen(self.down(full) + feature)  # (B, 2C, H/2, W/2)
        x = self.up(self.blocks(x)) + self.skip(full)
        return self.head(x)


class Discriminator(nn.Module):
    """An autoencoder that scores every pixel of a mask as real (toward -1) or generated (toward 1).

    images (B, in, H, W) and masks (B, 1, H, W), -1..1 -> scores (B, 1, H, W), -1..1, and six features, three of the
    encoder and three of the decoder. 395,265 parameters at C = 64.

    Args:
        channels: C.
        in_channels: of the images.
    """

    def __init__(self, channels: int, in_channels: int = 1):
        super().__init__()
        self.encoder = nn.ModuleList(
            nn.Sequential(down(before, after), BranchedResidual(after))
            for before, after in pairwise([in_channels + 1, channels, channels, channels])
        )
        self.decoder = nn.ModuleList(up(channels, channels) for _ in range(3))
        # A kernel of even side keeps the size if the padding has one pixel more below and to the right.
        self.head = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), gan_init(nn.Conv2d(channels, 1, 4)), nn.Tanh())

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Score masks."""
        x, features = torch.cat([images, masks], dim=1), []
        for stage in (*self.encoder, *self.decoder):
            x = stage(x)
            features.append(x)
        return self.head(x), features


class DilatedResidual(nn.Module):
    """x + two parallel separable convolutions, one dilated, on a separable convolution of x.

    (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int):
        super().__init__()
        c = channels
        self.first = nn.Sequential(ReflectionPad(1), *separable(c, c, padding=0), *norm(c))
        self.near = nn.Sequential(ReflectionPad(1), *separable(c, c, padding=0), *norm(c))
        self.far = nn.Sequential(ReflectionPad(2), *separable(c, c, padding=0, dilation=2), *norm(c))

    def forward(self, x: Tensor) -> Tensor:
        """Refine x."""
        first = self.first(x)
        return x + self.near(first) + self.far(first)


class BranchedResidual(nn.Module):
    """x + two parallel dilated convolutions of x, one separable. (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        c = channels
        self.dense = nn.Sequential(ReflectionPad(1), gan_init(nn.Conv2d(c, c, 2, dilation=2)), *norm(c))
        self.separable = nn.Sequential(ReflectionPad(1), *separable(c, c, kernel=2, padding=0, dilation=2), *norm(c))

    def forward(self, x: Tensor) -> Tensor:
        """Refine x."""
        return x + self.dense(x) + self.separable(x)


class FeatureAggregation(nn.Module):
    """SFA, a skip connection of two convolutions, with a shortcut around the first and one around both.

    (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.separable = nn.Sequential(*separable(channels, channels), *norm(channels))
        self.dense = nn.Sequential(gan_init(nn.Conv2d(channels, channels, 3, padding=1)), *norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Aggregate x."""
        return self.dense(x + self.separable(x)) + x


class ReflectionPad(nn.Module):
    """Mirror a map at its edges without repeating them: (B, C, H, W) -> (B, C, H + 2n, W + 2n).

    Torch's own has no deterministic backward pass on CUDA and refuses maps of n pixels or fewer; this mirrors them
    repeatedly.

    Args:
        n: pixels on each side.
    """

    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        """Pad x."""
        for dim in (2, 3):
            n = self.n
            while n > 0:
                size = x.shape[dim]
                first = min(1, size - 1)
                step = min(n, max(1, size - 1))
                before, after = x.narrow(dim, first, step), x.narrow(dim, size - first - step, step)
                x = torch.cat([before.flip(dim), x, after.flip(dim)], dim)
                n -= step
        return x


def gan_init(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    """Draw the weights from a normal distribution of standard deviation .02, as is usual for GANs."""
    nn.init.normal_(layer.weight, std=0.02)
    return layer


def norm(channels: int) -> list[nn.Module]:
    """Batch normalization and leaky ReLU."""
    return [nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)]


def down(in_channels: int, out_channels: int) -> nn.Sequential:
    """(B, in, H, W) -> (B, out, H/2, W/2)."""
    return nn.Sequential(gan_init(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)), *norm(out_channels))


def up(in_channels: int, out_channels: int) -> nn.Sequential:
    """(B, in, H, W) -> (B, out, 2H, 2W)."""
    return nn.Sequential(
        gan_init(nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)), *norm(out_channels)
    )


def separable(
    in_channels: int, out_channels: int, kernel: int = 3, padding: int = 1, dilation: int = 1
) -> list[nn.Module]:
    """A depthwise convolution, then a pointwise one."""
    return [
        DepthwiseConv2d(in_channels, kernel, padding=padding, dilation=dilation),
        nn.Conv2d(in_channels, out_channels, 1),
    ]
