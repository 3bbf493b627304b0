"""cases.csv: one row per test slice, trial and variant; the source of every number in a table or figure.

Columns:
    experiment, protocol, seed, fold, slice, pid, family, label, variant: which case it is. Labels count from one.
    tumor_mm2, image_mm2: areas of the true tumor and of the slice.
    size_tertile: 1, 2 or 3, for small, medium and large among the training slices of the fold.
    dice, soft_dice, iou_*, recall_*: 0..1.
    dice_released, miou_released, mpa_released: 0..1, as the authors' script measures (`mmran.metrics.released`).
    hd95_mm, assd_mm: millimeters; the image diagonal where exactly one mask is empty.
    nsd_2mm: share of both borders within 2 mm of the other, 0..1.
    missed: 1 where exactly one mask is empty.
    overlaps: 1 where the masks share a pixel, or both are empty.
    p_CLASS: class probabilities, in the order of the classes; p_meningioma, p_glioma, p_pituitary in the published set.
    predicted: the most probable class, counted from one.
    then one for each metric of `evaluation.metrics`, empty where it is not defined.

A network without masks, or without classes, leaves the columns of that task empty.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from mmran.errors import UserError
from mmran.evaluation.predictions import class_columns, classes_of
from mmran.files import write_text

NSD_TOLERANCE_MM = 2.0
SEGMENTATION = (
    *("dice", "soft_dice", "hd95_mm", "assd_mm", "nsd_2mm", "missed", "overlaps"),
    *("iou_background", "iou_tumor", "recall_background", "recall_tumor"),
    *("dice_released", "miou_released", "mpa_released"),
)
_FIRST = (
    *("experiment", "protocol", "seed", "fold", "slice", "pid", "family", "label", "variant"),
    *("tumor_mm2", "image_mm2", "size_tertile"),
    *SEGMENTATION,
)
_TEXT = ("experiment", "protocol", "pid", "family", "variant")
_WHOLE = ("seed", "fold", "slice", "label", "size_tertile")
_WHOLE_OR_EMPTY = ("missed", "overlaps", "predicted")
_TYPES = (
    dict.fromkeys(_TEXT, "str") | dict.fromkeys(_WHOLE, "int64") | dict.fromkeys(_WHOLE_OR_EMPTY, "Int64")
)  # pandas would read patient numbers as integers, and integers with gaps as floats


def case_columns(classes: Sequence[str], custom: Iterable[str] = ()) -> tuple[str, ...]:
    """The columns of cases.csv for a data set of these classes, with custom metrics of these names."""
    return *_FIRST, *class_columns(classes), "predicted", *custom


def custom_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns of custom metrics among those of a cases.csv."""
    known = case_columns(classes_of(columns))
    return tuple(name for name in columns if name not in known)


def _types(classes: Sequence[str], custom: Iterable[str] = ()) -> dict[str, str]:
    return {name: _TYPES.get(name, "float64") for name in case_columns(classes, custom)}


def typed_cases(cases: pd.DataFrame, classes: Sequence[str], custom: Sequence[str] = ()) -> pd.DataFrame:
    """Order the columns as `case_columns`, add absent ones as empty, and set their types."""
    return cases.reindex(columns=list(case_columns(classes, custom))).astype(_types(classes, custom))


def write_cases(path: Path, cases: pd.DataFrame) -> None:
    """Write cases.csv; reading it back gives the same bits."""
    write_text(path, cases.to_csv(index=False))


def read_cases(path: Path) -> pd.DataFrame:
    """Read a cases.csv.

    Raises:
        UserError: it is absent, empty, lacks a column, or holds a value of another type.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `mmran evaluate`")
    try:
        header = pd.read_csv(path, nrows=0).columns
        types = _types(classes_of(header), custom_columns(header.tolist()))
        missing = [name for name in types if name not in header]
        if missing:
            raise UserError(f"{path}: lacks the column {missing[0]}; run `mmran evaluate` again")
        # In text columns, only an empty field is missing: a patient may be called NA.
        cases = pd.read_csv(path, dtype=types, na_values=[""], keep_default_na=False)
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a whole cases.csv ({reason}); run `mmran evaluate` again") from error
    if cases.empty:
        raise UserError(f"{path}: holds no case; run `mmran evaluate` again")
    return cases
