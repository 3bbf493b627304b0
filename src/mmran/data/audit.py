"""The data set doctor: what a store holds, whether it is whole, and how it differs from the published set."""

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from mmran.data.cheng import CLASS_NAMES, border_mask
from mmran.data.published import COUNTS
from mmran.data.store import SliceStore, narrow, slice_digest, store_digest

LOW_AGREEMENT = 0.7
_PUBLISHED_PID = r"\d{5,6}|MR\d{6}[A-Z]?"
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


def audit(store: SliceStore, on_progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Examine a store slice by slice.

    Args:
        store: an open store.
        on_progress: called with the number of slices examined and of all slices.

    Returns:
        Plain values for JSON, see `render` for their meaning. `digest.damaged` lists slices whose pixels are no
        longer what was converted; everything else is a finding, not damage.
    """
    index = store.index
    findings = pd.DataFrame(
        _examined(store, index, on_progress),
        columns=["digest", "pixels", "low", "high", "n_components", "n_hole_px", "iou", "iou_transposed"],
        index=index["slice"],
    )
    return {
        "store": store.path.name,
        "digest": _digest(store, findings),
        "slices": len(index),
        "patients": int(index["pid"].nunique()),
        "families": _families(index),
        "classes": _classes(index),
        "slices_per_patient": _spread(index.groupby("pid").size()),
        "sizes": _sizes(index),
        "intensities": {
            "type": store.image_type.name,
            "low": findings["low"].min().item(),
            "high": findings["high"].max().item(),
        },
        "tumor_mm2": _spread(index["tumor_px"] * index["spacing_mm"] ** 2),
        "masks": {
            "empty": index.loc[index["tumor_px"] == 0, "slice"].tolist(),
            "components": {str(n): count for n, count in sorted(Counter(findings["n_components"]).items())},
            "with_holes": findings.index[findings["n_hole_px"] > 0].tolist(),
        },
        "borders": _borders(findings),
        "duplicates": [group.index.tolist() for _, group in findings.groupby("pixels", sort=False) if len(group) > 1],
        "labels": {level: _with_several_labels(index, level) for level in ("pid", "family")},
        "cvind": _cvind(store),
        "published": _published(index),
        "rejects": [dataclasses.asdict(item) for item in store.rejects],
        "ignored": [dataclasses.asdict(item) for item in store.ignored],
    }


def _examined(
    store: SliceStore, index: pd.DataFrame, on_progress: Callable[[int, int], None] | None
) -> list[tuple[Any, ...]]:
    rows = []
    for n, row in enumerate(index.to_dict("records"), start=1):
        image, mask = store.read(row["slice"])
        image = narrow(image)
        border = store.border(row["slice"])
        rows.append(
            (
                slice_digest(row, image, mask, border),
                hashlib.sha256(image.tobytes()).digest(),
                image.min().item(),
                image.max().item(),
                *_shape_of(mask),
                *_agreement(border, mask),
            )
        )
        if on_progress:
            on_progress(n, len(index))
    return rows


def _shape_of(mask: NDArray[np.uint8]) -> tuple[int, int]:
    """Number of components, pixels at a corner touching, and of pixels in holes."""
    if not mask.any():
        return 0, 0
    tumor = mask != 0
    box = tumor[ndimage.find_objects(tumor.view(np.uint8))[0]]
    n_components = ndimage.label(box, _EIGHT_NEIGHBOURS)[1]
    return int(n_components), int(np.count_nonzero(ndimage.binary_fill_holes(box)) - np.count_nonzero(box))


def _agreement(border: NDArray[np.float64], mask: NDArray[np.uint8]) -> tuple[float, float]:
    """Intersection over union of the mask with its border polygon, as read and with x and y exchanged."""
    ious = []
    for points in (border, border[:, ::-1]):
        filled = border_mask(points, (mask.shape[0], mask.shape[1]))
        union = np.count_nonzero(filled | mask)
        ious.append(np.count_nonzero(filled & mask) / union if union else 0.0)
    return ious[0], ious[1]


def _digest(store: SliceStore, findings: pd.DataFrame) -> dict[str, Any]:
    found = np.frombuffer(b"".join(findings["digest"]), dtype=np.uint8).reshape(-1, 32)
    damaged = (found != store.slice_digests).any(axis=1)
    recomputed = store_digest(found, store.folds)
    return {
        "stored": store.digest,
        "recomputed": recomputed,
        "verified": recomputed == store.digest and not damaged.any(),
        "damaged": findings.index[damaged].tolist(),
    }


def _classes(index: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {
        name: {
            "slices": len(part),
            "patients": int(part["pid"].nunique()),
            "families": int(part["family"].nunique()),
        }
        for label, name in enumerate(CLASS_NAMES, start=1)
        for part in [index[index["label"] == label]]
    }


def _families(index: pd.DataFrame) -> dict[str, Any]:
    members = {str(name): sorted(group.unique()) for name, group in index.groupby("family")["pid"]}
    several = {name: pids for name, pids in members.items() if len(pids) > 1}
    part = index[index["family"].isin(several)]
    return {
        "n": len(members),
        "of_several_pids": several,
        "slices_of_these": len(part),
        "classes_of_these": [CLASS_NAMES[label - 1] for label in sorted(part["label"].unique())],
    }


def _sizes(index: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {
        str(name): {
            "slices": len(part),
            "patients": int(part["pid"].nunique()),
            "spacing_mm": float(part["spacing_mm"].iloc[0]),
        }
        for name, part in index.groupby("group")
    }


def _spread(values: "pd.Series[Any]") -> dict[str, float]:
    return {name: float(values.quantile(q)) for name, q in (("least", 0), ("median", 0.5), ("most", 1))}


def _borders(findings: pd.DataFrame) -> dict[str, Any]:
    upright, transposed = findings["iou"].median(), findings["iou_transposed"].median()
    return {
        "iou_median": float(upright),
        "iou_least": float(findings["iou"].min()),
        "iou_transposed_median": float(transposed),
        "orientation": "transposed" if transposed > upright else "right" if upright > transposed else "undecided",
        "disagreeing": findings.index[findings["iou"] < LOW_AGREEMENT].tolist(),
    }


def _with_several_labels(index: pd.DataFrame, level: str) -> list[str]:
    n_labels = index.groupby(level)["label"].nunique()
    return [str(name) for name in n_labels.index[n_labels > 1]]


def _cvind(store: SliceStore) -> dict[str, Any] | None:
    """What the published folds do, or None where the source had none."""
    if not store.cvind:
        return None
    index = store.index.assign(cvind=store.folds)
    known = index[index["cvind"] > 0]
    torn: dict[str, list[str]] = defaultdict(list)
    for level in ("pid", "family"):
        n_folds = known.groupby(level)["cvind"].nunique()
        torn[level] = [str(name) for name in n_folds.index[n_folds > 1]]
    return {
        "folds": {str(fold): int(n) for fold, n in sorted(Counter(known["cvind"]).items())},
        "unknown": len(index) - len(known),
        "patients_on_two_folds": torn["pid"],
        "families_on_two_folds": torn["family"],
    }


def _published(index: pd.DataFrame) -> dict[str, Any]:
    """How the store compares with the published set: complete, a subset of it, or something else."""
    here = {"slices": len(index), "patients": int(index["pid"].nunique())}
    here |= {name: int((index["label"] == i).sum()) for i, name in enumerate(CLASS_NAMES, start=1)}
    from_it = index["slice"].max() <= COUNTS["slices"] and index["pid"].str.fullmatch(_PUBLISHED_PID).all()
    within = all(here[key] <= n for key, n in COUNTS.items())
    relation = "complete" if here == COUNTS else "subset" if within else "other"
    return {
        "relation": relation if from_it else "other",
        "counts": {key: {"here": here[key], "published": n} for key, n in COUNTS.items()},
    }
