"""Tables of kind parameters: how large the networks are, and what they cost on the machines that ran them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.tables import TableRow, TableSpec
from mmran.errors import UserError
from mmran.files import read_json
from mmran.report.formats import MISSING, Cell, Column, Table
from mmran.report.results import Costs

TITLES = {
    "row": "",
    "params_m": "Parameters (million)",
    "paper_params_m": "paper",
    "difference_percent": "difference (%)",
    "gmacs": "GMAC",
    "train_images_per_s": "training (images/s)",
    "train_peak_mb": "training (MiB)",
    "predict_images_per_s": "prediction (images/s)",
    "predict_peak_mb": "prediction (MiB)",
}
MEMORY_NOTE = "Memory is that of tensors on a GPU, and on a CPU that of the whole process."


@dataclass(frozen=True)
class NetworkSize:
    """One entry of what `mmran networks --json` writes.

    Attributes:
        name: the experiment.
        parameters: trainable parameters of the network as configured.
        parameters_full_width: the same at width 1; None if unknown.
        multiply_accumulates: of one image; None if unknown.
        width, size: factor on the channels, and side of the image in pixels; None if unknown.
    """

    name: str
    parameters: int
    parameters_full_width: int | None = None
    multiply_accumulates: int | None = None
    width: float | None = None
    size: int | None = None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "NetworkSize":
        """Build from an entry; values that no table shows are dropped.

        Raises:
            KeyError: it has no name or no count.
        """
        optional = ("parameters_full_width", "multiply_accumulates", "width", "size")
        return cls(values["name"], values["parameters"], **{key: values.get(key) for key in optional})


def read_sizes(path: Path) -> list[NetworkSize]:
    """Read what `mmran networks --json` wrote.

    Raises:
        UserError: the file is absent, damaged or something else.
    """
    values = read_json(path)
    try:
        return [NetworkSize.from_values(entry) for entry in values]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a list of networks ({error!r}); run `mmran networks --json` again") from error


def parameters_table(
    spec: TableSpec, networks: Sequence[NetworkSize], measured: Mapping[str, Costs] | None = None
) -> Table:
    """A table of the networks' sizes, and of their costs on the machines that ran them.

    Args:
        spec: what the table shows; the paper's values are `params_m`.
        networks: the sizes.
        measured: experiment -> its costs; None leaves the measured columns out.

    Raises:
        UserError: the experiment of a row is not among the networks.
    """
    by_name = {network.name: network for network in networks}
    for row in spec.rows:
        if row.experiment not in by_name:
            known = ", ".join(by_name) or "none"
            raise UserError(f"table {spec.name}: no network of {row.experiment} in the list: {known}")
    chosen = [by_name[row.experiment] for row in spec.rows]
    cells = [_cells(row, network) for row, network in zip(spec.rows, chosen, strict=True)]
    notes = [spec.note] if spec.note else []
    sizes = dict.fromkeys(
        f"width {network.width:g} at {network.size} x {network.size} pixels"
        for network in chosen
        if network.size is not None and network.width is not None
    )
    if sizes:
        notes.append(f"Parameters at full width; multiply-accumulates of {', '.join(sizes)}.")
    if measured:
        for row_cells, row in zip(cells, spec.rows, strict=True):
            row_cells |= _measured_cells(measured[row.experiment])
        machines = "; ".join(dict.fromkeys(costs.machine for costs in measured.values()))
        notes.append(
            f"Speed and peak memory as trained and predicted, at that width and size, on {machines}. {MEMORY_NOTE}"
        )
    columns = tuple(Column(key, TITLES[key]) for key in cells[0])
    return Table(spec.name, spec.title, columns, tuple(tuple(row.values()) for row in cells), tuple(notes))


def _cells(row: TableRow, network: NetworkSize) -> dict[str, Cell]:
    # The paper counts whole networks: a narrowed one is compared at full width.
    millions = (network.parameters_full_width or network.parameters) / 1e6
    paper = row.paper.get("params_m")
    macs = network.multiply_accumulates
    return {
        "row": Cell(row.label),
        "params_m": _number(millions, ".2f"),
        "paper_params_m": _number(paper, ".2f"),
        "difference_percent": _number(paper and 100 * (millions - paper) / paper, "+.2f"),
        "gmacs": _number(macs and macs / 1e9, ".2f" if macs and macs >= 1e9 else ".2g"),
    }


def _measured_cells(costs: Costs) -> dict[str, Cell]:
    return {
        "train_images_per_s": _number(costs.train_images_per_s, ".1f"),
        "train_peak_mb": _number(costs.train_peak_mb, ".0f"),
        "predict_images_per_s": _number(costs.predict_images_per_s, ".1f"),
        "predict_peak_mb": _number(costs.predict_peak_mb, ".0f"),
    }


def _number(value: float | None, form: str) -> Cell:
    return Cell(MISSING if value is None else format(value, form))
