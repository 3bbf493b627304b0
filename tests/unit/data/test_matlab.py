"""A .mat file is data from a stranger: it reaches no other file and takes no more memory than a slice."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mmran.data.cheng import read_slice, write_slice
from mmran.data.matlab import SliceError
from tests.unit.data.slices import make_slice

SECRET = bytes(range(64))  # as many bytes as a slice has pixels


def external_storage(struct: h5py.Group, secret: Path) -> None:
    del struct["image"]
    struct.create_dataset("image", (8, 8), "u1", external=[(str(secret), 0, 64)])


def external_link(struct: h5py.Group, secret: Path) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["image"] = np.ones((8, 8))
    del struct["image"]
    struct["image"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "image")


def external_struct(struct: h5py.Group, secret: Path) -> None:
    other = write_slice(secret.parent, make_slice(99))
    root = struct.file
    del root["cjdata"]
    root["cjdata"] = h5py.ExternalLink(str(other), "cjdata")


def soft_link(struct: h5py.Group, secret: Path) -> None:
    struct.move("image", "other")
    struct["image"] = h5py.SoftLink("other")


def virtual(struct: h5py.Group, secret: Path) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["image"] = np.ones((8, 8))
    layout = h5py.VirtualLayout((8, 8), "f8")
    layout[:] = h5py.VirtualSource(secret.with_suffix(".h5"), "image", (8, 8))
    del struct["image"]
    struct.create_virtual_dataset("image", layout)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (external_storage, "image lies in another file, expected the data itself"),
        (external_link, "image is a link to another place, expected the data itself"),
        (external_struct, "cjdata is a link to another place, expected the data itself"),
        (soft_link, "image is a link to another place, expected the data itself"),
        (virtual, "image lies in another file, expected the data itself"),
    ],
)
def test_data_that_lies_elsewhere_is_refused(
    tmp_path: Path, spoil: Callable[[h5py.Group, Path], None], reason: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    path = write_slice(tmp_path, make_slice(7))
    with h5py.File(path, "r+") as file:
        spoil(file["cjdata"], secret)
    with pytest.raises(SliceError, match=reason):
        read_slice(path)


def with_dataset(folder: Path, name: str, shape: tuple[int, ...], chunks: tuple[int, ...] | None = None) -> Path:
    """A slice one field of which claims a shape without holding a single value."""
    path = write_slice(folder, make_slice(7))
    with h5py.File(path, "r+") as file:
        del file[f"cjdata/{name}"]
        maxshape = tuple(None for _ in shape) if chunks else None
        file["cjdata"].create_dataset(name, shape, "f8", chunks=chunks or True, maxshape=maxshape)
    return path


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("tumorBorder", (1, 10**9), "tumorBorder claims 8000000000 bytes, expected at most 524288"),
        ("label", (10**5, 10**4), "label claims 8000000000 bytes"),
        ("image", (10**5, 10**4), r"image has shape \(100000, 10000\), expected two sides of 1 to 4096"),
        ("tumorBorder", (1, 2 * 16385), "tumorBorder has 32770 values, .* at most 16384 points"),
    ],
)
def test_a_claim_beyond_a_slice_is_refused_before_it_is_read(
    tmp_path: Path, name: str, shape: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(SliceError, match=reason):
        read_slice(with_dataset(tmp_path, name, shape))


def test_a_chunk_larger_than_its_dataset_is_refused(tmp_path: Path) -> None:
    path = with_dataset(tmp_path, "image", (8, 8), chunks=(10**4, 10**4))
    with pytest.raises(SliceError, match="image claims 800000000 bytes"):
        read_slice(path)


def test_a_null_image_has_no_shape(tmp_path: Path) -> None:
    path = write_slice(tmp_path, make_slice(7))
    with h5py.File(path, "r+") as file:
        del file["cjdata/image"]
        file["cjdata/image"] = h5py.Empty("f8")
    with pytest.raises(SliceError, match="image has shape None, expected two sides"):
        read_slice(path)


def test_a_folder_called_like_a_slice_is_named(tmp_path: Path) -> None:
    (tmp_path / "7.mat").mkdir()
    with pytest.raises(SliceError, match=r"7\.mat: is a folder, expected a regular file"):
        read_slice(tmp_path / "7.mat")
