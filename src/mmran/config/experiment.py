"""One experiment as frozen values: exactly what a training needs to know.

Needs only the standard library, so that a resolved specification trains on a machine without the packages that
read and check a configuration.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmran.config.record import parse_record
from mmran.data.augmentation import Augmentation
from mmran.errors import UserError
from mmran.files import canonical_json, read_text, sha256_file, sha256_text


@dataclass(frozen=True)
class WeightsFile:
    """A file of published weights.

    Attributes:
        path: as configured; not in the digest, so a file may move.
        sha256: of its content; "" if it was not read yet.
    """

    path: str
    sha256: str = ""

    def read(self) -> "WeightsFile":
        """The same file with the digest of its content.

        Raises:
            UserError: it cannot be read.
        """
        path = Path(self.path).expanduser()
        try:
            return WeightsFile(self.path, sha256_file(path))
        except UserError as error:
            raise UserError(f"network.encoder_weights: {error}; name a file of weights, or null for none") from error

    def verified(self) -> Path:
        """The file, which still has the content that the digest is of.

        Raises:
            UserError: it changed, or cannot be read.
        """
        if self.sha256 and self.read().sha256 != self.sha256:
            raise UserError(f"network.encoder_weights: {self.path}: not the recorded file; run snakemake again")
        return Path(self.path).expanduser()


@dataclass(frozen=True)
class NetworkSpec:
    """Which network is built.

    Attributes:
        name: a key of `mmran.networks.NETWORKS`, or "package.module:Class".
        width: factor on every channel count.
        options: the network's own options, such as `attention`.
        mask_prior: tumor probability that untrained masks start at: a number between 0 and 1; "data", the share of
            tumor pixels in the training slices; None, torch's own start.
        encoder_weights: published weights that the encoder starts from; None, random ones.
        tasks: those of its tasks that the data can teach it; None for all of them.
    """

    name: str
    width: float
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mask_prior: float | str | None = None
    encoder_weights: WeightsFile | None = None
    tasks: tuple[str, ...] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the network's constructor."""
        return {"width": self.width, **self.options}

    @property
    def channels(self) -> int:
        """Channels of its images; one unless an option says otherwise."""
        return int(self.options.get("channels", 1))

    def to_values(self) -> dict[str, Any]:
        """The plain mapping, as in the configuration: options beside name and width."""
        values = {"name": self.name, "mask_prior": self.mask_prior, **self.arguments}
        weights = self.encoder_weights
        values |= {"encoder_weights": dataclasses.asdict(weights)} if weights else {}
        return values | ({} if self.tasks is None else {"tasks": list(self.tasks)})

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "NetworkSpec":
        """Build from the mapping of `to_values`; `encoder_weights` is a path in the configuration."""
        options = dict(values)
        name, width, prior = options.pop("name"), options.pop("width"), options.pop("mask_prior", None)
        weights = options.pop("encoder_weights", None)
        if weights is not None:
            weights = WeightsFile(**weights) if isinstance(weights, Mapping) else WeightsFile(weights)
        tasks = options.pop("tasks", None)
        return cls(name, float(width), options, prior, weights, None if tasks is None else tuple(tasks))


COMMON_TO_NETWORKS = frozenset({"width", "mask_prior"})
"""Keys of `network` that mean the same for every network."""


@dataclass(frozen=True)
class ScheduleSpec:
    """How the weights of the two tasks change over the epochs.

    Attributes:
        name: a key of `mmran.training.schedules.SCHEDULES`.
        alpha: weight of the classification loss under the schedule `fixed`, 0..1; None under any other.
    """

    name: str
    alpha: float | None = None

    def to_values(self) -> dict[str, Any]:
        """The plain mapping, as in the configuration: without `alpha` if it is None."""
        return {"name": self.name} if self.alpha is None else {"name": self.name, "alpha": self.alpha}


@dataclass(frozen=True)
class Input:
    """What the network sees of a slice: side in pixels, how it is fitted, percentiles that become 0 and 1."""

    size: int
    fit: str
    percentiles: tuple[float, float]


@dataclass(frozen=True)
class Loss:
    """Reading of Eq. 11 and the constants of Eq. 12; `focal_alpha` is one weight, or one per class.

    `segmentation` and `classification` are external losses, "package.module:function", that replace these.
    """

    dice: Literal["smoothed", "printed"]
    focal_alpha: float | tuple[float, ...]
    focal_gamma: float
    segmentation: str | None = None
    classification: str | None = None


