"""Metrics from outside the package: their functions, found, tried on small masks, and called on every test slice.

`python -m mmran.evaluation.custom_metrics` reads definitions as JSON from stdin and prints a JSON object, name -> the
obstacle. A separate process, because Snakemake's would keep what the functions import.
"""

import json
import math
import numbers
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.errors import UserError, reason
from mmran.files import read_json
from mmran.metrics.custom import PERCENT, CustomMetric, CustomMetrics, custom_metrics, is_taken
from mmran.training.named import named

Mask = NDArray[np.bool_]

_SIDE, _RADIUS, _SPACING_MM = 32, 6, 0.5
"""Of the masks that a function is tried on: pixels along a side, radius of the tumor in pixels, size of a pixel."""


@dataclass(frozen=True)
class Measure:
    """A custom metric with its function.

    Attributes:
        name: key of `evaluation.metrics`.
        definition: what the configuration says of it.
        function: f(predicted, truth, spacing_mm) -> float.
    """

    name: str
    definition: CustomMetric
    function: Callable[[Mask, Mask, float], Any]

    def __call__(self, predicted: Mask, truth: Mask, spacing_mm: float, where: str) -> float:
        """Measure one mask.

        Args:
            predicted, truth: (H, W) bool; the function gets them read-only.
            spacing_mm: side of a pixel.
            where: which masks, for messages, such as "slice 17, variant raw".

        Returns:
            The value, NaN where it is not defined.

        Raises:
            UserError: the function fails, or returns no number, an infinite one, or no share of a metric in percent.
        """
        try:
            value = self.function(_read_only(predicted), _read_only(truth), spacing_mm)
        except Exception as error:
            # Code from outside may fail in any way.
            raise UserError(f"{self._key}: {self.definition.function} fails on {where} ({reason(error)})") from error
        # A scalar of NumPy is a number, an array of one value is not.
        if not isinstance(value, numbers.Real | np.bool_):
            shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
            raise self._wrong(f"a {type(value).__name__}{shape}", "one number, NaN where it is not defined", where)
        number = float(value)
        if math.isinf(number):
            raise self._wrong(f"{number}", "a finite number, or NaN where it is not defined", where)
        if self.definition.unit == PERCENT and not (0 <= number <= 1 or math.isnan(number)):
            raise self._wrong(f"{number:g}", "0 to 1, as its unit is percent; set unit: '' for other numbers", where)
        return number

    @property
    def _key(self) -> str:
        return f"evaluation.metrics.{self.name}"

    def _wrong(self, found: str, expected: str, where: str) -> UserError:
        return UserError(f"{self._key}: {self.definition.function} returns {found} on {where}, expected {expected}")


def _read_only(mask: Mask) -> Mask:
    view = mask.view()
    view.flags.writeable = False
    return view


def load_measures(custom: CustomMetrics) -> tuple[Measure, ...]:
    """Import the functions of custom metrics.

    Raises:
        UserError: mmran has a metric or column of that name, or there is no such module or function.
    """
    for name in custom:
        if is_taken(name):
            raise UserError(f"evaluation.metrics.{name}: mmran has a metric or column of this name; choose another")
    return tuple(
        Measure(name, one, named(f"evaluation.metrics.{name}.function", one.function, {}))
        for name, one in custom.items()
    )


def read_custom_metrics(path: Path | None) -> dict[str, CustomMetric]:
    """Read the definitions of custom metrics; none without a file.

    Raises:
        UserError: the file is absent, not JSON, or holds something else.
    """
    if path is None:
        return {}
    try:
        return custom_metrics(read_json(path))
    except (TypeError, AttributeError) as error:
        raise UserError(f"{path}: not definitions of metrics ({error}); run snakemake to write it again") from error


def obstacles(custom: CustomMetrics) -> dict[str, str]:
    """Name of a custom metric -> why it cannot be used, found by a try on small masks; empty if all can be."""
    found = {}
    for name, definition in custom.items():
        try:
            (measure,) = load_measures({name: definition})
            _try(measure)
        except UserError as error:
            found[name] = f"config: {error}"
        except Exception as error:
            # Importing code from outside may fail in any way.
            place = f"config: evaluation.metrics.{name}: {definition.function}"
            found[name] = f"{place} cannot be imported ({reason(error)})"
    return found


def _try(measure: Measure) -> None:
    """Measure an overlapping, an empty, and a complete prediction of a round tumor."""
    rows, columns = np.indices((_SIDE, _SIDE)) - _SIDE / 2
    truth = rows**2 + columns**2 < _RADIUS**2
    tried: Mapping[str, Mask] = {
        "a mask that overlaps the tumor": np.roll(truth, _RADIUS, axis=1),
        "an empty mask": np.zeros_like(truth),
        "the true mask": truth,
    }
    for where, predicted in tried.items():
        measure(predicted, truth, _SPACING_MM, f"a trial slice with {where}")


if __name__ == "__main__":
    print(json.dumps(obstacles(custom_metrics(json.load(sys.stdin)))))
