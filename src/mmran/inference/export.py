"""The verb `export`: a package -> ONNX or torch.export files for programs without mmran, compared with torch."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmran.data.batches import normalize_
from mmran.data.images.base import require
from mmran.errors import UserError
from mmran.files import atomic_folder, write_json
from mmran.inference.model import Model

FORMATS = ("onnx", "torch")
ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = 1e-4
"""Largest difference of a probability between an exported network and torch."""
BATCHES = (1, 3)
"""Batch sizes at which both are compared."""


@dataclass(frozen=True)
class Exported:
    """One exported network.

    Attributes:
        file: name of the file.
        difference: largest difference of a probability from torch, over all compared batches.
        any_size: whether height and width may differ from training.
    """

    file: str
    difference: float
    any_size: bool


class Probabilities(nn.Module):
    """A network that returns probabilities, mask (B, 1, H, W) before classes (B, K), for the tasks that it has."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Probabilities of images (B, C, H, W) in 0..1."""
        output = self.network(images)
        found = []
        if output.mask_logits is not None:
            found.append(output.mask_logits.sigmoid())
        if output.class_logits is not None:
            found.append(output.class_logits.softmax(1))
        return tuple(found)


def export(package: Path, kind: str, output: Path, images: Sequence[NDArray[Any]] = ()) -> list[Exported]:
    """Export every network of a package, and compare it with torch.

    Args:
        package: what `mmran package` wrote.
        kind: onnx or torch.
        output: folder of the files; replaced as a whole.
        images: (height, width) or (channels, height, width) each, to compare on; noise if there are none.

    Raises:
        UserError: a library is missing, a network cannot be exported, or it differs from torch by more than
            `TOLERANCE`.
    """
    if kind == "onnx":
        for library in ("onnx", "onnxscript", "onnxruntime"):
            require(library, "export --format onnx", extra="export")
    if output.exists() and (not output.is_dir() or any(output.iterdir())) and not (output / "export.json").is_file():
        raise UserError(f"{output}: exists and is not an export; choose another --output")
    model = Model.load(package, device="cpu")
    found = []
    with atomic_folder(output) as temporary:
        samples = _samples(model, images)
        for weights, recipe in zip(model.record.weights, model.recipes, strict=True):
            network = Probabilities(recipe.network.float()).eval()
            path = temporary / f"{Path(weights.file).stem}{ENDINGS[kind]}"
            found.append(_export(network, kind, path, samples, recipe.network.stride))
        write_json(temporary / "export.json", description(model, kind, found))
    return found


def description(model: Model, kind: str, found: Sequence[Exported]) -> dict[str, Any]:
    """What a program needs to know to run the files."""
    record, size = model.record, model.size
    outputs = ["mask_probability (batch, 1, height, width)"] * ("segmentation" in record.tasks)
    outputs += [f"class_probability (batch, {len(record.classes)})"] * ("classification" in record.tasks)
    channels: dict[str, Any] = {"channels": list(record.channels)} if record.channels else {}
    return {
        "format": kind,
        "input": f"images (batch, {len(record.channels) or 1}, {size}, {size}) float32",
        **channels,
        "outputs": outputs,
        "classes": list(record.classes),
        "preprocessing": list(record.preprocessing),
        "files": {one.file: {"difference": one.difference, "any_size": one.any_size} for one in found},
        "notice": record.notice,
    }


def _samples(model: Model, images: Sequence[NDArray[Any]]) -> Tensor:
    """At least as many network inputs as the largest batch, (N, C, S, S)."""
    noise = np.random.default_rng(0)
    shape = (len(model.record.channels) or 1, model.size, model.size)
    chosen = list(images) or [noise.random(shape) for _ in range(max(BATCHES))]
    prepared = [model.prepare(image, None) for image in chosen]
    limits = torch.tensor([[one.low, one.high] for one in prepared])[..., None, None]  # (N, 2, C, 1, 1)
    pixels = torch.from_numpy(np.stack([one.pixels for one in prepared]))
    stacked = normalize_(pixels, limits[:, 0], limits[:, 1])
    return stacked.repeat(-(-max(BATCHES) // len(stacked)), 1, 1, 1)


def _export(network: Probabilities, kind: str, path: Path, samples: Tensor, stride: int) -> Exported:
    """Export with variable height and width, or with those of training if the network allows no others."""
    size = samples.shape[-1]
    other = torch.nn.functional.pad(samples[:2], (0, stride * 2, 0, stride), mode="replicate")
    for any_size in (True, False):
        compared = [*(samples[:n] for n in BATCHES), *([other] if any_size else [])]
        try:
            difference = _written(network, kind, path, samples[:2], compared, any_size)
        except Exception as error:  # exporters raise all kinds of exceptions
            if any_size:
                continue
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{path.name}: {kind} cannot express this network ({reason}); try the other --format"
            ) from error
        if difference <= TOLERANCE:
            return Exported(path.name, difference, any_size)
    raise UserError(
        f"{path.name}: differs from torch by {difference:.1e} in probability at {size} x {size}, expected at most "
        f"{TOLERANCE:.0e}; try the other --format"
    )


def _written(
    network: Probabilities, kind: str, path: Path, example: Tensor, compared: Sequence[Tensor], any_size: bool
) -> float:
    """Write one file; returns its largest difference from torch."""
    free: Any = torch.export.Dim.DYNAMIC
    dims = {0: free, 2: free, 3: free} if any_size else {0: free}
    with torch.inference_mode(False), torch.no_grad(), _quiet():
        if kind == "onnx":
            program = torch.onnx.export(
                network, (example,), dynamo=True, dynamic_shapes={"images": dims}, input_names=["images"], verbose=False
            )
            assert program is not None
            program.save(path, external_data=False)
            run = _onnx_runner(path)
        else:
            exported = torch.export.export(network, (example,), dynamic_shapes={"images": dims})
            torch.export.save(exported, path)
            run = torch.export.load(path).module()
        return max(_difference(network(batch), run(batch)) for batch in compared)


def _onnx_runner(path: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda batch: [torch.from_numpy(one) for one in session.run(None, {"images": batch.numpy()})]


def _difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    pairs = zip(ours, theirs, strict=True)
    # NaN must not pass for equal.
    return max(float(torch.nan_to_num((a - b).abs(), nan=1.0).max()) for a, b in pairs)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporters print about their internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with (
        warnings.catch_warnings(),
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
