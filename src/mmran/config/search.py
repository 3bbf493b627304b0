"""What a search for a fixed weight tries, as the stage `search` reads it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.experiment import Experiment
from mmran.config.record import read_record
from mmran.files import canonical_json


@dataclass(frozen=True)
class SearchSpec:
    """A random search with early stopping, on the validation set.

    Attributes:
        experiment: whose network, data and training are searched, and whose schedule is the one to beat.
        trials: number of trials.
        seed: of the draws.
        space: dimension -> a list to choose from, or {low, high, log}.
        grace_epochs: epochs that every trial gets.
        reduction_factor: one in this many trials continues at each rung.
    """

    experiment: Experiment
    trials: int
    seed: int
    space: Mapping[str, Any]
    grace_epochs: int
    reduction_factor: int

    def to_json(self) -> str:
        """The text of its specification."""
        return canonical_json(dataclasses.asdict(self) | {"experiment": self.experiment.to_values()})

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "SearchSpec":
        """Build from plain values.

        Raises:
            TypeError, KeyError: a field is missing or unknown.
        """
        return cls(**{**values, "experiment": Experiment.from_values(values["experiment"])})

    @classmethod
    def read(cls, path: Path | str) -> "SearchSpec":
        """Read a specification.

        Raises:
            UserError: the file is absent or not the specification of a search.
        """
        return read_record(path, "the specification of a search", cls.from_values)
