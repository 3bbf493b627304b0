"""Draw slices, masks and outlines."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from mmran.data.channels import is_color, shown_planes
from mmran.data.classes import class_title
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.postprocess import VARIANTS
from mmran.evaluation.predictions import TUMOR_BYTE, read_predictions
from mmran.metrics.overlap import bounding_box
from mmran.report.figures.rows import Row

TRUTH_LINE: dict[str, Any] = {"color": "white", "linestyle": (0, (2.2, 1.1))}
SCALE_BARS_MM = (100, 50, 20, 10, 5, 2, 1)
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in perceived brightness."""
DARK = 0.35
BACKGROUND = 0.1
"""The highest intensity of the air around a head, as a share of the window."""


class Box(NamedTuple):
    """Part of a slice in pixels: first row and column, and one past the last."""

    top: int
    left: int
    bottom: int
    right: int


def check_store(rows: Iterable[Row], store: SliceStore) -> None:
    """Refuse a store that the rows were not predicted from.

    Raises:
        UserError: its digest differs.
    """
    for row in rows:
        if row.summary.digests["data"] != store.digest:
            raise UserError(
                f"{store.path}: has digest {store.digest[:12]}, but {row.experiment} was measured on slices with "
                f"{row.summary.digests['data'][:12]}; give the store that it was predicted from"
            )


def predicted_masks(row: Row, numbers: Iterable[int], variant: str) -> dict[int, NDArray[np.bool_]]:
    """Masks (H, W) bool of some slices under the first seed, by slice.

    Raises:
        UserError: predictions.h5 is absent, damaged, or not what the row was measured from.
    """
    masks = {}
    with read_predictions(row.predictions) as predictions:
        for what, digest in {**predictions.digests, "predictions": predictions.content}.items():
            if row.summary.digests[what] != digest:
                raise UserError(
                    f"{row.predictions}: its digest of the {what} is not the one in the summary; evaluate "
                    f"{row.experiment} again"
                )
        of_seed = predictions.cases[predictions.cases["seed"] == row.seeds[0]]
        places = {case["slice"]: (case["group"], case["row"]) for case in of_seed.to_dict("records")}
        for number in numbers:
            if number not in places:
                raise UserError(f"{row.predictions}: has no slice {number}; evaluate {row.experiment} again")
            mask = predictions.stored_probability(*places[number]) >= TUMOR_BYTE
            masks[number] = VARIANTS[variant](mask)
    return masks


def spacing_mm(store: SliceStore, number: int) -> float:
    """Side of a slice's pixels in mm."""
    return float(store.index.set_index("slice")["spacing_mm"][number])


def windowed(image: NDArray[Any], channels: Sequence[str] = ()) -> NDArray[np.float32]:
    """Map the 1st to 99th percentile of an image to 0..1 for display.

    Args:
        image: (H, W) or (C, H, W).
        channels: names of the channels.

    Returns:
        (H, W) of the first channel; (H, W, 3) of red, green, and blue.
    """
    shown = shown_planes(image, channels)
    image = np.moveaxis(shown, 0, 2) if len(shown) > 1 else shown[0]
    low, high = np.percentile(image, (1, 99))
    return np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def shown_channel(store: SliceStore) -> list[str]:
    """The sentence of a caption about which channel the pictures show; none for gray images and color."""
    return (
        [f"Pictures show the channel {store.channels[0]}."] if store.channels and not is_color(store.channels) else []
    )


