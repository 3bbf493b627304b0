"""The parts of a test set: classes, strata, calibration, examples, and their files."""

import csv
from dataclasses import dataclass

import numpy as np
import pytest

from mmran.data.subgroups import Subgroups
from mmran.statistics.calibration import calibrations, reliability_bins
from mmran.statistics.files import to_csv
from mmran.statistics.intervals import Bootstrap
from mmran.statistics.perclass import PerClass, per_class
from mmran.statistics.rows import Families
from mmran.statistics.strata import by_stratum, examples, strata_of
from tests.unit.statistics.samples import cases, row, sample


def bootstrap(found) -> Bootstrap:
    return Bootstrap(Families.of(found), resamples=500)


def without(frame, column: str):
    frame = frame.copy()
    frame[column] = frame[column].astype("Int64")
    frame.loc[:, column] = None
    return frame


def test_each_class_has_its_sensitivity_specificity_and_precision():
    frame = cases()
    found = per_class([row(frame)], bootstrap(row(frame)))
    values = {(one.tumor_class, one.measure): one for one in found}
    assert len(values) == 9
    is_glioma, called = frame["label"] == 2, frame["predicted"] == 2
    assert values["glioma", "sensitivity"].estimate == pytest.approx(called[is_glioma].mean())
    assert values["glioma", "specificity"].estimate == pytest.approx((~called)[~is_glioma].mean())
    assert values["glioma", "precision"].estimate == pytest.approx(is_glioma[called].mean())
    one = values["glioma", "sensitivity"]
    assert (one.n_slices, one.n_families) == (is_glioma.sum(), 10)
    assert one.low < one.estimate < one.high


def test_sensitivities_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    frame = cases()
    found = [one.estimate for one in per_class([row(frame)], bootstrap(row(frame))) if one.measure == "sensitivity"]
    expected = metrics.recall_score(frame["label"], frame["predicted"].astype(int), average=None)
    assert found == pytest.approx(expected.tolist())


def test_strata_are_sizes_classes_and_the_origin_of_gliomas():
    frame = cases()
    found = strata_of(frame)
    assert list(found) == [
        *("size: small", "size: medium", "size: large"),
        *("class: meningioma", "class: glioma", "class: pituitary"),
        *("glioma: MR patients", "glioma: other patients"),
    ]
    assert (found["glioma: MR patients"] | found["glioma: other patients"]).equals(frame["label"] == 2)
    assert sum(found[f"size: {name}"].sum() for name in ("small", "medium", "large")) == len(frame)


def test_a_stratum_is_measured_on_its_slices_alone():
    frame = cases(seeds=(1, 2))
    small = frame[frame["size_tertile"] == 1]
    found = {(one.stratum, one.metric): one for one in by_stratum([row(frame)], bootstrap(row(frame)))}
    one = found["size: small", "dice"]
    assert one.estimate == pytest.approx(small["dice"].mean())
    assert (one.n_slices, one.n_families, one.n_seeds) == (len(small) / 2, small["family"].nunique(), 2)
    assert one.low < one.estimate < one.high
    assert found["size: small", "n_missed"].estimate == pytest.approx(small["missed"].mean())


def test_a_subgroup_is_a_stratum(tmp_path):
    frame = cases()
    chosen = frame["slice"] % 3 == 0
    lines = [f"{number},{'A' if is_a else 'B'}" for number, is_a in zip(frame["slice"], chosen, strict=True)]
    path = tmp_path / "scanners.csv"
    path.write_text("\n".join(["slice,scanner", *lines]))
    found = by_stratum([row(frame)], bootstrap(row(frame)), Subgroups.read(path))
    values = {one.stratum: one for one in found if one.metric == "dice"}
    assert values["scanner: A"].estimate == pytest.approx(frame["dice"][chosen].mean())
    assert values["scanner: B"].n_slices == (~chosen).sum()
    assert values["scanner: A"].low < values["scanner: A"].estimate < values["scanner: A"].high


def test_parts_of_a_task_that_a_network_lacks_are_left_out():
    of_masks, of_classes = row(without(cases(), "predicted")), row(without(cases(), "missed"))
    assert per_class([of_masks], bootstrap(of_masks)) == []
    assert calibrations([of_masks]) == reliability_bins([of_masks]) == []
    assert {one.metric for one in by_stratum([of_masks], bootstrap(of_masks))} == {"dice", "n_missed", "n_no_overlap"}
    assert {one.metric for one in by_stratum([of_classes], bootstrap(of_classes))} == {"acc"}
    assert examples([of_classes]) == []


def test_examples_are_the_worst_the_median_and_the_best_of_each_class():
    frame = cases(seeds=(1, 2))
    first = frame[(frame["seed"] == 1) & (frame["label"] == 3)]
    found = {one.place: one for one in examples([row(frame)]) if one.tumor_class == "pituitary"}
    assert (found["worst"].dice, found["best"].dice) == (first["dice"].min(), first["dice"].max())
    assert found["median"].dice == np.sort(first["dice"])[(len(first) - 1) // 2]
    assert found["worst"].slice == first.sort_values(["dice", "slice"])["slice"].iloc[0]


def test_calibration_is_the_mean_over_the_seeds():
    found = sample(seeds=(1, 2))
    both = calibrations([found])[0]
    alone = [calibrations([row(one)])[0] for one in found.seeds]
    for name in ("ece", "brier", "log_loss", "slope"):
        assert getattr(both, name) == pytest.approx(np.mean([getattr(one, name) for one in alone]))
    assert len(reliability_bins([found])) == 20


@dataclass(frozen=True)
class Thing:
    name: str
    value: float | None
    certain: bool


def test_a_record_is_a_line_and_no_cell_is_a_formula():
    text = to_csv(Thing, [Thing('=HYPERLINK("x")', 0.1 + 0.2, True), Thing("a,b", None, False)])
    rows = list(csv.reader(text.splitlines()))
    assert rows == [["name", "value", "certain"], ['\'=HYPERLINK("x")', "0.3", "1"], ["a,b", "", "0"]]


def test_no_records_leave_the_header():
    assert to_csv(PerClass, []).startswith("row,experiment,protocol,tumor_class,measure,")
