import numpy as np
import pytest

from mmran.data.splits import read_split
from mmran.data.store import SliceStore
from mmran.evaluation.cases import read_cases
from mmran.evaluation.predictions import TUMOR_BYTE, read_predictions
from mmran.files import sha256_file
from mmran.statistics.nearest_slice import nearest, predict_nearest, resized, specification, thumbnails


@pytest.fixture(scope="module")
def predicted(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nearest")
    store, split = tiny / "data" / "slices.h5", tiny / "splits" / "paper.csv"
    return store, split, folder, predict_nearest(store, split, folder)


def test_every_test_slice_has_class_and_mask_of_its_nearest_training_slice(predicted):
    store_path, split_path, folder, _ = predicted
    split = read_split(split_path)
    training = split.loc[split["role"] == "train", "slice"].tolist()
    with SliceStore(store_path) as store, read_predictions(folder / "predictions.h5") as predictions:
        assert predictions.cases["slice"].tolist() == split.loc[split["role"] == "test", "slice"].tolist()
        labels = store.index.set_index("slice")["label"]
        for case in predictions.cases.to_dict("records"):
            wanted = thumbnails(store, [case["slice"]])[0]
            distances = [np.linalg.norm(wanted - thumbnails(store, [number])[0]) for number in training]
            neighbor = training[int(np.argmin(distances))]
            scores = [case[name] for name in ("p_meningioma", "p_glioma", "p_pituitary")]
            assert scores == np.eye(3)[labels[neighbor] - 1].tolist()
            mask = predictions.stored_probability(case["group"], case["row"]) >= TUMOR_BYTE
            assert np.array_equal(mask, store.read(neighbor)[1] != 0)


def test_it_writes_what_an_experiment_writes(predicted):
    _, split, folder, summary = predicted
    assert sorted(path.name for path in folder.iterdir()) == [
        *("cases.csv", "predictions.h5", "spec.json", "summary.json")
    ]
    assert (summary.experiment, summary.protocol) == ("nearest-slice", "paper")
    assert summary.digests["spec"] == sha256_file(folder / "spec.json")
    assert summary.digests["split"] == sha256_file(split)
    assert (folder / "spec.json").read_text() == specification()
    assert set(read_cases(folder / "cases.csv")["variant"]) == {"raw", "pkp", "pkp-guarded"}


def test_brightness_and_contrast_do_not_matter(tiny):
    with SliceStore(tiny / "data" / "slices.h5") as store:
        seen = thumbnails(store, store.index["slice"].tolist())
    assert seen.shape == (len(seen), 256)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(np.ones(len(seen)), abs=1e-5)
    assert seen.mean(axis=1) == pytest.approx(np.zeros(len(seen)), abs=1e-6)


def test_the_nearest_of_equals_is_the_first():
    known = np.array([[0, 1], [1, 0], [1, 0]], dtype=np.float32)
    assert nearest(np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], dtype=np.float32), known).tolist() == [1, 1, 0]


def test_a_mask_takes_another_size():
    mask = np.array([[True, False], [False, False]])
    assert resized(mask, (4, 4)).tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2
    assert np.array_equal(resized(mask, (2, 2)), mask)
    assert resized(np.eye(4, dtype=bool), (2, 2)).tolist() == [[True, False], [False, True]]


def test_every_channel_decides_which_slice_is_the_nearest() -> None:
    rng = np.random.default_rng(0)
    same, one, other = (rng.normal(0, 1, (32, 32)) for _ in range(3))
    images = {1: np.stack([same, one]), 2: np.stack([same, other]), 3: np.stack([3 * same + 7, one + 0.1 * other])}

    class Store:
        channels = ("t1", "t2")

        def read(self, number: int) -> tuple[np.ndarray, None]:
            return images[number], None

    seen = thumbnails(Store(), [1, 2, 3])  # type: ignore[arg-type]
    assert seen.shape == (3, 2 * 256)
    assert nearest(seen[2:], seen[:2]).tolist() == [0]
    assert nearest(seen[1:2], seen[[0, 2]]).tolist() == [1]  # 3 has a tenth of 2's second channel, 1 has none
