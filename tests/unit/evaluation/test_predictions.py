import subprocess
import sys

import h5py
import numpy as np
import pytest

from mmran.errors import UserError
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.evaluation.predictions import bytes_probability, probability_bytes, read_predictions

DIGESTS = {"spec": "a" * 64, "data": "b" * 64, "split": "c" * 64}
CLASSES = np.array([0.2, 0.5, 0.3], dtype=np.float32)


def writer(path) -> PredictionWriter:
    return PredictionWriter(path, "mmran", "paper", DIGESTS)


def mask(value: float, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.full(shape, value, dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_byte_says_tumor_exactly_where_the_probability_is_at_least_one_half(dtype):
    half = dtype(0.5)
    values = np.array([0, np.nextafter(half, dtype(0)), half, np.nextafter(half, dtype(1)), 1], dtype=dtype)
    assert (probability_bytes(values) >= 128).tolist() == [False, False, True, True, True]


def test_bytes_are_the_floor_of_256_p_and_certainty_is_255():
    values = np.array([0.0, 1 / 256, 0.999 / 256, 0.75, 255.5 / 256, 1.0])
    assert probability_bytes(values).tolist() == [0, 1, 0, 192, 255, 255]


def test_certainty_survives_the_way_through_bytes_and_the_rest_nearly():
    values = np.linspace(0, 1, 1001)
    back = bytes_probability(probability_bytes(values))
    assert (back[0], back[-1]) == (0, 1)
    assert np.abs(back - values).max() <= 1 / 255


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_what_is_no_probability_is_refused(tmp_path, value):
    with writer(tmp_path / "p.h5") as predictions:
        predictions.add(1, 1, 0, mask(0.5), CLASSES)
        with pytest.raises(ValueError, match=r"outside 0\.\.1"):
            predictions.add(2, 1, 0, mask(value), CLASSES)
        with pytest.raises(ValueError, match=r"outside 0\.\.1"):
            predictions.add(3, 1, 0, mask(0.5), np.array([value, 0.5, 0.5]))


def test_cases_of_several_sizes_come_back_sorted_each_with_its_own_mask(tmp_path):
    path = tmp_path / "p.h5"
    with writer(path) as predictions:
        predictions.add(9, seed=2, fold=0, probability=mask(0.9), class_probability=CLASSES)
        predictions.add(5, seed=1, fold=0, probability=mask(0.5, (3, 3)), class_probability=CLASSES[::-1])
        predictions.add(9, seed=1, fold=1, probability=mask(0.25), class_probability=CLASSES)
    with read_predictions(path) as found:
        assert (found.experiment, found.protocol, found.digests) == ("mmran", "paper", DIGESTS)
        assert found.segments
        assert found.classifies
        cases = found.cases
        assert cases[["seed", "fold", "slice"]].to_numpy().tolist() == [[1, 0, 5], [1, 1, 9], [2, 0, 9]]
        values = [found.stored_probability(case.group, case.row) for case in cases.itertuples()]
        assert [value.shape for value in values] == [(3, 3), (4, 6), (4, 6)]
        assert [int(value[0, 0]) for value in values] == [128, 64, 230]
        assert cases["p_pituitary"].to_numpy() == pytest.approx([0.2, 0.3, 0.3])


def test_the_file_has_the_agreed_layout(tmp_path):
    path = tmp_path / "p.h5"
    with writer(path) as predictions:
        predictions.add(9, 2, 0, mask(0.9), CLASSES)
    with h5py.File(path) as file:
        assert set(file) == {"slice", "seed", "fold", "group", "row", "mask_sha256", "class_probability", "4x6"}
        assert set(file.attrs) == {"format", "experiment", "protocol", "digests", "content"}
        assert file["4x6/probability"].dtype == np.uint8
        assert file["4x6/probability"].compression == "gzip"
        assert [file[name].dtype for name in ("slice", "seed", "fold", "row")] == [np.int32] * 4
        assert file["group"].asstr()[:].tolist() == ["4x6"]
        assert (file["class_probability"].dtype, file["class_probability"].shape) == (np.float32, (1, 3))


def test_a_network_without_classes_has_no_class_probabilities(tmp_path):
    with writer(tmp_path / "p.h5") as predictions:
        predictions.add(9, 1, 0, mask(0.9), None)
    with read_predictions(tmp_path / "p.h5") as found:
        assert found.segments
        assert not found.classifies
        assert "p_glioma" not in found.cases


def test_a_network_without_masks_has_no_groups(tmp_path):
    with writer(tmp_path / "p.h5") as predictions:
        predictions.add(9, 1, 0, None, CLASSES)
    with read_predictions(tmp_path / "p.h5") as found:
        assert not found.segments
        assert found.classifies
    with h5py.File(tmp_path / "p.h5") as file:
        assert not any(isinstance(item, h5py.Group) for item in file.values())


def test_a_case_of_other_tasks_or_added_twice_is_refused(tmp_path):
    with writer(tmp_path / "p.h5") as predictions:
        predictions.add(9, 1, 0, mask(0.9), CLASSES)
        with pytest.raises(ValueError, match="added twice"):
            predictions.add(9, 1, 0, mask(0.9), CLASSES)
        with pytest.raises(ValueError, match="other tasks"):
            predictions.add(10, 1, 0, None, CLASSES)
        with pytest.raises(ValueError, match="other tasks"):
            predictions.add(10, 1, 0, mask(0.9), None)
        with pytest.raises(ValueError, match="neither"):
            predictions.add(10, 1, 0, None, None)


def test_an_interrupted_writer_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "p.h5"
    path.write_text("old")

    def interrupted() -> None:
        with writer(path) as predictions:
            predictions.add(9, 1, 0, mask(0.9), CLASSES)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["p.h5"]


def test_the_same_predictions_make_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        with writer(tmp_path / name) as predictions:
            predictions.add(9, 1, 0, mask(0.9), CLASSES)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path):
    # A limit on the size of files stands in for the full disk; the noise cannot be compressed below it.
    program = (
        "import resource, sys, numpy as np\n"
        "from mmran.errors import UserError\n"
        "from mmran.evaluation.prediction_writer import PredictionWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "digests = dict.fromkeys(('spec', 'data', 'split'), 'x')\n"
        "try:\n"
        "    with PredictionWriter(sys.argv[1], 'e', 'p', digests) as writer:\n"
        "        for number in range(20):\n"
        "            noise = np.random.default_rng(number).random((200, 200))\n"
        "            writer.add(number, 1, 0, noise, None)\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "p.h5"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{path}: cannot be written")
    assert done.stdout.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_absent_a_foreign_and_a_truncated_file_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.h5: no such file"):
        read_predictions(tmp_path / "absent.h5")

    (tmp_path / "text.h5").write_text("seed,fold\n")
    with pytest.raises(UserError, match=r"text\.h5: not a whole HDF5 file"):
        read_predictions(tmp_path / "text.h5")

    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["slice"] = [1]
    with pytest.raises(UserError, match=r"foreign\.h5: not a predictions file"):
        read_predictions(tmp_path / "foreign.h5")

    with writer(tmp_path / "p.h5") as predictions:
        predictions.add(9, 1, 0, mask(0.9, (64, 64)), CLASSES)
    whole = (tmp_path / "p.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.h5: not a whole HDF5 file"):
        read_predictions(tmp_path / "cut.h5")


def test_a_file_that_lacks_an_entry_is_damaged(tmp_path):
    with writer(tmp_path / "p.h5") as predictions:
        predictions.add(9, 1, 0, mask(0.9), CLASSES)
    with h5py.File(tmp_path / "p.h5", "a") as file:
        del file["fold"]
    with pytest.raises(UserError, match=r"p\.h5: damaged predictions"):
        read_predictions(tmp_path / "p.h5")


def test_predictions_without_a_case_are_refused(tmp_path):
    with writer(tmp_path / "p.h5"):
        pass
    with pytest.raises(UserError, match="no case in it"):
        read_predictions(tmp_path / "p.h5")


def test_a_slice_in_two_test_folds_of_one_seed_is_refused(tmp_path):
    with writer(tmp_path / "p.h5") as predictions:
        predictions.add(9, 1, 0, mask(0.9), CLASSES)
        predictions.add(9, 1, 1, mask(0.9), CLASSES)
    with pytest.raises(UserError, match="slice 9 of seed 1 was tested twice"):
        read_predictions(tmp_path / "p.h5")


def damaged_at(path, place: int, bit: int = 1):
    whole = bytearray(path.read_bytes())
    whole[place] ^= bit
    damaged = path.with_name("damaged.h5")
    damaged.write_bytes(whole)
    return damaged


def everything(path):
    """All that a reader can get from a file."""
    with read_predictions(path) as found:
        masks = [found.stored_probability(case.group, case.row).tobytes() for case in found.cases.itertuples()]
        return (found.experiment, found.protocol, found.digests, found.cases.to_csv(), masks)


@pytest.mark.slow
def test_no_flipped_bit_becomes_a_number(tmp_path):
    path = tmp_path / "p.h5"
    random = np.random.default_rng(3)
    with writer(path) as predictions:
        for number in range(4):
            predictions.add(number, 1, 0, random.random((16, 16)), CLASSES)
    whole = everything(path)
    refused = 0
    for place in random.integers(0, path.stat().st_size, size=200).tolist():
        try:
            found = everything(damaged_at(path, place, 1 << int(random.integers(8))))
        except UserError as error:
            refused += str(error).count("\n") == 0
        else:
            assert found == whole  # a byte that holds nothing
    assert refused > 30


def rewritten(path, change):
    """Change a file as somebody would who knows the layout, and its digest."""
    from mmran.evaluation.predictions import content_digest

    with h5py.File(path, "a") as file:
        change(file)
        file.attrs["content"] = content_digest(file)


def test_a_row_beyond_the_end_and_a_nan_are_one_line(tmp_path):
    path = tmp_path / "p.h5"
    with writer(path) as predictions:
        predictions.add(9, 1, 0, mask(0.9), CLASSES)

    def beyond(file):
        file["row"][0] = 7

    rewritten(path, beyond)
    with read_predictions(path) as found, pytest.raises(UserError, match=r"damaged predictions .row 7 of group 4x6"):
        found.stored_probability("4x6", 7)

    def not_a_number(file):
        file["class_probability"][0, 1] = np.nan

    rewritten(path, not_a_number)
    with pytest.raises(UserError, match=r"a class probability is outside 0\.\.1 or NaN"):
        read_predictions(path)


def test_replaced_masks_entries_and_names_are_refused(tmp_path):
    path = tmp_path / "p.h5"
    with writer(path) as predictions:
        predictions.add(9, 1, 0, mask(0.9), CLASSES)
    with h5py.File(path, "a") as file:
        file["4x6/probability"][0] = 3
    with read_predictions(path) as found, pytest.raises(UserError, match="does not have the recorded digest"):
        found.stored_probability("4x6", 0)
    with h5py.File(path, "a") as file:
        file.attrs["experiment"] = "another"
    with pytest.raises(UserError, match="their content does not have the recorded digest"):
        read_predictions(path)
