"""Images of several channels, from a table's columns or from files that hold all of them, into the store."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmran.cli import main
from mmran.data.audit import audit
from mmran.data.audit_record import Audit
from mmran.data.audit_text import render
from mmran.data.convert import convert
from mmran.data.images.base import ReadOptions
from mmran.data.images.dicom import Dicom
from mmran.data.images.nifti import Nifti
from mmran.data.images.pictures import Picture
from mmran.data.images.stack import Stack, stacked
from mmran.data.store import SliceStore
from mmran.errors import UserError
from tests.own_data import draw_channels, write_table

nibabel = pytest.importorskip("nibabel")

RGB = ("red", "green", "blue")
RNG = np.random.default_rng(0)
PLANES = RNG.integers(0, 255, (2, 3, 8, 10), np.uint8)  # two images of three channels
MASK = np.zeros((8, 10), np.uint8)
MASK[2:5, 3:7] = 1


def save(path: Path, pixels: np.ndarray, affine: np.ndarray | None = None) -> str:
    """Write a picture, or a NIfTI of stored axes (column, row, ...); returns its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(pixels).save(path)
    else:
        nibabel.Nifti1Image(pixels, np.diag([-2.0, -2.0, 3.0, 1.0]) if affine is None else affine).to_filename(path)
    return path.name


def table(folder: Path, images: Sequence[Mapping[str, str]], mask: str = "", **more: Any) -> Path:
    """A table with a line for each mapping of image columns; writes the masks unless one is named."""
    lines = []
    for i, columns in enumerate(images, start=1):
        name = mask or save(folder / "masks" / f"{i}.png", MASK * 255)
        line = {**columns, "mask": name, "label": "glioma", "patient": f"P{i}", "spacing_mm": 1}
        lines.append(line | more)
    write_table(folder, lines)
    return folder


def per_channel(folder: Path, channels: Sequence[str] = RGB) -> Path:
    """The two images with a png for each channel."""
    return table(
        folder,
        [
            {f"image_{name}": save(folder / "images" / f"{i}{name}.png", planes[k]) for k, name in enumerate(channels)}
            for i, planes in enumerate(PLANES)
        ],
    )


def stored(store: SliceStore) -> list[np.ndarray]:
    return [store.read(number)[0] for number in store.index["slice"]]


def test_a_column_for_each_channel_arrives_pixel_by_pixel_in_the_order_of_the_names(tmp_path: Path) -> None:
    source = per_channel(tmp_path / "own")
    store = convert([source], tmp_path / "slices.h5", channels=RGB)
    assert store.channels == RGB
    assert np.array_equal(stored(store), PLANES)
    assert np.array_equal(store.read(1)[1], MASK)
    assert store.ignored == ()
    turned = convert([source], tmp_path / "turned.h5", channels=RGB[::-1])
    assert np.array_equal(stored(turned), PLANES[:, ::-1])
    assert turned.digest != store.digest
    assert audit(SliceStore(tmp_path / "turned.h5")).digest.verified


def test_pictures_in_color_are_three_channels_whatever_their_names(tmp_path: Path) -> None:
    images = [{"image": save(tmp_path / "images" / f"{i}.png", np.moveaxis(PLANES[i], 0, 2))} for i in range(2)]
    store = convert([table(tmp_path, images)], tmp_path / "out" / "slices.h5", channels=("r", "g", "b"))
    assert np.array_equal(stored(store), PLANES)
    named = convert([per_channel(tmp_path / "own", ("r", "g", "b"))], tmp_path / "slices.h5", channels=("r", "g", "b"))
    assert named.digest == store.digest


def test_a_channel_may_be_used_alone(tmp_path: Path) -> None:
    store = convert([per_channel(tmp_path / "own")], tmp_path / "slices.h5", channels=["green"])
    assert store.channels == ()
    assert np.array_equal(stored(store), PLANES[:, 1])
    assert [line.reason for line in store.ignored if "column" in line.reason] == [
        "column 'image_red' is not read",
        "column 'image_blue' is not read",
    ]


