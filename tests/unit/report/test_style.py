import itertools
from pathlib import Path

import numpy as np
import pytest

from mmran.config.configuration import Config
from mmran.config.load import load
from mmran.report.figures import style
from tests.unit.report.evaluated import ROWS, read

ROOT = Path(__file__).resolve().parents[3]

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def cielab(colors: list[str], seen_by: str) -> np.ndarray:
    """(N, 3) CIELAB coordinates, under D65, of sRGB colors as a reader sees them."""
    rgb = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(VISION[seen_by]), 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.transpose(to_xyz) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("seen_by", VISION)
def test_every_pair_of_colors_is_26_cielab_apart_also_on_paper_and_on_black(seen_by):
    colors = [*style.COLORS, "#FFFFFF", "#000000"]
    points = cielab(colors, seen_by)
    for (i, first), (j, second) in itertools.combinations(enumerate(colors), 2):
        assert np.linalg.norm(points[i] - points[j]) >= 26, (first, second)


@pytest.mark.parametrize("seen_by", VISION)
def test_nothing_looks_like_mmran(seen_by):
    *others, mmran = cielab(style.COLORS, seen_by)
    assert min(np.linalg.norm(other - mmran) for other in others) >= 36


@pytest.mark.parametrize("first", ["figure6", "figure5"])
@pytest.mark.parametrize("overlays", [(), ("demo.yaml",), ("reference.yaml",)], ids=str)
def test_no_two_networks_of_a_figure_have_the_same_color(overlays, first):
    paths = [ROOT / "config.yaml", *(ROOT / "workflow" / "overlays" / name for name in overlays)]
    values = load(paths) | {"source": "phantom"}
    # Snakemake puts what an overlay names before the rest.
    values["figures"] = {first: values["figures"][first], **values["figures"]}
    config = Config.checked(values)
    for figure in map(config.figure, config.figures):
        orders = {row.experiment: row.style for row in figure.rows}
        assert len({style.color(order) for order in orders.values()}) == len(orders), figure.name
    mmran = [row.style for row in config.figure("figure8").rows if row.label == "MMRAN"]
    assert mmran == [len(style.COLORS) - 1]


def test_the_color_distance_is_that_of_published_examples():
    # CIELAB of pure red is (53.24, 80.09, 67.20); black and white are 100 apart.
    assert cielab(["#FF0000"], "normal")[0] == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    black, white = cielab(["#000000", "#FFFFFF"], "protan")
    assert np.linalg.norm(black - white) == pytest.approx(100, abs=0.01)
    # The failure that this test would have caught: Chen et al. and MMRAN in the first palette.
    former = cielab(["#C9A04E", "#D55E00"], "protan")
    assert np.linalg.norm(former[0] - former[1]) == pytest.approx(19, abs=0.5)


def test_a_network_keeps_its_color_and_line_in_every_figure(results):
    rows = read(results, ROWS)
    assert [row.style for row in rows] == [0, 1, 2]
    alone = read(results, [ROWS[2] | {"style": 2}])[0]
    assert style.line(alone.style) == style.line(rows[2].style)
    lines = [(style.line(i)["color"], str(style.line(i)["linestyle"]), style.line(i)["linewidth"]) for i in range(63)]
    assert len(set(lines)) == 63


def test_long_labels_are_set_smaller_and_short_ones_are_not():
    assert style.fitting_size(["MMRAN"], 8, 1.3) == 8
    assert style.fitting_size(["", " "], 8, 1.3) == 8
    small = style.fitting_size(["Baseline + scSE + MSM + GMP + RES"], 8, 1.3)
    assert 4 < small < 8
    assert style.fitting_size(["Baseline + scSE + MSM + GMP + RES"], small, 1.3) == pytest.approx(small, rel=0.02)
