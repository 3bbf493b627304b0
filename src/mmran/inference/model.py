"""A loaded package: images in, masks and classes out, averaged over its networks.

model = mmran.load("models/mmran")
prediction = model.predict(image, spacing_mm=0.49)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmran.config.experiment import Experiment
from mmran.config.provenance import code_digests
from mmran.data.batches import intensity_percentiles, normalize_
from mmran.data.channels import channel_planes
from mmran.data.images.base import Spacing
from mmran.data.store import narrow
from mmran.errors import UserError, known_names
from mmran.evaluation.postprocess import RAW, VARIANTS
from mmran.files import sha256_file
from mmran.inference.placement import Placement
from mmran.inference.record import SPEC, Package
from mmran.inference.unlike import Seen, unlike
from mmran.inference.weights import choose_device, load_recipe
from mmran.networks import NETWORKS
from mmran.training.recipe import Recipe

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Axes that are flipped with test-time augmentation: none, columns, rows, both."""


@dataclass(frozen=True)
class Prediction:
    """The networks' prediction for one image, at its native size.

    Attributes:
        probability: (height, width) float32, tumor probability; None for a network without masks.
        mask: (height, width) bool, where it is at least one half, postprocessed as asked; or None.
        classes: class name -> probability; empty for a network without classes.
        warnings: what is unlike the training images, with the measured values.
    """

    probability: NDArray[np.float32] | None
    mask: NDArray[np.bool_] | None
    classes: dict[str, float]
    warnings: tuple[str, ...] = ()

    @property
    def predicted(self) -> str | None:
        """The most probable class; None for a network without classes."""
        return max(self.classes, key=lambda name: self.classes[name]) if self.classes else None


class Prepared(NamedTuple):
    """One image as the network sees it, before normalization.

    Attributes:
        pixels: (C, S, S) float32.
        low, high: intensities of each channel that become 0 and 1.
        placement: where the square lies in the image.
    """

    pixels: NDArray[np.float32]
    low: tuple[float, ...]
    high: tuple[float, ...]
    placement: Placement


class Raw(NamedTuple):
    """What the networks return for a batch, averaged; None for a task that they do not have.

    Attributes:
        masks: (B, S, S) float32 tumor probability.
        classes: (B, K) float32.
        means, stds: (B,) of the normalized images.
    """

    masks: NDArray[np.float32] | None
    classes: NDArray[np.float32] | None
    means: list[float]
    stds: list[float]


class Model:
    """The networks of a package.

    Attributes:
        record: the package's record.
        experiment: what was trained.
        notes: what the user should know before using it; one line each.
    """

    def __init__(
        self, record: Package, experiment: Experiment, recipes: Sequence[Recipe], device: torch.device
    ) -> None:
        self.record = record
        self.experiment = experiment
        self.recipes = tuple(recipes)
        self.device = device
        self.notes = tuple(_changed_code(experiment, record))

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "auto") -> "Model":
        """Load a package.

        Args:
            folder: what `mmran package` wrote.
            device: auto, cpu or cuda; auto uses a GPU if there is one.

        Raises:
            UserError: it is not a package, was changed, needs a newer mmran, or there is no such device.
        """
        folder = Path(folder)
        record = Package.read(folder)
        if sha256_file(folder / SPEC) != record.digests["spec"]:
            raise UserError(f"{folder / SPEC}: changed since it was packaged; copy the package again from its source")
        experiment = Experiment.read(folder / SPEC)
        chosen = choose_device(device)
        recipes = [load_recipe(folder, record, i, experiment, chosen) for i in range(len(record.weights))]
        return cls(record, experiment, recipes, chosen)

    @property
    def size(self) -> int:
        """Side of the network's input in pixels."""
        return self.experiment.input.size

    @property
    def batch_size(self) -> int:
        """Images that are predicted together: as many as in training, to get the same bits as the pipeline."""
        return self.experiment.training.batch_size

    def prepare(self, image: NDArray[Any], spacing_mm: Spacing | None) -> Prepared:
        """Fit an image to the networks' input.

        Args:
            image: (height, width) or (channels, height, width), any real dtype, finite.
            spacing_mm: of its pixels, or None if unknown.
        """
        planes = channel_planes(self._as_stored(image))
        options = self.experiment.input
        low, high = zip(*(intensity_percentiles(plane, options.percentiles) for plane in planes), strict=True)
        placement = Placement.of((planes.shape[1], planes.shape[2]), spacing_mm, options, self.record.training_images)
        pixels = np.stack([placement.to_network(plane) for plane in planes]).astype(np.float32)
        return Prepared(pixels, low, high, placement)

    def _as_stored(self, image: NDArray[Any]) -> NDArray[Any]:
        """The intensities in the type of the training slices if it holds them: types decide last bits."""
        image = narrow(image)
        return image.astype(np.promote_types(image.dtype, np.dtype(self.record.training_images.image_type)), copy=False)

    def run(self, prepared: Sequence[Prepared], *, flips: bool = False) -> Raw:
        """Run all networks on a batch.

        Args:
            prepared: at least one image.
            flips: average over the image and its three mirror images.
        """
        pixels = torch.from_numpy(np.stack([one.pixels for one in prepared])).to(self.device)
        limits = np.array([[one.low, one.high] for one in prepared], dtype=np.float32)
        low, high = torch.from_numpy(limits).to(self.device)[..., None, None].unbind(1)
        images = normalize_(pixels, low, high)
        outputs = [
            _probabilities(one, images, axes) for one in self.recipes for axes in (FLIPS if flips else FLIPS[:1])
        ]
        masks, classes = ([one[task] for one in outputs] for task in (0, 1))
        return Raw(
            _mean(masks),
            _mean(classes),
            images.mean(dim=(1, 2, 3)).tolist(),
            images.std(dim=(1, 2, 3), correction=0).tolist(),
        )

    def finish(self, raw: Raw, row: int, prepared: Prepared, variant: str = RAW) -> Prediction:
        """Restore one row of a batch to the image's native size, and compare the image with the training images."""
        placement = prepared.placement
        probability = mask = None
        if raw.masks is not None:
            probability = placement.to_image(raw.masks[row])
            mask = VARIANTS[variant](probability >= 0.5)
        names = self.record.classes
        classes = {} if raw.classes is None else dict(zip(names, map(float, raw.classes[row]), strict=True))
        limits = zip(self.record.channels or ("",), prepared.low, prepared.high, strict=True)
        constant = [name for name, low, high in limits if low == high]
        seen = Seen(placement, constant, raw.means[row], raw.stds[row], mask)
        return Prediction(probability, mask, classes, tuple(unlike(seen, self.record.training_images)))

    def predict(
        self,
        image: NDArray[Any],
        spacing_mm: float | Spacing | None = None,
        *,
        flips: bool = False,
        variant: str = RAW,
    ) -> Prediction:
        """Segment and classify one image.

        Args:
            image: (height, width) array of intensities, any real dtype. Where `record.channels` names channels,
                (channels, height, width) in their order.
            spacing_mm: side of a pixel, or (between rows, between columns); None if unknown.
            flips: average over the image and its three mirror images.
            variant: how the mask is postprocessed: raw, pkp or pkp-guarded.

        Raises:
            UserError: the image is not of this shape and of finite numbers, or the variant is unknown.
        """
        image = checked_image(np.asarray(image), "image", self.record.channels)
        if variant not in VARIANTS:
            raise UserError(f"variant {variant!r} is unknown; {known_names(variant, VARIANTS)}")
        pair = (spacing_mm, spacing_mm) if isinstance(spacing_mm, int | float) else spacing_mm
        if pair is not None and not all(np.isfinite(side) and side > 0 for side in pair):
            raise UserError(f"spacing_mm is {spacing_mm}, expected positive millimeters, or None if unknown")
        prepared = self.prepare(image, pair)
        return self.finish(self.run([prepared], flips=flips), 0, prepared, variant)


