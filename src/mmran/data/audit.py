"""Examines a slice store: what it holds, whether it is whole, and how it differs from the published set."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from mmran.data import published
from mmran.data.audit_record import (
    Audit,
    Borders,
    Channel,
    ClassCount,
    Contrast,
    CountPair,
    DigestCheck,
    Families,
    Intensities,
    Masks,
    Published,
    PublishedFolds,
    SeveralLabels,
    SizeCount,
    Spread,
)
from mmran.data.channels import channel_planes
from mmran.data.cheng import border_mask
from mmran.data.contrast import contrasts, orientation
from mmran.data.store import DEFAULT_LAYOUT, SliceStore, narrow, store_digest

LOW_AGREEMENT = 0.7
"""A mask and its polygon disagree below this intersection over union; none do in the published set."""

_PUBLISHED_PID = r"\d{5,6}|MR\d{6}[A-Z]?"
_EIGHT_NEIGHBORS = np.ones((3, 3), dtype=int)


def audit(store: SliceStore, on_progress: Callable[[int, int], None] | None = None) -> Audit:
    """Examine a store slice by slice.

    Args:
        store: an open store.
        on_progress: called with the number of slices examined and of all slices.
    """
    index = store.index
    findings = _examined(store, on_progress)
    compared, contrast = _best_contrast(findings, store.channels)
    return Audit(
        store=store.path.name,
        digest=_digest(store, findings),
        slices=len(index),
        patients=int(index["pid"].nunique()),
        families=_families(index, store.classes),
        classes=_classes(index, store.classes),
        slices_per_patient=_spread(index.groupby("pid").size()),
        sizes=_sizes(index),
        intensities=Intensities(store.image_type.name, findings["low"].min().item(), findings["high"].max().item()),
        tumor_mm2=_spread(index["tumor_px"] * index["spacing_mm"] ** 2),
        masks=_masks(index, findings) if store.has_masks else None,
        borders=_borders(findings) if store.has_borders else None,
        contrast=contrast,
        duplicates=tuple(
            tuple(group.index.tolist()) for _, group in findings.groupby("pixels", sort=False) if len(group) > 1
        ),
        labels=SeveralLabels(*(_with_several_labels(index, level) for level in ("pid", "family"))),
        cvind=_published_folds(store),
        published=_published(index) if _may_be_published(store) else None,
        rejects=store.rejects,
        ignored=store.ignored,
        channels=_channels(store.channels, findings),
        compared=compared,
    )


def _examined(store: SliceStore, on_progress: Callable[[int, int], None] | None) -> pd.DataFrame:
    """One row per slice, indexed by its number."""
    numbers = store.index["slice"].tolist()
    rows = []
    for n, number in enumerate(numbers, start=1):
        image, mask = store.read(number, check=False)
        image = narrow(image)
        n_components, n_hole_px = _shape_of(mask)
        iou, iou_transposed = _agreement(store.border(number), mask)
        rows.append(
            {
                "digest": store.digest_of(number, image, mask),
                "pixels": hashlib.sha256(image.tobytes()).digest(),
                "low": image.min().item(),
                "high": image.max().item(),
                "n_components": n_components,
                "n_hole_px": n_hole_px,
                "iou": iou,
                "iou_transposed": iou_transposed,
                "lows": channel_planes(image).min(axis=(1, 2)).tolist(),
                "highs": channel_planes(image).max(axis=(1, 2)).tolist(),
                "contrasts": [contrasts(plane, mask) for plane in channel_planes(image)],
            }
        )
        if on_progress:
            on_progress(n, len(numbers))
    return pd.DataFrame(rows, index=pd.Index(numbers, name="slice"))


def _shape_of(mask: NDArray[np.uint8]) -> tuple[int, int]:
    """Number of 8-connected components, and number of pixels in holes."""
    if not mask.any():
        return 0, 0
    tumor = mask != 0
    box = tumor[ndimage.find_objects(tumor.view(np.uint8))[0]]
    n_components = ndimage.label(box, _EIGHT_NEIGHBORS)[1]
    return int(n_components), int(np.count_nonzero(ndimage.binary_fill_holes(box)) - np.count_nonzero(box))


def _agreement(border: NDArray[np.float64], mask: NDArray[np.uint8]) -> tuple[float, float]:
    """Intersection over union of the mask with its border polygon, as read and with x and y exchanged."""
    ious = []
    for points in (border, border[:, ::-1]):
        filled = border_mask(points, (mask.shape[0], mask.shape[1]))
        union = np.count_nonzero(filled | mask)
        ious.append(np.count_nonzero(filled & mask) / union if union else 0.0)
    return ious[0], ious[1]


def _digest(store: SliceStore, findings: pd.DataFrame) -> DigestCheck:
    found = np.frombuffer(b"".join(findings["digest"]), dtype=np.uint8).reshape(-1, 32)
    damaged = (found != store.slice_digests).any(axis=1)
    recomputed = store_digest(found, store.folds, store.classes, store.channels)
    return DigestCheck(
        stored=store.digest,
        recomputed=recomputed,
        verified=bool(recomputed == store.digest and not damaged.any()),
        damaged=tuple(findings.index[damaged].tolist()),
    )


def _classes(index: pd.DataFrame, classes: Sequence[str]) -> dict[str, ClassCount]:
    parts = {name: index[index["label"] == label] for label, name in enumerate(classes, start=1)}
    return {
        name: ClassCount(len(part), int(part["pid"].nunique()), int(part["family"].nunique()))
        for name, part in parts.items()
    }


def _masks(index: pd.DataFrame, findings: pd.DataFrame) -> Masks:
    return Masks(
        empty=tuple(index.loc[index["tumor_px"] == 0, "slice"].tolist()),
        components={str(n): count for n, count in sorted(Counter(findings["n_components"]).items())},
        with_holes=tuple(findings.index[findings["n_hole_px"] > 0].tolist()),
    )


def _best_contrast(findings: pd.DataFrame, channels: Sequence[str]) -> tuple[str, Contrast]:
    """The channel that shows tumors best, "" for gray images, and how it is oriented against the masks.

    All channels have one orientation. One that does not show the tumor would only guess it.
    """
    tables = [pd.DataFrame([found[i] for found in findings["contrasts"]]) for i in range(len(channels) or 1)]
    best = max(range(len(tables)), key=lambda i: tables[i].median().fillna(0).max())
    return (channels[best] if channels else ""), orientation(tables[best])


def _channels(names: Sequence[str], findings: pd.DataFrame) -> dict[str, Channel]:
    found = {}
    for i, name in enumerate(names):
        low, high = (np.array(findings[column].tolist())[:, i] for column in ("lows", "highs"))
        found[name] = Channel(low.min().item(), high.max().item(), tuple(findings.index[low == high].tolist()))
    return found


def _families(index: pd.DataFrame, classes: Sequence[str]) -> Families:
    members = {str(name): tuple(sorted(group.unique())) for name, group in index.groupby("family")["pid"]}
    several = {name: pids for name, pids in members.items() if len(pids) > 1}
    part = index[index["family"].isin(several)]
    return Families(
        n=len(members),
        of_several_pids=several,
        slices_of_these=len(part),
        classes_of_these=tuple(classes[label - 1] for label in sorted(part["label"].unique()) if classes),
    )


def _sizes(index: pd.DataFrame) -> dict[str, SizeCount]:
    return {
        str(name): SizeCount(len(part), int(part["pid"].nunique()), float(part["spacing_mm"].iloc[0]))
        for name, part in index.groupby("group")
    }


def _spread(values: "pd.Series[Any]") -> Spread:
    return Spread(*(float(values.quantile(q)) for q in (0, 0.5, 1)))


def _borders(findings: pd.DataFrame) -> Borders:
    upright, transposed = findings["iou"].median(), findings["iou_transposed"].median()
    return Borders(
        iou_median=float(upright),
        iou_least=float(findings["iou"].min()),
        iou_transposed_median=float(transposed),
        orientation="transposed" if transposed > upright else "right" if upright > transposed else "undecided",
        disagreeing=tuple(findings.index[findings["iou"] < LOW_AGREEMENT].tolist()),
    )


def _with_several_labels(index: pd.DataFrame, level: str) -> tuple[str, ...]:
    n_labels = index.groupby(level)["label"].nunique()
    return tuple(str(name) for name in n_labels.index[n_labels > 1])


def _published_folds(store: SliceStore) -> PublishedFolds | None:
    """What the published folds keep together and split; None if the source had none."""
    if not store.cvind:
        return None
    index = store.index.assign(cvind=store.folds)
    known = index[index["cvind"] > 0]
    torn = []
    for level in ("pid", "family"):
        n_folds = known.groupby(level)["cvind"].nunique()
        torn.append(tuple(str(name) for name in n_folds.index[n_folds > 1]))
    counts = sorted(Counter(known["cvind"].tolist()).items())
    return PublishedFolds({str(fold): n for fold, n in counts}, len(index) - len(known), *torn)


def _may_be_published(store: SliceStore) -> bool:
    """Whether a store is of the layout and the classes of the published set."""
    return store.layout == DEFAULT_LAYOUT and store.classes == published.CLASSES


def _published(index: pd.DataFrame) -> Published | None:
    """How a store of `.mat` files compares with the published set; None if its slice numbers or patients differ."""
    if index["slice"].max() > published.COUNTS["slices"] or not index["pid"].str.fullmatch(_PUBLISHED_PID).all():
        return None
    here = {"slices": len(index), "patients": int(index["pid"].nunique())}
    here |= {name: int((index["label"] == i).sum()) for i, name in enumerate(published.CLASSES, start=1)}
    within = all(here[key] <= n for key, n in published.COUNTS.items())
    relation = "complete" if here == published.COUNTS else "subset" if within else "other"
    return Published(relation, {key: CountPair(here[key], n) for key, n in published.COUNTS.items()})
