import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import ndimage

from mmran.report.figures import confusion, style
from mmran.report.figures.confusion import counts, row_shares
from tests.unit.report.evaluated import ROWS, read, row_of, spec_of


def ink(figure, label) -> np.ndarray:
    """(H, W) bool: the pixels that one text darkens, two pixels of air around it included."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    before = np.asarray(canvas.buffer_rgba())[..., :3].min(axis=2)
    label.set_visible(False)
    canvas.draw()
    after = np.asarray(canvas.buffer_rgba())[..., :3].min(axis=2)
    label.set_visible(True)
    return ndimage.binary_dilation(before != after, iterations=2)


@pytest.mark.slow
def test_the_names_of_the_classes_touch_neither_each_other_nor_a_matrix(results):
    rows = read(results, ROWS[1:]) * 4
    with matplotlib.style.context(["default", style.RC]):
        figure = confusion.draw(spec_of("confusion", ROWS), rows).figure
        figure.set_dpi(100)
        labels = [label for axes in figure.axes for label in axes.get_xticklabels() if label.get_text()]
        inks = [ink(figure, label) for label in labels]
    assert len(labels) == 12  # three below each of the four columns
    assert all(patch.any() for patch in inks)
    assert np.sum(inks, axis=0).max() == 1
    height = figure.bbox.height
    matrices = [axes.get_window_extent() for axes in figure.axes if axes.images]
    for box in matrices:
        rows_, columns = slice(int(height - box.y1), int(height - box.y0)), slice(int(box.x0), int(box.x1))
        assert not any(patch[rows_, columns].any() for patch in inks)


def class_cases(seed: int, *pairs: tuple[int, int]) -> list[dict]:
    return [
        {"slice": i, "seed": seed, "variant": variant, "label": label, "predicted": predicted}
        for i, (label, predicted) in enumerate(pairs)
        for variant in ("raw", "pkp")
    ]


def test_confusion_counts_each_slice_once_and_sums_over_seeds():
    row = row_of([*class_cases(7, (1, 1), (1, 2), (2, 2)), *class_cases(9, (1, 1), (1, 1), (2, 1))])
    # true class 1: right in 1 + 2, taken for 2 in 1 + 0; true class 2: right in 1 + 0, taken for 1 in 0 + 1
    assert counts(row).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    shares = row_shares(counts(row))
    assert shares[:2].tolist() == [[0.75, 0.25, 0], [0.5, 0.5, 0]]
    assert np.isnan(shares[2]).all()
