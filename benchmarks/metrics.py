"""How the metrics compare with MONAI, medpy and scipy, in one run: `python benchmarks/metrics.py`.

Quote the ratios; milliseconds depend on the machine and the moment. With --real FOLDER the lesions are those of the
N.mat files in it, else ellipses. Predictions are lesions with a jittered border and holes, or noise as from an
untrained network.
"""

import argparse
import logging
import tempfile
import timeit
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from mmran.data.cheng import Slice, read_slice, write_slice
from mmran.data.convert import convert
from mmran.data.splits import COLUMNS
from mmran.data.store import SliceStore
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.postprocess import fill_holes
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.files import sha256_file
from mmran.metrics.nearest import HAS_NUMBA
from mmran.metrics.overlap import count_pixels, dice, iou, recall
from mmran.metrics.surface import border, hd95_mm, surface_distances

SIZE, SPACING_MM, TEST_SLICES = 512, 0.49, 307


def median_ms(function: Callable[[], object], seconds: float = 1.0) -> float:
    """Median of as many runs as fit in the time, at least three; the first run is not counted."""
    function()
    once = timeit.timeit(function, number=1)
    number = max(1, int(0.02 / once))
    repeats = max(3, min(50, int(seconds / (once * number))))
    return float(np.median(timeit.repeat(function, number=number, repeat=repeats))) / number * 1e3


def once_ms(function: Callable[[], object]) -> float:
    """One run, for what takes seconds."""
    return timeit.timeit(function, number=1) * 1e3