def load(folder: Path | str, *, device: str = "auto") -> Model:
    """Load a package of `mmran package`; see `Model.load`."""
    return Model.load(folder, device=device)


def checked_image(image: NDArray[Any], file: str, channels: Sequence[str] = ()) -> NDArray[Any]:
    """An image that can be predicted, in the byte order of the machine.

    Args:
        image: the array.
        file: what it is called, for the message.
        channels: names of its channels; empty for a gray image.

    Raises:
        UserError: it is not (height, width), or (channels, height, width), of finite real numbers.
    """
    expected = (len(channels),) if channels else ()
    if image.shape[:-2] != expected or image.ndim < 2 or 0 in image.shape:
        shape, order = "(height, width)", ""
        if channels:
            shape, order = f"({len(channels)}, height, width)", f", channels in the order {', '.join(channels)}"
        raise UserError(f"{file}: has shape {image.shape}, expected {shape}{order}; give one slice at a time")
    if image.dtype == np.bool_:
        image = image.astype(np.uint8)
    if image.dtype.kind not in "iuf":
        raise UserError(f"{file}: holds {image.dtype}, expected real numbers; convert it to gray values")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        n_bad = np.count_nonzero(~np.isfinite(image))
        raise UserError(
            f"{file}: has {n_bad} pixels that are NaN or infinite; replace them with the background's value"
        )
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def _probabilities(
    recipe: Recipe, images: Tensor, axes: tuple[int, ...]
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    output = recipe.predict(images.flip(axes) if axes else images)
    masks = classes = None
    if output.mask_logits is not None:
        found = output.mask_logits.float().sigmoid()
        masks = (found.flip(axes) if axes else found)[:, 0].cpu().numpy()
    if output.class_logits is not None:
        classes = output.class_logits.float().softmax(1).cpu().numpy()
    return masks, classes


def _mean(outputs: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    found = [one for one in outputs if one is not None]
    return np.mean(found, axis=0, dtype=np.float32) if len(found) > 1 else (found[0] if found else None)


def _changed_code(experiment: Experiment, record: Package) -> list[str]:
    """A line if the network's source has changed since training."""
    module = NETWORKS.get(experiment.network.name, experiment.network.name).partition(":")[0]
    present = code_digests((module,))
    changed = [name for name, digest in present.items() if experiment.code.get(name, digest) != digest]
    if not changed:
        return []
    return [
        f"the source of {', '.join(changed)} changed since mmran {record.versions.get('mmran', '')} trained this "
        "model; compare its predictions with those of that version"
    ]
