"""An audit as text that a person reads."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from mmran.data.cheng import CLASS_NAMES

_WIDTH = 88
_MOST_NAMED = 12


def render(audit: dict[str, Any]) -> str:
    """The report of `audit.audit` in plain text, findings marked `ok` or `!!`."""
    parts = [
        _wholeness(audit),
        _published(audit["published"]),
        _patients(audit),
        _images(audit),
        _masks(audit["masks"], audit["borders"], audit["tumor_mm2"], audit["slices"]),
        _consistency(audit),
        _rejects(audit["rejects"]),
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


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun.removesuffix('y')}ies" if noun[-1] == "y" else f"{n} {noun}s"


def _wholeness(audit: dict[str, Any]) -> list[str]:
    digest = audit["digest"]
    damaged = digest["damaged"]
    what = f"{_counted(len(damaged), 'slice')} ({_some(damaged)})" if damaged else "its list of checksums or folds"
    return [
        f"{audit['store']}: {_counted(audit['slices'], 'slice')} of {_counted(audit['patients'], 'patient')}",
        "",
        _check(
            digest["verified"],
            "whole: every slice still has the checksum it was converted with",
            f"DAMAGED: {what} changed after conversion; convert again and look after the disk",
        ),
        _paragraph(f"digest {digest['recomputed']}"),
    ]


def _published(published: dict[str, Any]) -> list[str]:
    title = {
        "complete": "The published set (Cheng et al. 2015), complete",
        "subset": "A subset of the published set (Cheng et al. 2015)",
        "other": "Not the published set (Cheng et al. 2015), whose counts are given for comparison",
    }[published["relation"]]
    lines = [title, "", f"  {'':<14}{'here':>8}{'published':>12}{'difference':>12}"]
    for name, count in published["counts"].items():
        difference = count["here"] - count["published"]
        lines.append(f"  {name:<14}{count['here']:>8}{count['published']:>12}{difference or '-':>12}")
    return lines


def _patients(audit: dict[str, Any]) -> list[str]:
    families = audit["families"]
    lines = ["Patients", "", f"  {'':<14}{'slices':>8}{'patients':>12}{'families':>12}"]
    for name in CLASS_NAMES:
        count = audit["classes"][name]
        lines.append(f"  {name:<14}{count['slices']:>8}{count['patients']:>12}{count['families']:>12}")
    lines.append(f"  {'all':<14}{audit['slices']:>8}{audit['patients']:>12}{families['n']:>12}")
    spread = audit["slices_per_patient"]
    lines += [
        "",
        _paragraph(f"{spread['least']:.0f} to {spread['most']:.0f} slices a patient, median {spread['median']:g}"),
    ]
    if several := families["of_several_pids"]:
        pids = "; ".join(", ".join(pids) for pids in several.values())
        lines.append(
            _paragraph(
                f"{_counted(len(several), 'family')} of several PIDs with {families['slices_of_these']} slices "
                f"({', '.join(families['classes_of_these'])}): {pids}. PIDs that differ in a trailing letter only "
                "look like repeat examinations of one person; a split by family keeps them on one side."
            )
        )
    return lines


def _images(audit: dict[str, Any]) -> list[str]:
    lines = ["Images", ""]
    for name, size in audit["sizes"].items():
        slices, patients = _counted(size["slices"], "slice"), _counted(size["patients"], "patient")
        lines.append(f"      {name:<10}{slices:>12} of {patients:<14}{size['spacing_mm']:.3g} mm a pixel")
    values = audit["intensities"]
    lines.append(_paragraph(f"intensities {values['low']:g} to {values['high']:g}, kept as {values['type']}"))
    return lines


def _masks(masks: dict[str, Any], borders: dict[str, Any], area: dict[str, float], n_slices: int) -> list[str]:
    components = ", ".join(f"{count} in {n} masks" for count, n in masks["components"].items())
    ious = (
        f"intersection over union {borders['iou_median']:.3f} in the median, {borders['iou_least']:.3f} at least; "
        f"with x and y exchanged {borders['iou_transposed_median']:.3f}"
    )
    disagreeing = borders["disagreeing"]
    return [
        "Masks",
        "",
        _check(not masks["empty"], "no mask is empty", f"empty masks: slices {_some(masks['empty'])}"),
        _check(
            borders["orientation"] == "right",
            f"images lie the right way: the border polygons fill their masks ({ious})",
            f"images look {borders['orientation']}: the border polygons do not fill their masks ({ious})",
        ),
        _check(
            not disagreeing,
            "every border polygon agrees with its mask",
            f"border polygon and mask disagree in {len(disagreeing)} of {_counted(n_slices, 'slice')}: "
            f"{_some(disagreeing)}",
        ),
        _paragraph(f"connected components: {components}; {len(masks['with_holes'])} masks have holes"),
        _paragraph(f"tumour area {area['least']:.0f} to {area['most']:.0f} mm², median {area['median']:.0f} mm²"),
    ]


def _consistency(audit: dict[str, Any]) -> list[str]:
    duplicates = [" = ".join(map(str, group)) for group in audit["duplicates"]]
    labels, folds = audit["labels"], audit["cvind"]
    lines = [
        "Consistency",
        "",
        _check(not duplicates, "no two slices have the same pixels", f"same pixels: slices {_some(duplicates)}"),
        _check(
            not labels["pid"],
            "every patient has one tumour type",
            f"patients with several tumour types: {_some(labels['pid'])}",
        ),
    ]
    if labels["family"] and not labels["pid"]:
        lines.append(_paragraph(f"families with several tumour types: {_some(labels['family'])}", "!!"))
    if folds is None:
        return [*lines, _paragraph("no cvind.mat among the sources: the published folds are unknown")]
    sizes = " / ".join(str(n) for n in folds["folds"].values())
    torn = {level: folds[f"{level}_on_two_folds"] for level in ("patients", "families")}
    unknown = f"; {folds['unknown']} slices have none" if folds["unknown"] else ""
    return [
        *lines,
        _check(
            not torn["patients"],
            f"the published folds (cvind: {sizes} slices{unknown}) keep every patient together",
            f"the published folds (cvind: {sizes} slices{unknown}) tear patients {_some(torn['patients'])}",
        ),
        _check(
            not torn["families"],
            "the published folds keep every family together",
            f"the published folds tear {_counted(len(torn['families']), 'family')}: {_some(torn['families'])}",
        ),
    ]


def _rejects(rejects: list[dict[str, str]]) -> list[str]:
    if not rejects:
        return []
    lines = [_paragraph(f"{reject['file']}: {reject['reason']}", "!!") for reject in rejects]
    return [f"Left out by the conversion: {_counted(len(rejects), 'file')}", "", *lines]