def report(title: str, ours: dict[str, float], peers: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, value in {**ours, **peers}.items():
        ratios = "   ".join(f"{peers[peer] / value:5.1f}x {peer}" for peer in peers) if name in ours else ""
        print(f"  {name:22} {value:10.3f} ms   {ratios}")


def lesions(real: Path | None, n: int) -> list[np.ndarray]:
    """Masks (H, W) bool."""
    if real is not None:
        paths = sorted(real.glob("[0-9]*.mat"), key=lambda path: int(path.stem))
        masks = [read_slice(path).mask != 0 for path in paths]
        masks = [mask for mask in masks if mask.shape == masks[0].shape]
        return [masks[i % len(masks)] for i in range(n)]
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    drawn = []
    for _ in range(n):
        row, column = random.uniform(150, 360, size=2)
        height, width = random.uniform(15, 60, size=2)
        drawn.append(((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1)
    return drawn


def shaken(mask: np.ndarray, seed: int) -> np.ndarray:
    """A probability (H, W) float32 whose half is the lesion with an uneven border and some holes."""
    random = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(random.standard_normal(mask.shape), 4) * 4
    return np.clip(ndimage.gaussian_filter(mask.astype(np.float32), 4) + 0.25 * rough * mask, 0, 1)


def noise(shape: tuple[int, int], n_border: int) -> np.ndarray:
    """Noise with about `n_border` border pixels."""
    return np.random.default_rng(1).random(shape) < n_border / (shape[0] * shape[1])


def monai_hd95(prediction: np.ndarray, truth: np.ndarray) -> float:
    import torch
    from monai.metrics import compute_hausdorff_distance

    tensors = (torch.from_numpy(prediction)[None, None], torch.from_numpy(truth)[None, None])
    return float(compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=SPACING_MM))


def compare_hd95(title: str, prediction: np.ndarray, truth: np.ndarray) -> None:
    from medpy.metric.binary import hd95 as medpy_hd95

    n_border = (np.count_nonzero(border(prediction)), np.count_nonzero(border(truth)))
    ours = {
        "mmran without numba": median_ms(
            lambda: hd95_mm(surface_distances(prediction, truth, SPACING_MM, compiled=False))
        )
    }
    if HAS_NUMBA:
        ours = {
            "mmran": median_ms(lambda: hd95_mm(surface_distances(prediction, truth, SPACING_MM, compiled=True)))
        } | ours
    peers = {
        "MONAI": median_ms(lambda: monai_hd95(prediction, truth)),
        "medpy": median_ms(lambda: medpy_hd95(prediction, truth, SPACING_MM)),
    }
    report(f"HD95, {title} ({n_border[0]} and {n_border[1]} border pixels)", ours, peers)


def compare_fill_holes(title: str, mask: np.ndarray) -> None:
    from monai.transforms import FillHoles

    fill = FillHoles()
    report(
        f"hole filling, {title}",
        {"mmran": median_ms(lambda: fill_holes(mask))},
        {
            "scipy": median_ms(lambda: ndimage.binary_fill_holes(mask)),
            "MONAI": median_ms(lambda: fill(mask[None].astype(np.uint8))),
        },
    )


def compare_evaluation(masks: list[np.ndarray]) -> None:
    """The stage evaluate, files and hole filling included, against loops over the same masks in memory."""
    probabilities = [shaken(mask, i) for i, mask in enumerate(masks)]
    with tempfile.TemporaryDirectory() as folder:
        store, split, predictions = prepare(Path(folder), masks, probabilities)
        ours = median_ms(lambda: evaluate(predictions, store, split, Path(folder, "c.csv"), Path(folder, "s.json")))

    predicted = [probability >= 0.5 for probability in probabilities]
    report(
        f"evaluating {len(masks)} slices, in all variants",
        {"mmran, files included": ours},
        {
            "MONAI": once_ms(lambda: loop_over(predicted, masks, monai_case)),
            "medpy": once_ms(lambda: loop_over(predicted, masks, medpy_case)),
        },
    )


def prepare(folder: Path, masks: list[np.ndarray], probabilities: list[np.ndarray]) -> tuple[Path, Path, Path]:
    """A store, a split and predictions of the masks."""
    for number, mask in enumerate(masks, start=1):
        image = np.zeros(mask.shape, dtype=np.int16)
        slice = Slice(number, number % 3 + 1, f"P{number}", image, mask.astype(np.uint8), np.zeros((1, 2)))
        write_slice(folder, slice)
    convert([folder], folder / "slices.h5")
    with SliceStore(folder / "slices.h5") as store:
        index, data = store.index, store.digest
    split = folder / "split.csv"
    index.assign(fold=0, role="train")[COLUMNS].to_csv(split, index=False)
    digests = {"spec": "", "data": data, "split": sha256_file(split)}
    scores = np.random.default_rng(2).dirichlet((1, 1, 1), size=len(masks))
    with PredictionWriter(folder / "p.h5", "benchmark", "paper", digests) as writer:
        for number, probability in enumerate(probabilities, start=1):
            writer.add(number, 0, 0, probability, scores[number - 1])
    return folder / "slices.h5", split, folder / "p.h5"


def loop_over(predicted: list[np.ndarray], masks: list[np.ndarray], case: Callable[..., None]) -> None:
    for prediction, truth in zip(predicted, masks, strict=True):
        case(prediction, truth)
        filled = ndimage.binary_fill_holes(prediction)
        if not np.array_equal(filled, prediction):  # as ours: equal masks are measured once
            case(filled, truth)


def monai_case(prediction: np.ndarray, truth: np.ndarray) -> None:
    import torch
    from monai.metrics import compute_dice, compute_iou

    both = [torch.from_numpy(np.stack([~mask, mask]))[None] for mask in (prediction, truth)]
    compute_dice(both[0][:, 1:], both[1][:, 1:])
    compute_iou(*both)
    monai_hd95(prediction, truth)


def medpy_case(prediction: np.ndarray, truth: np.ndarray) -> None:
    from medpy.metric import binary

    binary.dc(prediction, truth)
    binary.jc(prediction, truth)
    binary.recall(prediction, truth)
    binary.hd95(prediction, truth, SPACING_MM)


def compare_overlap(prediction: np.ndarray, truth: np.ndarray) -> None:
    def ours() -> None:
        counts = count_pixels(prediction, truth)
        dice(counts), iou(counts), recall(counts)

    from medpy.metric import binary

    peers = {
        "medpy": median_ms(lambda: (binary.dc(prediction, truth), binary.jc(prediction, truth))),
    }
    report("Dice, IoU and recall of both classes (medpy: Dice and IoU of one)", {"mmran": median_ms(ours)}, peers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="folder of N.mat files")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    masks = lesions(arguments.real, TEST_SLICES)
    truth = sorted(masks, key=np.count_nonzero)[len(masks) // 2]
    prediction = shaken(truth, 0) >= 0.5
    shape = truth.shape
    print(f"{'real' if arguments.real else 'synthetic'} lesions of {shape[0]} x {shape[1]} pixels")
    compare_hd95("lesion of median size", prediction, truth)
    compare_hd95("noise against a lesion", noise(shape, 40_000), truth)
    compare_hd95("noise against noise", noise(shape, 40_000), np.rot90(noise(shape, 40_000)).copy())
    compare_fill_holes("lesion", prediction)
    compare_fill_holes("noise", noise(shape, shape[0] * shape[1] // 2))
    compare_overlap(prediction, truth)
    compare_evaluation(masks)


if __name__ == "__main__":
    main()