def square_around(mask: NDArray[np.bool_], margin: float, smallest_px: int = 16) -> Box:
    """The square around a mask, shifted so that it stays inside the image.

    Args:
        mask: (H, W) bool.
        margin: how much wider than the lesion the square is, as a share of the lesion.
        smallest_px: the shortest side.
    """
    height, width = mask.shape
    rows, columns = bounding_box(mask) or (slice(0, height), slice(0, width))
    extent = max(rows.stop - rows.start, columns.stop - columns.start)
    side = min(max(round(extent * (1 + margin)), smallest_px), height, width)
    top = int(np.clip((rows.start + rows.stop - side) // 2, 0, height - side))
    left = int(np.clip((columns.start + columns.stop - side) // 2, 0, width - side))
    return Box(top, left, top + side, left + side)


def head_box(picture: NDArray[np.float32], box: Box, *masks: NDArray[np.bool_]) -> Box:
    """The square around the foreground, a box and every mask, so that none is cut off."""
    bright = picture.max(axis=2) if picture.ndim > 2 else picture
    shown = np.logical_or.reduce([bright > BACKGROUND, *masks])
    shown[box.top : box.bottom, box.left : box.right] = True
    return square_around(shown, margin=0.02)


def show(axes: Axes, image: NDArray[Any], box: Box | None = None) -> None:
    """Draw an image, (H, W) of 0..1 or (H, W, 3), or the part inside a box."""
    height, width = image.shape[:2]
    top, left, bottom, right = box or Box(0, 0, height, width)
    # When enlarged, store the original pixels in the SVG, not a larger copy.
    enlarged = axes.get_window_extent().width >= right - left
    axes.imshow(
        image[top:bottom, left:right],
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="none" if enlarged else "auto",
        extent=(left - 0.5, right - 0.5, bottom - 0.5, top - 0.5),
    )
    axes.set(xticks=[], yticks=[], xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))
    axes.set_facecolor("black")
    for spine in axes.spines.values():
        spine.set_visible(False)


def outline(axes: Axes, mask: NDArray[np.bool_], width_pt: float, **line: Any) -> None:
    """Draw the outline of a mask (H, W) on top of what `show` drew."""
    if not mask.any():
        return
    # A frame of background closes the outline of a lesion at the edge of the image.
    height, width = mask.shape
    framed = np.pad(mask, 1).astype(np.float32)
    lines = axes.contour(
        np.arange(-1, width + 1),
        np.arange(-1, height + 1),
        framed,
        levels=[0.5],
        colors=[line["color"]],
        linestyles=[line.get("linestyle", "-")],
        linewidths=[width_pt],
    )
    # A casing makes a line visible on black and on white; that of a dashed line is solid and fills the gaps.
    casing = "white" if np.dot(to_rgb(line["color"]), LUMA) < DARK else "black"
    solid = {"dash_offset": 0, "dash_list": None}
    lines.set_path_effects([Stroke(linewidth=width_pt + 0.7, foreground=casing, alpha=0.8, dashes=solid), Normal()])


def mark(axes: Axes, box: Box) -> None:
    """Mark the square that another panel enlarges."""
    top, left, bottom, right = (edge - 0.5 for edge in box)
    axes.plot(
        [left, right, right, left, left], [top, top, bottom, bottom, top], color="white", linewidth=0.6, clip_on=False
    )


def scale_bar(axes: Axes, box: Box, spacing_mm: float) -> None:
    """Draw a scale bar of a round length, at most a third of the box, in its lower left corner."""
    side_mm = (box.right - box.left) * spacing_mm
    length_mm = next((length for length in SCALE_BARS_MM if length <= side_mm / 3), SCALE_BARS_MM[-1])
    share = length_mm / side_mm
    inside: dict[str, Any] = {"transform": axes.transAxes, "color": "white"}
    line = axes.plot([0.06, 0.06 + share], [0.06, 0.06], linewidth=1.5, solid_capstyle="butt", **inside)
    text = axes.text(0.06, 0.09, f"{length_mm} mm", fontsize=5.5, **inside)
    line[0].set_path_effects([Stroke(linewidth=2.5, foreground="black"), Normal()])
    text.set_path_effects([Stroke(linewidth=1.2, foreground="black"), Normal()])


def lesion_name(case: Any, classes: Sequence[str]) -> str:
    """What a slice shows: "glioma, slice 123"."""
    name = f"{class_title(classes[int(case['label']) - 1])}, " if classes else ""
    return f"{name}slice {int(case['slice'])}"
