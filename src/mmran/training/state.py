"""Where a training is: what a checkpoint keeps besides weights and optimizers."""

from dataclasses import dataclass, field
from typing import Any

from mmran.networks.published_names import EncoderReport
from mmran.training.history import HistoryRow
from mmran.training.recipe import Stage


@dataclass
class State:
    """The position of a training, without its weights and optimizers.

    Attributes:
        stage: index of the current stage.
        epoch: completed epochs of that stage.
        best_score: highest mean of validation Dice and accuracy in this stage; -1 before its first epoch.
        best_epoch: epoch of the whole training, from 0, with that score.
        history: one row per completed epoch.
        seconds: training time so far, interruptions excluded.
        mask_prior: tumor probability that the masks started at; None for torch's own start.
        encoder: what the encoder took from published weights; None if it started at random.
    """

    stage: int = 0
    epoch: int = 0
    best_score: float = -1.0
    best_epoch: int = -1
    history: list[HistoryRow] = field(default_factory=list)
    seconds: float = 0.0
    mask_prior: float | None = None
    encoder: EncoderReport | None = None

    @classmethod
    def from_values(cls, values: dict[str, Any], stages: tuple[Stage, ...]) -> "State":
        """Rebuild a state from a checkpoint.

        Raises:
            KeyError, TypeError, ValueError: the values are not a state of these stages.
        """
        encoder = EncoderReport.from_values(values["encoder"]) if values["encoder"] else None
        history = [HistoryRow(**row) for row in values["history"]]
        state = cls(**{**values, "history": history, "encoder": encoder})
        before = sum(stage.epochs for stage in stages[: state.stage])
        if not 0 <= state.epoch <= stages[state.stage].epochs or len(state.history) != before + state.epoch:
            raise ValueError(f"its {len(state.history)} epochs do not fit stage {state.stage}, epoch {state.epoch}")
        return state
