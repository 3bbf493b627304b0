"""The metrics against MONAI, medpy, scipy and scikit-learn, empty masks included."""

import math
import warnings

import numpy as np
import pytest
from scipy import ndimage

from mmran.evaluation.postprocess import fill_holes
from mmran.metrics.classification import (
    accuracy,
    confusion_matrix,
    f1,
    macro_precision,
    macro_recall,
    one_vs_rest_auc,
)
from mmran.metrics.overlap import count_pixels, dice, iou, recall, soft_dice
from mmran.metrics.surface import assd_mm, border, hd95_mm, nsd, surface_distances

SIZE = 96


def ellipse(row: float, column: float, height: float, width: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1


def noise(seed: int, rate: float) -> np.ndarray:
    return np.random.default_rng(seed).random((SIZE, SIZE)) < rate


def half(mask: np.ndarray, side: str) -> np.ndarray:
    kept = mask.copy()
    kept[:, SIZE // 3 :] &= side == "right"
    kept[:, : -SIZE // 3] &= side == "left"
    return kept


LESION = ellipse(40, 50, 15, 11)
PAIRS = {
    "smooth": (ellipse(42, 51, 13, 12), LESION),
    "in the corner of the frame": (ellipse(0, 0, 12, 20), ellipse(2, 1, 15, 16)),
    "over the opposite edges": (ellipse(95, 95, 30, 9), ellipse(60, 95, 20, 20)),
    "small beside large": (ellipse(10, 10, 2, 2), ellipse(60, 60, 30, 25)),
    "one pixel": (ellipse(40, 50, 0.5, 0.5), LESION),
    "whole frame": (np.ones((SIZE, SIZE), dtype=bool), LESION),
    "two parts": (LESION | ellipse(80, 10, 4, 6), LESION),
    "speckled": (LESION ^ noise(1, 0.02), LESION),
    "noise": (noise(2, 0.5), noise(3, 0.5)),
    "noise against a lesion": (noise(4, 0.3), LESION),
    "noise far apart": (half(noise(5, 0.5), "left"), half(noise(6, 0.5), "right")),
    "equal": (LESION, LESION),
}
EMPTY = np.zeros((SIZE, SIZE), dtype=bool)

every_pair = pytest.mark.parametrize("name", PAIRS)
either_way = pytest.mark.parametrize("compiled", [True, False], ids=["scan", "tree"])
some_spacings = pytest.mark.parametrize("spacing_mm", [0.49, (0.7, 1.9)])


def medpy_directed(a: np.ndarray, b: np.ndarray, spacing_mm) -> np.ndarray:
    binary = pytest.importorskip("medpy.metric.binary")
    return getattr(binary, "__surface_distances")(a, b, spacing_mm, 1)


def monai_hd95(prediction: np.ndarray, truth: np.ndarray, spacing_mm) -> float:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = metrics.compute_hausdorff_distance(
            torch.tensor(prediction)[None, None],
            torch.tensor(truth)[None, None],
            include_background=True,
            percentile=95,
            spacing=list(spacing_mm) if isinstance(spacing_mm, tuple) else spacing_mm,
        )
    return float(found)


@every_pair
def test_filled_holes_are_scipys_bit_for_bit(name):
    for mask in PAIRS[name]:
        assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.6, 0.65, 0.7, 0.9, 1.0])
def test_filled_holes_of_noise_are_scipys_bit_for_bit(rate):
    # Around .6 four-connected background falls apart into holes of every size.
    for seed in range(10):
        shape = np.random.default_rng(seed).integers(1, 60, size=2)
        mask = np.random.default_rng(seed).random(shape) < rate
        assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@every_pair
def test_the_border_is_what_scipys_erosion_leaves(name):
    for mask in PAIRS[name]:
        assert np.array_equal(border(mask), mask & ~ndimage.binary_erosion(mask))


@pytest.mark.slow
@either_way
@some_spacings
@every_pair
def test_hd95_is_medpys_directed_distances_to_a_billionth_of_a_millimeter(name, spacing_mm, compiled):
    # medpy's own hd95 takes one percentile of both directions together; its directed distances are the same.
    prediction, truth = PAIRS[name]
    there = np.percentile(medpy_directed(prediction, truth, spacing_mm), 95)
    back = np.percentile(medpy_directed(truth, prediction, spacing_mm), 95)
    found = hd95_mm(surface_distances(prediction, truth, spacing_mm, compiled=compiled))
    assert found == pytest.approx(max(there, back), abs=1e-9, rel=0)


@either_way
@some_spacings
@every_pair
def test_hd95_is_monais(name, spacing_mm, compiled):
    prediction, truth = PAIRS[name]
    found = hd95_mm(surface_distances(prediction, truth, spacing_mm, compiled=compiled))
    # MONAI keeps distances in float32.
    assert found == pytest.approx(monai_hd95(prediction, truth, spacing_mm), rel=1e-6, abs=1e-6)


@either_way
@some_spacings
@every_pair
def test_assd_and_nsd_are_monais(name, spacing_mm, compiled):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    prediction, truth = PAIRS[name]
    distances = surface_distances(prediction, truth, spacing_mm, compiled=compiled)
    pair = [torch.tensor(mask)[None, None] for mask in (prediction, truth)]
    options = {"include_background": True, "spacing": list(spacing_mm) if isinstance(spacing_mm, tuple) else spacing_mm}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assd = metrics.compute_average_surface_distance(*pair, symmetric=True, **options)
        shares = metrics.compute_surface_dice(*pair, class_thresholds=[2.1], **options)
    assert assd_mm(distances) == pytest.approx(float(assd), rel=1e-5, abs=1e-6)
    assert nsd(distances, 2.1) == pytest.approx(float(shares), rel=1e-6)


def test_where_a_mask_is_empty_the_peers_drop_it_or_fail_and_ours_is_defined():
    binary = pytest.importorskip("medpy.metric.binary")
    for prediction, truth in ((EMPTY, LESION), (LESION, EMPTY)):
        assert not math.isfinite(monai_hd95(prediction, truth, 0.49))
        with pytest.raises(RuntimeError):
            binary.hd95(prediction, truth, 0.49)
        assert hd95_mm(surface_distances(prediction, truth, 0.49)) == pytest.approx(math.hypot(SIZE, SIZE) * 0.49)
    with pytest.raises(RuntimeError):
        binary.hd95(EMPTY, EMPTY, 0.49)
    assert hd95_mm(surface_distances(EMPTY, EMPTY, 0.49)) == 0


@pytest.mark.parametrize("name", [*PAIRS, "missed", "invented", "both empty"])
def test_dice_and_iou_are_monais(name):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    empties = {"missed": (EMPTY, LESION), "invented": (LESION, EMPTY), "both empty": (EMPTY, EMPTY)}
    prediction, truth = (PAIRS | empties)[name]
    counts = count_pixels(prediction, truth)

    def both(mask: np.ndarray):  # (1, 2, H, W): background and tumor
        return torch.tensor(np.stack([~mask, mask]))[None]

    monai_iou = metrics.compute_iou(both(prediction), both(truth), ignore_empty=False)[0]
    assert iou(counts) == pytest.approx(monai_iou.tolist(), rel=1e-6)
    monai_dice = metrics.compute_dice(both(prediction), both(truth), include_background=False, ignore_empty=False)
    assert dice(counts) == pytest.approx(float(monai_dice), rel=1e-6)


@every_pair
def test_dice_and_recall_are_medpys(name):
    binary = pytest.importorskip("medpy.metric.binary")
    prediction, truth = PAIRS[name]
    counts = count_pixels(prediction, truth)
    assert dice(counts) == pytest.approx(binary.dc(prediction, truth))
    assert recall(counts).tumor == pytest.approx(binary.recall(prediction, truth))


@every_pair
def test_pixel_metrics_are_scikit_learns(name):
    sklearn = pytest.importorskip("sklearn.metrics")
    prediction, truth = (mask.ravel() for mask in PAIRS[name])
    counts = count_pixels(*PAIRS[name])
    background = {"pos_label": False}
    assert recall(counts) == pytest.approx(
        (sklearn.recall_score(truth, prediction, **background), sklearn.recall_score(truth, prediction))
    )
    assert iou(counts).mean == pytest.approx(sklearn.jaccard_score(truth, prediction, average="macro"))
    assert soft_dice(PAIRS[name][0].astype(float), PAIRS[name][1]) == pytest.approx(sklearn.f1_score(truth, prediction))


def labels_and_scores(seed: int, n: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """True classes, and probabilities that lean to them; few decimals make many ties."""
    random = np.random.default_rng(seed)
    truth = np.concatenate([[0, 1, 2], random.integers(0, 3, size=n - 3)])
    scores = random.dirichlet((1, 1, 1), size=n) + 0.4 * np.eye(3)[truth]
    return truth, np.round(scores / scores.sum(axis=1, keepdims=True), decimals)


@pytest.mark.parametrize("decimals", [1, 2, 12])
@pytest.mark.parametrize("n", [3, 20, 306])
def test_auc_is_scikit_learns_ties_included(n, decimals):
    sklearn = pytest.importorskip("sklearn.metrics")
    for seed in range(5):
        truth, scores = labels_and_scores(seed, n, decimals)
        expected = [sklearn.roc_auc_score(truth == i, scores[:, i]) for i in range(3)]
        assert one_vs_rest_auc(truth, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [8, 20, 306])
def test_class_metrics_are_scikit_learns(n):
    sklearn = pytest.importorskip("sklearn.metrics")
    for seed in range(5):
        truth, scores = labels_and_scores(seed, n, 12)
        predicted = scores.argmax(axis=1)
        confusion = confusion_matrix(truth, predicted, 3)
        precision = sklearn.precision_score(truth, predicted, average="macro", zero_division=0)
        sensitivity = sklearn.recall_score(truth, predicted, average="macro")
        assert np.array_equal(confusion, sklearn.confusion_matrix(truth, predicted))
        assert accuracy(confusion) == pytest.approx(sklearn.accuracy_score(truth, predicted))
        assert macro_precision(confusion) == pytest.approx(precision)
        assert macro_recall(confusion) == pytest.approx(sensitivity)
        # Eq. 23, which is not scikit-learn's mean of the classes' F1.
        assert f1(confusion) == pytest.approx(2 * precision * sensitivity / (precision + sensitivity))


@pytest.mark.real
def test_hd95_and_filled_holes_of_real_lesions_are_the_peers(real_full_sample):
    from mmran.data.cheng import read_slice

    paths = sorted(real_full_sample.glob("[0-9]*.mat"))[::6]
    for path in paths:
        truth = read_slice(path).mask != 0
        noisy = ndimage.gaussian_filter(truth.astype(float), 4)
        prediction = noisy + 0.2 * np.random.default_rng(0).standard_normal(truth.shape) * (noisy > 0.05) > 0.5
        assert np.array_equal(fill_holes(prediction), ndimage.binary_fill_holes(prediction))
        found = hd95_mm(surface_distances(prediction, truth, 0.49))
        assert found == pytest.approx(monai_hd95(prediction, truth, 0.49), rel=1e-6)
