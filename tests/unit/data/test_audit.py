"""The data set doctor: what it counts, and what it tells from damage."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from mmran.data.audit import audit
from mmran.data.audit_record import (
    Audit,
    ClassCount,
    CountPair,
    Masks,
    PublishedFolds,
    SeveralLabels,
    SizeCount,
    Spread,
)
from mmran.data.audit_text import render
from mmran.data.cheng import Slice, write_cvind, write_slice
from mmran.data.convert import convert
from mmran.data.published import COUNTS
from mmran.data.store import LeftOut, SliceStore


def make_slice(number: int, label: int, pid: str, mask: np.ndarray | None = None) -> Slice:
    image = np.random.default_rng(number).integers(0, 100, (12, 12)).astype(np.int16)
    if mask is None:
        mask = np.zeros((12, 12), dtype=np.uint8)
        mask[2:5, 6:11] = 1
    # Polygon around columns 6 to 10 of rows 2 to 4.
    border = np.array([[5.5, 1.5], [10.5, 1.5], [10.5, 4.5], [5.5, 4.5]])
    return Slice(number, label, pid, image, mask.astype(np.uint8), border)


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    """Six slices with one finding of every kind."""
    folder = tmp_path / "slices"
    folder.mkdir()
    two_parts = np.zeros((12, 12))
    two_parts[2:5, 6:8] = two_parts[2:5, 9:11] = 1
    ring = np.zeros((12, 12))
    ring[2:5, 6:11] = 1
    ring[3, 7:9] = 0
    elsewhere = np.zeros((12, 12))
    elsewhere[8:11, 0:3] = 1
    write_slice(folder, make_slice(1, 1, "100360"))
    write_slice(folder, make_slice(2, 1, "100360", two_parts))
    write_slice(folder, make_slice(3, 2, "MR040240", ring))
    write_slice(folder, make_slice(4, 2, "MR040240B", elsewhere))
    write_slice(folder, make_slice(5, 3, "108931"))
    twin = make_slice(6, 3, "108932")
    twin.image[:] = make_slice(5, 3, "108931").image
    write_slice(folder, twin)
    write_cvind(folder, [1, 1, 2, 3, 2, 2])
    return convert([folder], tmp_path / "results" / "slices.h5")


def test_slices_patients_and_families_are_counted_by_class(store: SliceStore) -> None:
    findings = audit(store)
    assert (findings.slices, findings.patients, findings.families.n) == (6, 5, 4)
    assert findings.classes == {
        "meningioma": ClassCount(slices=2, patients=1, families=1),
        "glioma": ClassCount(slices=2, patients=2, families=1),
        "pituitary": ClassCount(slices=2, patients=2, families=2),
    }
    assert findings.families.of_several_pids == {"MR040240": ("MR040240", "MR040240B")}
    assert findings.slices_per_patient == Spread(least=1, median=1, most=2)


def test_parts_and_holes_of_masks_are_counted(store: SliceStore) -> None:
    masks = audit(store).masks
    assert masks == Masks(empty=(), components={"1": 5, "2": 1}, with_holes=(3,))


def test_masks_that_touch_at_a_corner_are_one_component(tmp_path: Path) -> None:
    mask = np.zeros((12, 12))
    mask[2, 6] = mask[3, 7] = 1
    write_slice(tmp_path, make_slice(1, 1, "100360", mask))
    assert audit(convert([tmp_path], tmp_path / "slices.h5")).masks.components == {"1": 1}


def test_border_polygons_prove_the_orientation(store: SliceStore) -> None:
    borders = audit(store).borders
    # Slices 1, 5, 6 cover all 15 pixels of the polygon, slice 2 covers 12, slice 3 13, and slice 4 none.
    assert borders.iou_median == pytest.approx((1 + 13 / 15) / 2)
    assert borders.iou_least == 0
    assert borders.iou_transposed_median == 0
    assert borders.orientation == "right"
    assert borders.disagreeing == (4,)


def test_images_that_were_read_transposed_are_found_out(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        item = make_slice(number, 1, "100360")
        write_slice(tmp_path, Slice(number, 1, "100360", item.image.T, item.mask.T, item.border))
    findings = audit(convert([tmp_path], tmp_path / "slices.h5"))
    assert findings.borders.orientation == "transposed"
    assert "!!  masks look transposed against their border polygons" in render(findings)


def test_equal_pixels_and_torn_families_are_named(store: SliceStore) -> None:
    findings = audit(store)
    assert findings.duplicates == ((5, 6),)
    assert findings.labels == SeveralLabels(pid=(), family=())
    assert findings.cvind == PublishedFolds(
        folds={"1": 2, "2": 3, "3": 1}, unknown=0, patients_on_two_folds=(), families_on_two_folds=("MR040240",)
    )


def test_findings_are_not_damage(store: SliceStore) -> None:
    digest = audit(store).digest
    assert digest.verified
    assert digest.recomputed == store.digest
    assert digest.damaged == ()


@pytest.mark.parametrize("what", ["image", "mask", "border"])
def test_one_flipped_bit_is_damage_and_its_slice_is_named(store: SliceStore, what: str) -> None:
    with h5py.File(store.path, "r+") as file:
        # Row 2 of the one group is slice 3, whose polygon starts with point 8.
        dataset, place = {
            "image": (file["12x12/image"], (2, 0, 0)),
            "mask": (file["12x12/mask"], (2, 2, 6)),
            "border": (file["border/points"], (8, 0)),
        }[what]
        if what == "border":
            dataset[place] += 0.25
        else:
            dataset[place] ^= 128
    findings = audit(SliceStore(store.path))
    assert findings.digest.damaged == (3,)
    assert not findings.digest.verified
    assert "DAMAGED: 1 slice (3) changed after conversion" in render(findings)


def test_a_changed_fold_is_damage(store: SliceStore) -> None:
    with h5py.File(store.path, "r+") as file:
        file["cvind"][0] = 5
    assert not audit(SliceStore(store.path)).digest.verified


def test_a_subset_is_reported_as_one(store: SliceStore) -> None:
    published = audit(store).published
    assert published is not None
    assert published.relation == "subset"
    assert published.counts["slices"] == CountPair(here=6, published=3064)
    assert "A subset of the published set" in render(audit(store))


def test_other_slices_are_not_taken_for_the_published_ones(tmp_path: Path) -> None:
    write_slice(tmp_path, make_slice(1, 1, "P00000"))
    assert audit(convert([tmp_path], tmp_path / "slices.h5")).published is None


def test_the_published_counts_are_those_of_the_data_set() -> None:
    assert sum(COUNTS[name] for name in ("meningioma", "glioma", "pituitary")) == COUNTS["slices"] == 3064


def test_rejects_are_carried_into_the_report(tmp_path: Path) -> None:
    write_slice(tmp_path, make_slice(1, 1, "100360"))
    (tmp_path / "2.mat").write_bytes(b"nothing")
    findings = audit(convert([tmp_path], tmp_path / "slices.h5", keep_going=True))
    assert findings.rejects == (LeftOut(f"{tmp_path}/2.mat", "is not HDF5, expected a MATLAB v7.3 file"),)
    assert "Left out by the conversion: 1 file" in render(findings)


def test_the_text_fits_a_terminal(store: SliceStore) -> None:
    findings = audit(store)
    text = render(findings)
    assert max(map(len, text.splitlines())) <= 88
    assert "nan" not in text


def test_an_audit_reads_back_as_it_was_written(store: SliceStore, tmp_path: Path) -> None:
    findings = audit(store)
    path = tmp_path / "audit.json"
    path.write_text(findings.to_json())
    assert Audit.read(path) == findings


def test_progress_counts_every_slice(store: SliceStore) -> None:
    seen: list[tuple[int, int]] = []
    audit(store, lambda done, total: seen.append((done, total)))
    assert seen == [(n, 6) for n in range(1, 7)]


@pytest.mark.real
def test_the_real_sample_is_whole_upright_and_a_subset(real_full_sample: Path, tmp_path: Path) -> None:
    findings = audit(convert([real_full_sample], tmp_path / "slices.h5"))
    assert findings.digest.verified
    assert findings.slices == 72
    assert findings.published.relation == "subset"
    assert findings.borders.orientation == "right"
    assert findings.borders.iou_median > 0.99
    assert findings.borders.iou_transposed_median < 0.1
    assert findings.borders.disagreeing == ()
    assert findings.masks.components == {"1": 72}
    assert findings.duplicates == ()


@pytest.mark.slow
@pytest.mark.real
def test_all_real_slices_convert_and_are_what_their_description_says(real_slices: Path, tmp_path: Path) -> None:
    store = convert([real_slices], tmp_path / "slices.h5")
    findings = audit(store)
    assert findings.digest.verified
    assert findings.slices == 2770
    assert findings.sizes["256x256"] == SizeCount(slices=2755, patients=209, spacing_mm=pytest.approx(0.98))
    assert findings.sizes["128x128"] == SizeCount(slices=15, patients=1, spacing_mm=pytest.approx(1.96))
    assert (findings.patients, findings.families.n) == (210, 189)
    assert findings.families.classes_of_these == ("glioma",)
    assert findings.slices_per_patient == Spread(least=1, median=13, most=38)
    assert findings.masks.empty == ()
    assert findings.labels == SeveralLabels(pid=(), family=())
    assert findings.borders.orientation == "right"
    assert findings.borders.iou_least > 0.8
    assert findings.published.relation == "subset"
    assert findings.cvind.patients_on_two_folds == ()
    assert len(findings.cvind.families_on_two_folds) == 13
