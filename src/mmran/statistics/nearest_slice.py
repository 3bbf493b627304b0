"""The nearest training slice as a baseline: what a network that only recognizes patients would reach.

Every test slice gets the class and the mask of the training slice whose 16 x 16 thumbnail is nearest. It takes
seconds, knows nothing about tumors, and reaches 97 % accuracy if slices of one patient are on both sides of the
split, 73 % if they are not. It writes cases.csv and summary.json like an experiment.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.config.tables import NEAREST
from mmran.data.channels import channel_planes
from mmran.data.geometry import fit_image
from mmran.data.splits import read_split
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.evaluation.summary import Summary
from mmran.files import sha256_file, write_text
from mmran.metrics.custom import CustomMetrics
from mmran.statistics.nearest_spec import THUMBNAIL_PX, specification

SEED = 0
"""Nothing is drawn, so there is one seed."""


def predict_nearest(store_path: Path, split_path: Path, output: Path, custom: CustomMetrics | None = None) -> Summary:
    """Copy class and mask of the nearest training slice, and measure them.

    Args:
        store_path: the slice store.
        split_path: csv of the protocol.
        output: folder that gets spec.json, predictions.h5, cases.csv and summary.json.
        custom: metrics from outside the package, measured too.

    Raises:
        UserError: a file is absent or damaged, or a fold has no training or test slices.
    """
    split = read_split(split_path)
    write_text(output / "spec.json", specification())
    with SliceStore(store_path) as store:
        digests = {
            "spec": sha256_file(output / "spec.json"),
            "data": store.digest,
            "split": sha256_file(split_path),
        }
        numbers = store.index["slice"].tolist()
        seen = thumbnails(store, numbers)
        with PredictionWriter(output / "predictions.h5", NEAREST, split_path.stem, digests, store.classes) as writer:
            for fold in sorted(split["fold"].unique().tolist()):
                _predict_fold(store, split[split["fold"] == fold], fold, dict(zip(numbers, seen, strict=True)), writer)
    cases, summary = output / "cases.csv", output / "summary.json"
    return evaluate(output / "predictions.h5", store_path, split_path, cases, summary, custom)


def thumbnails(store: SliceStore, numbers: list[int]) -> NDArray[np.float32]:
    """Shrink slices to a few pixels.

    Returns:
        (n, 256 C) float32, each channel of mean 0 and equal length, 1 for one channel, so that brightness and contrast
        do not matter.
    """
    n_channels = len(store.channels) or 1
    small = [
        fit_image(plane.astype(np.float32), THUMBNAIL_PX, "resample").ravel()
        for number in numbers
        for plane in channel_planes(store.read(number)[0])
    ]
    stacked = np.stack(small).astype(np.float32)
    stacked -= stacked.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
    return (stacked / np.maximum(lengths, np.float32(1e-12))).reshape(len(numbers), n_channels * THUMBNAIL_PX**2)


def nearest(wanted: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n,) place of the nearest known thumbnail (m, d) to each wanted one (n, d); the first of equals."""
    # For vectors of length 1, the nearest has the largest scalar product.
    return np.argmax(wanted @ known.T, axis=1)


def _predict_fold(
    store: SliceStore,
    rows: pd.DataFrame,
    fold: int,
    seen: dict[int, NDArray[np.float32]],
    writer: PredictionWriter,
) -> None:
    training = rows.loc[rows["role"] == "train", "slice"].tolist()
    tests = rows.loc[rows["role"] == "test", "slice"].tolist()
    if not training or not tests:
        raise UserError(f"split: fold {fold} has no {'test' if training else 'train'} slices")
    labels = store.index.set_index("slice")["label"]
    places = nearest(np.stack([seen[number] for number in tests]), np.stack([seen[number] for number in training]))
    for number, place in zip(tests, places.tolist(), strict=True):
        neighbor = training[place]
        theirs, own = (
            store.read(one, check=False)[1] for one in (neighbor, number)
        )  # both were checked for their thumbnails
        mask = resized(theirs != 0, own.shape).astype(np.float32) if store.has_masks else None
        classes = np.eye(len(store.classes), dtype=np.float32)[labels[neighbor] - 1] if store.classes else None
        writer.add(number, SEED, fold, mask, classes)


def resized(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask (h, w) at another size (H, W), by the nearest pixel."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)]