def test_the_last_axis_of_a_nifti_holds_channels(tmp_path: Path) -> None:
    volume = RNG.normal(0, 1, (10, 8, 3, 2)).astype(np.float32)  # column, row, slice, channel
    mask = np.zeros((10, 8, 3), np.uint8)
    mask[3:7, 2:5, 1:] = 1
    save(tmp_path / "masks" / "m.nii", mask)
    plain = table(tmp_path, [{"image": save(tmp_path / "images" / "v.nii", volume)}], "m.nii", spacing_mm="")
    store = convert([plain], tmp_path / "out" / "slices.h5", channels=("t1", "t2"))
    # Slice 0 has no tumor. Negative diagonal: rows and columns run as stored.
    assert np.array_equal(stored(store), np.moveaxis(volume, (2, 3), (0, 1)).swapaxes(2, 3)[1:])
    assert store.index["spacing_mm"].tolist() == [2, 2]
    vector = table(tmp_path, [{"image": save(tmp_path / "images" / "v5.nii", volume[..., None, :])}], "m.nii")
    assert np.array_equal(stored(convert([vector], tmp_path / "out" / "v5.h5", channels=("t1", "t2"))), stored(store))
    columns = {f"image_t{c + 1}": save(tmp_path / "images" / f"t{c}.nii.gz", volume[..., c]) for c in (0, 1)}
    apart = convert(
        [table(tmp_path, [columns], "m.nii", spacing_mm="")], tmp_path / "b" / "s.h5", channels=("t1", "t2")
    )
    assert apart.index.drop(columns="slice").equals(store.index.drop(columns="slice"))
    assert np.array_equal(stored(apart), stored(store))


