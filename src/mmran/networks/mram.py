"""MRAM as a module for any network; the networks of the paper's ablation use `Attention` directly."""

from torch import Tensor, nn

from mmran.errors import UserError
from mmran.networks.attention import ATTENTIONS, KERNELS, Attention


class MRAM(nn.Module):
    """Multiscale residual attention module: (B, C, H, W) -> (B, C, H, W), for any H and W.

    41 C² parameters for the four convolutions, 2 C for their normalization, 4 C²/r for the channel gates and C for the
    spatial gate.

    Source: Eqs. 1-9, Fig. 2.

    Args:
        channels: C, a multiple of 4.
        reduction: r, channels per hidden unit of the channel gates.
        norm: batch normalization after the four convolutions, as in the authors' code; Eq. 2 has none.

    Raises:
        UserError: the channels cannot be divided among the four convolutions.
    """

    def __init__(self, channels: int, *, reduction: int = 4, norm: bool = True):
        super().__init__()
        if channels < 1 or channels % len(KERNELS):
            raise UserError(f"MRAM: channels: {channels} is not a positive multiple of {len(KERNELS)}; choose another")
        form = ATTENTIONS["mram"]
        assert form is not None
        self.attention = Attention(channels, form, reduction, norm)

    def forward(self, x: Tensor) -> Tensor:
        """F to F_att."""
        attended: Tensor = self.attention(x)
        return attended
