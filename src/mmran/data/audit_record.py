"""What `mmran verify` finds in a slice store, as a record that reads and writes `audit.json`."""

import dataclasses
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.data.store import LeftOut
from mmran.errors import UserError
from mmran.files import canonical_json, read_json


@dataclass(frozen=True)
class DigestCheck:
    """Digest of the store as stored and as recomputed, and the slices that changed after conversion."""

    stored: str
    recomputed: str
    verified: bool
    damaged: tuple[int, ...]


@dataclass(frozen=True)
class Families:
    """Number of patient families, the families with several PIDs, and the slices and classes of the latter."""

    n: int
    of_several_pids: dict[str, tuple[str, ...]]
    slices_of_these: int
    classes_of_these: tuple[str, ...]


@dataclass(frozen=True)
class ClassCount:
    """Slices, patients and families of a class."""

    slices: int
    patients: int
    families: int


@dataclass(frozen=True)
class SizeCount:
    """Slices and patients of one native size, and the side of its pixels."""

    slices: int
    patients: int
    spacing_mm: float


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest value."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Intensities:
    """Stored type, lowest and highest intensity."""

    type: str
    low: float
    high: float


@dataclass(frozen=True)
class Masks:
    """Slices with an empty mask, number of components -> number of masks, and slices whose mask has holes."""

    empty: tuple[int, ...]
    components: dict[str, int]
    with_holes: tuple[int, ...]


@dataclass(frozen=True)
class Borders:
    """Masks compared with their border polygons, as stored and with x and y of the polygons exchanged.

    Attributes:
        iou_median: intersection over union, 0 to 1.
        iou_least: the smallest.
        iou_transposed_median: the median with x and y exchanged.
        orientation: "right", "transposed" or "undecided".
        disagreeing: slices whose mask and polygon have little in common.
    """

    iou_median: float
    iou_least: float
    iou_transposed_median: float
    orientation: str
    disagreeing: tuple[int, ...]


@dataclass(frozen=True)
class Contrast:
    """Images compared with their masks, as stored and with the image turned in the way that fits its mask best.

    The contrast of a slice is the difference between the mean intensities under the mask and in a ring around
    it, in standard deviations of both together. It is low where the mask does not follow an edge of the image.

    Attributes:
        median: of the slices as stored.
        turn: one of `mmran.data.contrast.TURNS`, such as "transposed".
        turned_median: with the image turned.
        share_upright: share of the slices, 0 to 1, whose contrast is higher as stored.
        n_compared: number of slices whose two contrasts differ.
        orientation: "right", "turned", "mixed", or "unknown" if too few slices can be compared.
    """

    median: float
    turn: str
    turned_median: float
    share_upright: float
    n_compared: int
    orientation: str


@dataclass(frozen=True)
class SeveralLabels:
    """Patients and families that have slices of several classes."""

    pid: tuple[str, ...]
    family: tuple[str, ...]


@dataclass(frozen=True)
class PublishedFolds:
    """Slices of each published fold and of none, and the patients and families in two folds."""

    folds: dict[str, int]
    unknown: int
    patients_on_two_folds: tuple[str, ...]
    families_on_two_folds: tuple[str, ...]


@dataclass(frozen=True)
class CountPair:
    """A count of the store and of the published set."""

    here: int
    published: int


@dataclass(frozen=True)
class Channel:
    """Lowest and highest intensity of a channel, and the slices in which it has one intensity alone."""

    low: float
    high: float
    constant: tuple[int, ...]


@dataclass(frozen=True)
class Published:
    """How the store relates to the published set: "complete", "subset", or "other" (it has more), with counts."""

    relation: str
    counts: dict[str, CountPair]


@dataclass(frozen=True)
class Audit:
    """What a store holds.

    Attributes:
        store: name of its file.
        digest: whether it is what was converted; everything below is a finding, not damage.
        slices, patients: how many.
        families: examinations that look like repeats.
        classes: class name -> counts.
        slices_per_patient: spread over the patients.
        sizes: native size `{H}x{W}` -> counts.
        intensities: of all images.
        tumor_mm2: spread of the tumor area over the slices.
        masks, borders, contrast: masks on their own, against their polygons, and against their images; `masks` is None
            where the source has none, and `borders` where it has no polygons.
        duplicates: groups of slices with the same pixels.
        labels: patients and families of several classes.
        cvind: the published folds; None where the source had none.
        published: comparison with the published set; None if the slices are from another data set.
        rejects: files that should have been slices and were left out.
        ignored: files of other kinds beside them.
        channels: name -> what it holds; empty for gray images.
        compared: the channel that `contrast` is about, which shows tumors best; empty for gray images, whose audit
            mentions neither.
    """

    store: str
    digest: DigestCheck
    slices: int
    patients: int
    families: Families
    classes: dict[str, ClassCount]
    slices_per_patient: Spread
    sizes: dict[str, SizeCount]
    intensities: Intensities
    tumor_mm2: Spread
    masks: Masks | None
    borders: Borders | None
    contrast: Contrast
    duplicates: tuple[tuple[int, ...], ...]
    labels: SeveralLabels
    cvind: PublishedFolds | None
    published: Published | None
    rejects: tuple[LeftOut, ...]
    ignored: tuple[LeftOut, ...]
    channels: dict[str, Channel] = dataclasses.field(default_factory=dict)
    compared: str = ""

    def to_json(self) -> str:
        """The text of `audit.json`."""
        values = dataclasses.asdict(self)
        if not self.channels:
            del values["channels"], values["compared"]
        return canonical_json(values)

    @classmethod
    def read(cls, path: Path | str) -> "Audit":
        """Read the JSON that `to_json` writes.

        Raises:
            UserError: the file is absent or something else.
        """
        values = read_json(path)
        try:
            return typing.cast("Audit", _built(cls, {"channels": {}, "compared": "", **values}))
        except (TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path}: not the audit of a slice store ({error}); run mmran verify again") from error


def _built(kind: Any, value: Any) -> Any:
    """Convert plain JSON values to the type that a field declares."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if unknown := sorted(set(value) - set(hints)):
            raise KeyError(unknown[0])
        return typing.cast("type[Any]", kind)(**{name: _built(hint, value[name]) for name, hint in hints.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _built(arguments[0], value)
    if origin is tuple:
        return tuple(_built(arguments[0], item) for item in value)
    if origin is dict:
        return {name: _built(arguments[1], item) for name, item in value.items()}
    return value
