"""One experiment as frozen values: what a training needs to know, and nothing else.

Needs the standard library alone, so that a resolved specification trains on a machine without the packages that
read and check a configuration.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmran.errors import UserError
from mmran.files import canonical_json, read_json, sha256_text


@dataclass(frozen=True)
class Input:
    """What the network sees of a slice: side in pixels, how it is fitted, percentiles that become 0 and 1."""

    size: int = 512
    fit: str = "pad"
    percentiles: tuple[float, float] = (1.0, 99.0)


@dataclass(frozen=True)
class Loss:
    """Reading of Eq. 11 and the constants of Eq. 12."""

    dice: Literal["smoothed", "printed"] = "smoothed"
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0


@dataclass(frozen=True)
class Training:
    """How the weights are found (section 4.2 of the paper); `config.yaml` explains each value."""

    epochs: int = 240
    batch_size: int = 10
    accumulate: int = 1
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    selection: str = "best"
    precision: str = "auto"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True


@dataclass(frozen=True)
class Experiment:
    """A resolved experiment.

    Attributes:
        name: as in the configuration; no part of the digest, so a renamed experiment keeps its trainings.
        network: `name`, `width` and the network's own options.
        augmentation: fields of `mmran.data.augment.Augmentation`.
        schedule: `name` and the schedule's own options.
        seeds: one trial per seed and fold; no part of the digest, so another seed trains that seed alone.
        code: module -> digest of the source that decides the weights (`mmran.config.provenance`).
    """

    name: str
    network: dict[str, Any]
    input: Input
    augmentation: dict[str, Any]
    loss: Loss
    schedule: dict[str, Any]
    training: Training
    seeds: tuple[int, ...]
    code: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """The text of `spec.json`."""
        return canonical_json(dataclasses.asdict(self))

    def digest(self) -> str:
        """SHA-256 of what decides the weights: everything but the name and the list of seeds."""
        values = dataclasses.asdict(self)
        del values["name"], values["seeds"]
        return sha256_text(canonical_json(values))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Experiment":
        """Build from the plain values of `to_json`.

        Raises:
            TypeError, KeyError: a field is missing or unknown.
        """
        values = dict(values)
        values["network"] = _floats(values["network"], "width")
        values["augmentation"] = _floats(values["augmentation"], *values["augmentation"])
        low, high = values["input"]["percentiles"]
        values["input"] = Input(**{**values["input"], "percentiles": (float(low), float(high))})
        values["loss"] = Loss(**_floats(values["loss"], "focal_alpha", "focal_gamma"))
        values["training"] = Training(**_floats(values["training"], "learning_rate"))
        values["seeds"] = tuple(values["seeds"])
        return cls(**values)

    @classmethod
    def read(cls, path: Path | str) -> "Experiment":
        """Read a `spec.json`.

        Raises:
            UserError: the file is absent, not JSON or not a specification.
        """
        values = read_json(path)
        try:
            return cls.from_values(values)
        except (TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{path}: not the specification of an experiment ({error}); snakemake writes it anew"
            ) from error


def _floats(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """The values with the named ones as floats: 1 and 1.0 are one value and must have one digest."""
    isnt_number = (str, bool, list)
    return {k: float(v) if k in names and not isinstance(v, isnt_number) else v for k, v in values.items()}
