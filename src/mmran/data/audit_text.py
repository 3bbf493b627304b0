"""Renders an audit as plain text."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from mmran.data.audit_record import Audit, Borders, Contrast, Published, PublishedFolds
from mmran.data.store import LeftOut
from mmran.words import counted

_WIDTH = 88
_MOST_NAMED = 12


def render(audit: Audit) -> str:
    """The report of an audit in plain text, findings marked `ok` or `!!`."""
    parts = [
        _wholeness(audit),
        _published(audit.published),
        _patients(audit),
        _images(audit),
        _masks(audit),
        _consistency(audit),
        _rejects(audit.rejects),
        _ignored(audit.ignored),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _paragraph(text: str, mark: str = "") -> str:
    return fill(text, _WIDTH, initial_indent=f"  {mark:<2}  ", subsequent_indent=" " * 6)


def _check(good: bool, yes: str, no: str) -> str:
    return _paragraph(yes if good else no, "ok" if good else "!!")


def _some(names: Sequence[Any]) -> str:
    """The first few names of a list."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(str(name) for name in names[:_MOST_NAMED]) + more


def _wholeness(audit: Audit) -> list[str]:
    damaged = audit.digest.damaged
    what = f"{counted(len(damaged), 'slice')} ({_some(damaged)})" if damaged else "its list of checksums or folds"
    return [
        f"{audit.store}: {counted(audit.slices, 'slice')} of {counted(audit.patients, 'patient')}",
        "",
        _check(
            audit.digest.verified,
            "whole: every slice still has the checksum it was converted with",
            f"DAMAGED: {what} changed after conversion; convert again and check the disk",
        ),
        _paragraph(f"digest {audit.digest.recomputed}"),
    ]


def _published(published: Published | None) -> list[str]:
    if published is None:
        return []
    title = {
        "complete": "The published set (Cheng et al. 2015), complete",
        "subset": "A subset of the published set (Cheng et al. 2015)",
        "other": "Not the published set (Cheng et al. 2015): more slices than it has",
    }[published.relation]
    lines = [title, "", f"  {'':<14}{'here':>8}{'published':>12}{'difference':>12}"]
    for name, count in published.counts.items():
        difference = count.here - count.published
        lines.append(f"  {name:<14}{count.here:>8}{count.published:>12}{difference or '-':>12}")
    return lines


def _patients(audit: Audit) -> list[str]:
    families, spread = audit.families, audit.slices_per_patient
    lines = ["Patients", "", f"  {'':<14}{'slices':>8}{'patients':>12}{'families':>12}"]
    for name, count in audit.classes.items():
        lines.append(f"  {name:<14}{count.slices:>8}{count.patients:>12}{count.families:>12}")
    lines += [
        f"  {'all':<14}{audit.slices:>8}{audit.patients:>12}{families.n:>12}",
        "",
        _paragraph(f"{spread.least:.0f} to {spread.most:.0f} slices a patient, median {spread.median:g}"),
    ]
    if several := families.of_several_pids:
        pids = "; ".join(", ".join(pids) for pids in several.values())
        lines.append(
            _paragraph(
                f"{counted(len(several), 'family')} of several PIDs with {families.slices_of_these} slices "
                f"({', '.join(families.classes_of_these)}): {pids}. PIDs that differ only in one letter after the "
                "last digit look like repeat examinations of one patient; a split by family keeps them together."
            )
        )
    return lines


def _images(audit: Audit) -> list[str]:
    lines = ["Images", ""]
    for name, size in audit.sizes.items():
        slices, patients = counted(size.slices, "slice"), counted(size.patients, "patient")
        lines.append(f"      {name:<10}{slices:>12} of {patients:<14}{size.spacing_mm:.3g} mm a pixel")
    values = audit.intensities
    lines.append(_paragraph(f"intensities {values.low:g} to {values.high:g}, stored as {values.type}"))
    for name, channel in audit.channels.items():
        lines.append(_paragraph(f"channel {name}: {channel.low:g} to {channel.high:g}"))
        if channel.constant:
            lines.append(_paragraph(f"channel {name} has a single intensity: slices {_some(channel.constant)}", "!!"))
    return lines