def test_the_audit_says_what_each_channel_holds(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    flat = np.full((8, 10), 7, np.uint8)
    images = []
    for i, planes in enumerate(PLANES):
        pixels = {"image_t1": planes[0], "image_t2": flat if i else planes[1]}
        images.append({key: save(folder / "images" / f"{i}{key}.png", plane) for key, plane in pixels.items()})
    found = audit(convert([table(folder, images)], tmp_path / "slices.h5", channels=("t1", "t2")))
    assert found.channels["t1"].constant == ()
    assert found.channels["t2"].constant == (2,)
    assert (found.channels["t1"].low, found.channels["t1"].high) == (PLANES[:, 0].min(), PLANES[:, 0].max())
    text = " ".join(render(found).split())
    assert "!! channel t2 has a single intensity: slices 2" in text
    (tmp_path / "audit.json").write_text(found.to_json())
    assert Audit.read(tmp_path / "audit.json") == found


def test_the_channel_that_shows_tumors_tells_how_images_lie_against_masks(tmp_path: Path) -> None:
    source = draw_channels(tmp_path / "own", ("t1", "t2"), tumor_in="t2", n=40)
    found = audit(convert([source], tmp_path / "slices.h5", classes=("upper", "lower"), channels=("t1", "t2")))
    assert (found.compared, found.contrast.orientation) == ("t2", "right")
    assert "channel t2 of the image against mask" in " ".join(render(found).split())
    for path in sorted((source / "images").glob("*.png")):
        Image.open(path).transpose(Image.Transpose.TRANSPOSE).save(path)
    turned = audit(convert([source], tmp_path / "turned.h5", classes=("upper", "lower"), channels=("t1", "t2")))
    assert (turned.compared, turned.contrast.orientation, turned.contrast.turn) == ("t2", "turned", "transposed")


def gray_for_color(folder: Path) -> Path:
    return table(folder, [{"image": save(folder / "images" / "g.png", PLANES[0, 0])}])


def color_for_color_and_one_more(folder: Path) -> Path:
    return table(folder, [{"image": save(folder / "images" / "c.png", np.moveaxis(PLANES[0], 0, 2))}])


def unequal_sizes(folder: Path) -> Path:
    per_channel(folder)
    save(folder / "images" / "1green.png", PLANES[0, 0, :7])
    return folder


def missing_column(folder: Path) -> Path:
    return per_channel(folder, ("red", "green"))


def missing_file(folder: Path) -> Path:
    per_channel(folder)
    (folder / "images" / "1blue.png").unlink()
    return folder


def one_file_twice(folder: Path) -> Path:
    names = ("0red.png", "0green.png", "0red.png")
    per_channel(folder)
    return table(folder, [dict(zip((f"image_{name}" for name in RGB), names, strict=True))])


def other_affine(folder: Path) -> Path:
    moved = np.diag([-2.0, -2.0, 3.0, 1.0])
    moved[0, 3] = 5
    volume = PLANES[0, 0].T[..., None]
    images = {f"image_{name}": save(folder / "images" / f"{name}.nii", volume) for name in RGB}
    save(folder / "images" / "blue.nii", volume, moved)
    return table(folder, [images])


def volume_without_channels(folder: Path) -> Path:
    return table(folder, [{"image": save(folder / "images" / "v.nii", np.zeros((10, 8, 4), np.uint8))}])


@pytest.mark.parametrize(
    ("draw", "channels", "message"),
    [
        (gray_for_color, RGB, r"g\.png: has one channel, expected 3 channels \(data\.channels: red, green, b"),
        (color_for_color_and_one_more, (*RGB, "uv"), r"c\.png: has the channels red, green and blue, expected 4 chann"),
        (unequal_sizes, RGB, r"1green\.png: is 10 x 7 px, but .*1red\.png 10 x 8; channels must be of one size"),
        (
            missing_column,
            RGB,
            r"lacks the column image_blue, but data\.channels is \[red, green, blue\]; expected image_",
        ),
        (
            missing_column,
            (),
            r"lacks the column image, but has image_red, image_green; name the channels, data\.channels",
        ),
        (
            missing_file,
            RGB,
            r"slices\.csv line 3: image_blue '1blue\.png' does not exist, expected a path from .* images/",
        ),
        (one_file_twice, RGB, r"line 2: names the image .*0red\.png for two channels, expected a file for each"),
        (
            other_affine,
            RGB,
            r"blue\.nii: channel blue has another affine than .*red\.nii \(by up to 5 mm\), expected the",
        ),
        (volume_without_channels, RGB, r"v\.nii: is 3-D \(10 x 8 x 4\), expected 3 channels \(data\.channels: re"),
        (per_channel, ("red", "red"), r"channels: found red, red; expected different names"),
        (per_channel, ("red", "a/b"), r"channels: 'a/b' is no usable name; use letters"),
    ],
)
def test_what_is_no_image_of_these_channels_is_refused_in_one_line(
    tmp_path: Path, draw: Callable[[Path], Path], channels: Sequence[str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        convert([draw(tmp_path / "own")], tmp_path / "slices.h5", channels=channels)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_mat_files_have_one_channel(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(folder), "--output", str(tmp_path / "s.h5"), "--channels", "t1", "t2"]) == 1
    assert "channels: t1, t2 are for tables (slices.csv); .mat files have one channel" in capsys.readouterr().err
    assert not (tmp_path / "s.h5").exists()


def test_dicom_has_one_channel(tmp_path: Path) -> None:
    series = Dicom(tmp_path / "case.dcm", ReadOptions(channels=("t1", "t2")))
    with pytest.raises(UserError, match=r"case\.dcm: DICOM has one channel, expected 2 channels .*case_t1\.nii\.gz"):
        series.open()


def test_files_of_a_case_are_one_image_whatever_parts_the_names(tmp_path: Path) -> None:
    names = ["a_t1.png", "a_t1_ce.png", "b-t1.nii.gz", "b-t1_ce.nii.gz", "c_t1.png", "t1.png", "a_seg.png"]
    options = ReadOptions(channels=("t1", "t1_ce"))
    files = [(name, (Nifti if "nii" in name else Picture)(tmp_path / name, options)) for name in names]
    found = {file.path.name: file for _, file in stacked(files, options)}
    assert set(found) == {"a.png", "b.nii.gz", "c_t1.png", "t1.png", "a_seg.png"}
    for name, ending in (("a.png", "_mask.png"), ("b.nii.gz", "_mask.nii.gz")):
        stack = found[name]
        assert isinstance(stack, Stack)
        assert [file.path.name for file in stack.files] == [one for one in names if one[0] == name[0]][:2]
        assert {file.options.channels for file in stack.files} == {()}
        assert stack.mask_paths(tmp_path / stack.stem) == (tmp_path / f"{name[0]}{ending}",)
    assert stacked(files, ReadOptions()) == files


def test_a_line_that_does_not_fit_can_be_left_out(tmp_path: Path) -> None:
    store = convert([unequal_sizes(tmp_path / "own")], tmp_path / "slices.h5", channels=RGB, keep_going=True)
    assert store.index["slice"].tolist() == [1]
    assert "channels must be of one size" in store.rejects[0].reason
