"""Resident slices and the batches of an epoch, from a store of a few slices made by hand."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from mmran.data.batches import ResidentSlices, epoch_order, intensity_percentiles, iterate
from mmran.errors import UserError
from tests.paper import paper_augmentation


class HandMadeStore:
    """What `ResidentSlices.load` needs of a slice store, out of a dictionary."""

    def __init__(self, images: dict[int, np.ndarray], channels: Sequence[str] = ()) -> None:
        self.images = images
        self.channels = tuple(channels)
        self.image_type = next(iter(images.values())).dtype
        self.index = pd.DataFrame({"slice": list(images), "label": [1 + n % 3 for n in images]})

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros(self.images[number].shape[-2:], np.uint8)
        mask[1:3, 1:2] = 1
        return self.images[number], mask


def load(images: dict[int, np.ndarray], numbers=None, size=8, fit="pad", percentiles=(0, 100)) -> ResidentSlices:
    store = HandMadeStore(images)
    return ResidentSlices.load(store, list(images) if numbers is None else numbers, size, fit, percentiles, "cpu")


@pytest.fixture(scope="module")
def eleven() -> ResidentSlices:
    """Eleven random slices whose numbers are not their positions."""
    rng = np.random.default_rng(4)
    return load({100 + 3 * i: rng.integers(0, 256, (32, 32), np.uint8) for i in range(11)}, size=32)


def run(slices: ResidentSlices, **changed):
    options = {"batch_size": 4, "seed": 1029, "epoch": 0, "augmentation": None, "shuffle": True}
    return list(iterate(slices, **(options | changed)))


def test_slices_are_kept_in_the_order_and_with_the_label_asked_for():
    images = {n: np.full((4, 4), n, np.uint8) for n in (5, 6, 7)}
    slices = load(images, numbers=np.array([7, 5]))
    assert slices.numbers.tolist() == [7, 5]
    # Labels of the file are 1 + n % 3, so 2 and 3; classes count from zero.
    assert slices.labels.tolist() == [1, 2]
    assert slices.images[:, 0, 4, 4].tolist() == [7, 5]
    assert len(slices) == 2


@pytest.mark.parametrize(
    ("stored", "resident"),
    [
        (np.uint8, torch.uint8),
        (np.int16, torch.int16),
        (np.uint16, torch.int32),
        (np.int32, torch.int32),
        (np.float64, torch.float32),
    ],
)
def test_stored_types_stay_or_become_the_next_that_torch_computes_with(stored, resident):
    brightest = 60000 if stored == np.uint16 else 100
    slices = load({1: np.array([[0, brightest]] * 2, stored)}, size=2)
    assert slices.images.dtype == resident
    assert slices.gather(torch.tensor([0])).images.flatten().tolist() == [0, 1, 0, 1]


def test_intensities_between_the_percentiles_become_zero_to_one_and_others_are_clipped():
    # Five values 0, 10 .. 40 as a row: the 25th percentile is 10, the 75th is 30.
    image = np.tile(np.arange(0, 50, 10, dtype=np.int16), (5, 1))
    slices = load({1: image}, size=5, percentiles=(25, 75))
    batch = slices.gather(torch.tensor([0]))
    assert batch.images.shape == (1, 1, 5, 5)
    assert batch.images[0, 0, 0].tolist() == [0, 0, 0.5, 1, 1]


def test_padding_is_zero_also_where_intensities_are_negative():
    image = np.array([[-1000, 200], [0, -400]], np.int16)
    images = load({1: image}, size=4, percentiles=(0, 100)).gather(torch.tensor([0])).images[0, 0]
    assert images[1:3, 1:3].flatten() == pytest.approx([0, 1, 1000 / 1200, 600 / 1200])
    assert images.sum() == images[1:3, 1:3].sum()


def test_percentiles_are_those_of_the_native_slice_not_of_its_padding():
    image = np.arange(100, 200, dtype=np.uint8).reshape(10, 10)
    padded, whole = load({1: image}, size=64, percentiles=(1, 99)), load({1: image}, size=10, percentiles=(1, 99))
    assert padded.low.item() == whole.low.item() == pytest.approx(100.99)
    assert padded.high.item() == whole.high.item() == pytest.approx(198.01)


def test_a_slice_without_contrast_becomes_zero_and_not_nan():
    assert load({1: np.full((4, 4), 9, np.uint8)}).gather(torch.tensor([0])).images.abs().sum() == 0


def test_resampling_serves_slices_of_every_size():
    rng = np.random.default_rng(0)
    images = {n: rng.integers(0, 99, (side, side), np.uint8) for n, side in enumerate((16, 8, 4))}
    slices = load(images, fit="resample")
    assert slices.images.shape == (3, 1, 8, 8)
    assert slices.masks.shape == (3, 8, 8)
    assert slices.images[1, 0].numpy().tolist() == images[1].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (67, 41)])
def test_percentiles_equal_those_of_numpy(dtype, shape):
    image = (np.random.default_rng(1).gamma(2, 20, shape) - (50 if dtype == np.int16 else 0)).astype(dtype)
    percentiles = [0, 0.5, 1, 33.3, 50, 99, 99.9, 100]
    expected = np.percentile(image, percentiles)
    assert intensity_percentiles(image, percentiles) == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-12)


def test_an_epoch_is_a_permutation_of_its_own():
    orders = [epoch_order(50, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(50))
    assert len({tuple(order) for order in orders}) == 4
    np.testing.assert_array_equal(epoch_order(50, 1, 1), orders[1])


def test_every_place_in_the_order_is_equally_likely():
    # Positions of slice 0 of 5 in 5000 epochs: 1000 in each place, with a standard deviation of 28.
    places = [int(np.flatnonzero(epoch_order(5, 1029, epoch) == 0)[0]) for epoch in range(5000)]
    assert np.abs(np.bincount(places, minlength=5) - 1000).max() < 115


def test_an_epoch_shows_every_slice_once(eleven):
    batches = run(eleven)
    assert [len(batch.images) for batch in batches] == [4, 4, 3]
    order = epoch_order(11, 1029, 0)
    shown = torch.cat([batch.images for batch in batches])
    assert torch.equal(shown, eleven.gather(torch.from_numpy(order)).images)
    assert torch.cat([batch.labels for batch in batches]).tolist() == eleven.labels[order].tolist()


def test_without_shuffling_the_order_is_that_of_the_slices(eleven):
    shown = torch.cat([batch.masks for batch in run(eleven, shuffle=False)])
    assert torch.equal(shown[:, 0], eleven.masks.float())
    labels = torch.cat([batch.labels for batch in run(eleven, shuffle=False)])
    assert labels.tolist() == eleven.labels.tolist()


def test_a_slice_is_augmented_alike_whatever_the_batch_size_and_order(eleven):
    augmentation = paper_augmentation()
    shuffled = torch.cat([batch.images for batch in run(eleven, augmentation=augmentation)])
    in_order = torch.cat([b.images for b in run(eleven, augmentation=augmentation, shuffle=False, batch_size=11)])
    assert torch.equal(shuffled, in_order[epoch_order(11, 1029, 0)])
    assert not torch.equal(in_order, eleven.gather(torch.arange(11)).images)


def test_an_epoch_is_the_same_whether_or_not_earlier_ones_were_run(eleven):
    options = {"augmentation": paper_augmentation(), "epoch": 3}
    run(eleven, augmentation=paper_augmentation(), epoch=2)
    torch.rand(5)
    first = run(eleven, **options)
    again = run(eleven, **options)
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, again, strict=True))


def test_augmenting_leaves_the_resident_slices_alone(eleven):
    before = eleven.images.clone(), eleven.masks.clone()
    run(eleven, augmentation=paper_augmentation(probability=1))
    assert torch.equal(eleven.images, before[0])
    assert torch.equal(eleven.masks, before[1])


def test_slices_that_the_store_lacks_are_named():
    with pytest.raises(UserError, match=r"slice 8 \(2 in all\).*index\.csv"):
        load({5: np.zeros((4, 4), np.uint8)}, numbers=[5, 8, 9])


def test_numbers_may_come_from_a_table_that_must_not_change():
    numbers = np.array([5])
    numbers.setflags(write=False)
    assert load({5: np.zeros((4, 4), np.uint8)}, numbers=numbers).numbers.tolist() == [5]


def test_no_slices_is_an_error_of_the_split():
    with pytest.raises(UserError, match="no slices"):
        load({5: np.zeros((4, 4), np.uint8)}, numbers=[])


@pytest.mark.parametrize("percentiles", [(99, 1), (1, 1), (-1, 50), (0, 101)])
def test_percentiles_out_of_order_or_range_are_refused(percentiles):
    with pytest.raises(UserError, match=r"input\.percentiles: "):
        load({5: np.zeros((4, 4), np.uint8)}, percentiles=percentiles)


def test_a_slice_that_does_not_fit_is_refused_before_training():
    with pytest.raises(UserError, match=r"input\.size: .*16 x 16.*8 x 8"):
        load({5: np.zeros((16, 16), np.uint8)})


def test_an_empty_batch_size_is_refused(eleven):
    with pytest.raises(UserError, match=r"batch_size: 0"):
        run(eleven, batch_size=0)