def _masks(audit: Audit) -> list[str]:
    masks, area, borders = audit.masks, audit.tumor_mm2, audit.borders
    if masks is None:
        return ["Masks", "", _paragraph("the source has none: networks learn classes alone")]
    components = ", ".join(f"{count} in {n} masks" for count, n in masks.components.items())
    return [
        "Masks",
        "",
        _check(not masks.empty, "no mask is empty", f"empty masks: slices {_some(masks.empty)}"),
        *([_mask_orientation(borders)] if borders else []),
        _image_orientation(audit.contrast, audit.compared),
        _agreeing(borders, audit.slices),
        _paragraph(f"connected components: {components}; {len(masks.with_holes)} masks have holes"),
        _paragraph(f"tumor area {area.least:.0f} to {area.most:.0f} mm², median {area.median:.0f} mm²"),
    ]


def _agreeing(borders: Borders | None, n_slices: int) -> str:
    if borders is None:
        return _paragraph("no slice has a border polygon to compare its mask with")
    return _check(
        not borders.disagreeing,
        "every border polygon agrees with its mask",
        f"border polygon and mask disagree in {len(borders.disagreeing)} of {counted(n_slices, 'slice')}: "
        f"{_some(borders.disagreeing)}",
    )


def _mask_orientation(borders: Borders) -> str:
    compared = (
        f"mask against border polygon: intersection over union {borders.iou_median:.3f} in the median, "
        f"{borders.iou_least:.3f} at least; with x and y exchanged {borders.iou_transposed_median:.3f}"
    )
    return _check(
        borders.orientation == "right",
        f"masks fill their border polygons ({compared})",
        f"masks look {borders.orientation} against their border polygons ({compared})",
    )


def _image_orientation(contrast: Contrast, channel: str) -> str:
    image = "image" if not channel else f"channel {channel} of the image"
    n, percent = counted(contrast.n_compared, "slice"), f"{100 * contrast.share_upright:.0f} %"
    compared = (
        f"{image} against mask: contrast between tumor and surroundings {contrast.median:.2f} in the median; "
        f"with the image {contrast.turn} {contrast.turned_median:.2f}; higher as stored in {percent} of {n}"
    )
    match contrast.orientation:
        case "right":
            return _paragraph(f"images and masks have the same orientation ({compared})", "ok")
        case "turned":
            return _paragraph(f"images look {contrast.turn} against their masks ({compared})", "!!")
        case "mixed":
            text = f"some images look {contrast.turn} against their masks, or masks misplaced ({compared})"
            return _paragraph(text, "!!")
    return _paragraph(f"too few slices to tell whether images and masks have the same orientation: {n}")


def _consistency(audit: Audit) -> list[str]:
    duplicates, labels = [" = ".join(map(str, group)) for group in audit.duplicates], audit.labels
    lines = [
        "Consistency",
        "",
        _check(not duplicates, "no two slices have the same pixels", f"same pixels: slices {_some(duplicates)}"),
        _check(
            not labels.pid,
            "every patient has one tumor type",
            f"patients with several tumor types: {_some(labels.pid)}",
        ),
    ]
    if labels.family and not labels.pid:
        lines.append(_paragraph(f"families with several tumor types: {_some(labels.family)}", "!!"))
    return lines + _folds(audit.cvind)


def _folds(folds: PublishedFolds | None) -> list[str]:
    if folds is None:
        return [_paragraph("the source has no published folds (cvind.mat, or column fold)")]
    sizes = " / ".join(str(n) for n in folds.folds.values())
    unknown = f"; {folds.unknown} slices have none" if folds.unknown else ""
    patients, families = folds.patients_on_two_folds, folds.families_on_two_folds
    return [
        _check(
            not patients,
            f"the published folds (cvind: {sizes} slices{unknown}) keep every patient together",
            f"the published folds (cvind: {sizes} slices{unknown}) split patients {_some(patients)}",
        ),
        _check(
            not families,
            "the published folds keep every family together",
            f"the published folds split {counted(len(families), 'family')}: {_some(families)}",
        ),
    ]


def _rejects(rejects: Sequence[LeftOut]) -> list[str]:
    if not rejects:
        return []
    lines = [_paragraph(f"{reject.file}: {reject.reason}", "!!") for reject in rejects]
    return [f"Left out by the conversion: {counted(len(rejects), 'file')}", "", *lines]


def _ignored(ignored: Sequence[LeftOut]) -> list[str]:
    if not ignored:
        return []
    lines = [_paragraph(f"{other.file}: {other.reason}") for other in ignored[:_MOST_NAMED]]
    more = [_paragraph(f"and {len(ignored) - _MOST_NAMED} more")] if len(ignored) > _MOST_NAMED else []
    return [f"Not read by the conversion: {counted(len(ignored), 'other file')}", "", *lines, *more]