@dataclass(frozen=True)
class Training:
    """How the weights are found (section 4.2 of the paper); the schema explains each value."""

    epochs: int
    batch_size: int
    accumulate: int
    learning_rate: float
    optimizer: str
    weight_decay: float
    learning_rate_schedule: str
    warmup_epochs: int
    selection: str
    stage_selection: str
    checkpoint_minutes: float
    precision: str
    channels_last: bool
    compile: bool
    deterministic: bool
    tensorboard: bool
    gradient_clip: float | None = None
    ema_decay: float | None = None


@dataclass(frozen=True)
class Experiment:
    """A resolved experiment.

    Attributes:
        name: as in the configuration; not in the digest, so a renamed experiment keeps its trainings.
        network: what is built.
        input: what it sees.
        augmentation: what is drawn for each slice in each epoch.
        loss: of both tasks.
        schedule: of the task weights.
        training: how the weights are found.
        seeds: one trial per seed and fold; not in the digest, so a new seed trains only that seed.
        code: module -> digest of the source that decides the weights (`mmran.config.provenance`).
    """

    name: str
    network: NetworkSpec
    input: Input
    augmentation: Augmentation
    loss: Loss
    schedule: ScheduleSpec
    training: Training
    seeds: tuple[int, ...]
    code: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_values(self) -> dict[str, Any]:
        """The plain mapping of `spec.json`."""
        values = dataclasses.asdict(self)
        return values | {"network": self.network.to_values(), "schedule": self.schedule.to_values()}

    def to_json(self) -> str:
        """The text of `spec.json`."""
        return canonical_json(self.to_values())

    def digest(self) -> str:
        """SHA-256 of what decides the weights: all but name, seeds, checkpoint interval, and TensorBoard."""
        values = self.to_values()
        del values["name"], values["seeds"]
        values["network"].get("encoder_weights", {}).pop("path", None)
        values["training"] = {key: value for key, value in values["training"].items() if key not in _NO_WEIGHTS}
        return sha256_text(canonical_json(values))

    def started_from(self, weights: WeightsFile) -> "Experiment":
        """The same experiment with published weights for its encoder."""
        return dataclasses.replace(self, network=dataclasses.replace(self.network, encoder_weights=weights))

    @property
    def outside(self) -> tuple[str, ...]:
        """The values that name code, "package.module:name", beside the network."""
        names = (self.training.optimizer, self.training.learning_rate_schedule, self.schedule.name)
        losses = (self.loss.segmentation, self.loss.classification)
        return tuple(name for name in (*names, *losses, *self.augmentation.extra) if name and ":" in name)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Experiment":
        """Build from the plain mapping of `to_values`.

        Raises:
            TypeError, KeyError: a field is missing or unknown.
        """
        parts = dict(values)
        low, high = parts["input"]["percentiles"]
        return cls(
            **parts
            | {
                "network": NetworkSpec.from_values(parts["network"]),
                "input": Input(**{**parts["input"], "percentiles": (float(low), float(high))}),
                "augmentation": Augmentation(**_floats(parts["augmentation"], *parts["augmentation"])),
                "loss": Loss(**_floats(parts["loss"], "focal_alpha", "focal_gamma")),
                "schedule": ScheduleSpec(**_floats(parts["schedule"], "alpha")),
                "training": Training(**_floats(parts["training"], *_TRAINING_FLOATS)),
                "seeds": tuple(parts["seeds"]),
            }
        )

    @classmethod
    def read(cls, path: Path | str) -> "Experiment":
        """Read a `spec.json`.

        Raises:
            UserError: the file is missing, not JSON or not a specification.
        """
        return cls.parse(read_text(path), path)

    @classmethod
    def parse(cls, text: str, path: Path | str) -> "Experiment":
        """Parse the text of a `spec.json`.

        Args:
            text: content of the file.
            path: the file, for the message.

        Raises:
            UserError: the text is not JSON or not a specification.
        """
        return parse_record(text, path, "the specification of an experiment", cls.from_values)


_NO_WEIGHTS = ("checkpoint_minutes", "tensorboard")
"""Values of `training` that do not change the weights."""

_TRAINING_FLOATS = ("learning_rate", "weight_decay", "gradient_clip", "ema_decay", "checkpoint_minutes")


def _floats(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The values with the named numbers as floats: 1 and 1.0 are the same value and must have the same digest."""
    return {key: _float(value) if key in names else value for key, value in values.items()}


def _float(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_float, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
