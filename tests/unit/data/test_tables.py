"""Data sets of images, masks, and a table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmran.config.source_files import list_source
from mmran.data.audit import audit
from mmran.data.audit_text import render
from mmran.data.convert import convert
from mmran.data.store import SliceStore, slice_digest
from mmran.errors import UserError

HEADER = "slice,image,mask,label,patient,family,spacing_mm,fold"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def image(number: int, kind: type[np.unsignedinteger] = np.uint8) -> np.ndarray:
    rows, columns = np.indices((6, 8))
    return (number * np.iinfo(kind).max // 8 + 10 * rows + columns).astype(kind)


def mask(number: int) -> np.ndarray:
    pixels = np.zeros((6, 8), dtype=np.uint8)
    pixels[1:3, 2 : 3 + number] = 255
    return pixels


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Three pictures: 16-bit png, 8-bit tiff, and 8-bit png; two families."""
    folder = tmp_path / "own"
    save(folder / "images" / "a.png", image(1, np.uint16))
    save(folder / "images" / "b.tif", image(2))
    save(folder / "images" / "c.png", image(3))
    for number, name in enumerate("abc", start=1):
        save(folder / "masks" / f"{name}.png", mask(number))
    lines = [
        HEADER,
        "12,a.png,a.png,glioma,P1,,0.5,1",
        "7,images/b.tif,masks/b.png,1,P2,F,0.8,2",
        "3,c.png,c.png,meningioma,P3,F,0.8,",
    ]
    (folder / "slices.csv").write_text("\n".join(lines) + "\n")
    return folder


def edited(folder: Path, old: str, new: str) -> None:
    table = folder / "slices.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def test_pictures_arrive_pixel_by_pixel_with_the_facts_of_their_lines(own: Path, output: Path) -> None:
    store = convert([own], output)
    facts = ["slice", "label", "pid", "family", "height", "width", "spacing_mm", "tumor_px"]
    assert store.index[facts].to_numpy().tolist() == [
        [3, 1, "P3", "F", 6, 8, 0.8, 8],
        [7, 1, "P2", "F", 6, 8, 0.8, 6],
        [12, 2, "P1", "P1", 6, 8, 0.5, 4],
    ]
    for number, name, kind in ((12, 1, np.uint16), (7, 2, np.uint8), (3, 3, np.uint8)):
        pixels, tumor = store.read(number)
        np.testing.assert_array_equal(pixels, image(name, kind))
        np.testing.assert_array_equal(tumor, mask(name) != 0)
    assert store.cvind == {12: 1, 7: 2}


def test_the_table_alone_is_a_source_and_numbers_its_slices_in_order(own: Path, output: Path) -> None:
    lines = [line.partition(",")[2] for line in (own / "slices.csv").read_text().splitlines()]
    (own / "other.csv").write_text("\n".join(lines))
    assert convert([own / "other.csv"], output).index["pid"].tolist() == ["P1", "P2", "P3"]


def test_a_patient_named_as_a_repeat_examination_is_a_family_of_its_own(own: Path, output: Path) -> None:
    edited(own, "P3,F", "P2B,")
    assert convert([own], output).index["family"].tolist() == ["P2B", "F", "P1"]


def test_the_family_is_in_the_digest_where_the_patient_does_not_decide_it() -> None:
    pixels, border = np.zeros((2, 2), dtype=np.uint8), np.empty((0, 2))
    row = {"slice": 1, "label": 1, "pid": "P1B", "height": 2, "width": 2, "spacing_mm": 1.0}
    digests = {slice_digest({**row, "family": family}, pixels, pixels, border) for family in ("P1", "P1B", "X")}
    assert len(digests) == 3


def without_column(folder: Path) -> None:
    edited(folder, ",label,", ",lable,")


def with_text(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edited(folder, old, new)


def with_picture(name: str, pixels: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: save(folder / name, pixels)


def truncated(folder: Path) -> None:
    path = folder / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:60])


COLOR = (np.eye(6, 8)[..., None] * [9, 99, 0]).astype(np.uint8)
FAULTS = {
    "missing image": (with_text("12,a.png", "12,z.png"), "slices.csv line 2", "image 'z.png' does not exist"),
    "unknown label": (with_text("glioma", "gliom"), "slices.csv line 2", "label is 'gliom', expected 1 to 3"),
    "label beyond the classes": (with_text("glioma", "4"), "slices.csv line 2", "label is '4', expected 1 to 3"),
    "bad patient": (with_text("P1", "P 1"), "slices.csv line 2", "patient is 'P 1'"),
    "bad spacing": (with_text("0.5", "-1"), "slices.csv line 2", "spacing_mm is '-1'"),
    "no spacing": (with_text("0.5", ""), "a.png", "add it in the column spacing_mm"),
    "bad number": (with_text("12,", "0,"), "slices.csv line 2", "slice is '0'"),
    "bad fold": (with_text("0.5,1", "0.5,x"), "slices.csv line 2", "fold is 'x'"),
    "shared number": (with_text("12,", "7,"), "slices.csv line 2", "has slice number 7, as does"),
    "shared image": (with_text("12,a.png", "12,c.png"), "slices.csv line 2", "names the image"),
    "two families": (with_text("P1,", "P2,G"), "slices.csv line 2", "patient P2 is in several families"),
    "two labels": (with_text("glioma,P1,", "glioma,P2,F"), "a.png", "patient P2 has label 2 here"),
    "unknown kind": (with_text("12,a.png", "12,images/../slices.csv"), "slices.csv line 2", "is of an unknown kind"),
    "truncated picture": (truncated, "a.png", "cannot be read as a picture"),
    "color": (with_picture("images/a.png", COLOR), "a.png", "color picture"),
    "other size": (with_picture("masks/a.png", mask(1)[1:]), "masks/a.png", "mask is 8 x 5, but its image"),
    "empty mask": (with_picture("masks/a.png", 0 * mask(1)), "masks/a.png", "mask is empty"),
    "two values": (with_picture("masks/a.png", mask(1) + np.eye(6, 8, dtype=np.uint8)), "masks/a.png", "holds 1, 255"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_one_line_and_keep_going_leaves_its_line_out(own: Path, output: Path, case: str) -> None:
    spoil, file, reason = FAULTS[case]
    spoil(own)
    with pytest.raises(UserError) as caught:
        convert([own], output)
    assert "\n" not in str(caught.value)
    assert not output.exists()
    store = convert([own], output, keep_going=True)
    assert 12 not in store.index["slice"].tolist()
    assert any(reason in one.reason and file in one.file for one in store.rejects), store.rejects


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,mask,label\n", "lacks the column patient"),
        ("image;mask;label;patient\n", "lacks the column image"),
        ("image,mask,label,patient,image\n", "has the column image twice"),
        (HEADER + "\n1,a.png,a.png\n", "line 2: has 3 values"),
        (HEADER + "\n", "no line below the header"),
    ],
)
def test_what_is_no_table_is_refused_as_a_whole(own: Path, output: Path, text: str, reason: str) -> None:
    (own / "slices.csv").write_text(text)
    with pytest.raises(UserError, match=reason):
        convert([own], output, keep_going=True)


def test_tables_and_mat_files_do_not_mix(own: Path, folder: Path, output: Path) -> None:
    with pytest.raises(UserError, match=r"has no slices.csv"):
        convert([own, folder], output)


def test_files_and_columns_that_are_not_read_are_named(own: Path, output: Path) -> None:
    save(own / "images" / "d.png", image(4))
    edited(own, "fold\n", "fold,age\n")
    table = own / "slices.csv"
    header, *lines = table.read_text().splitlines()
    table.write_text("\n".join([header, *(line + ",50" for line in lines)]))
    ignored = {Path(one.file).name: one.reason for one in convert([own], output).ignored}
    assert ignored == {"slices.csv": "column 'age' is not read", "d.png": "is not in slices.csv"}


def test_tumor_values_choose_among_the_values_of_a_mask(own: Path, output: Path) -> None:
    save(own / "masks" / "a.png", mask(1) + np.eye(6, 8, dtype=np.uint8))  # 1 on the diagonal, 255 and 0 in the tumor
    store = convert([own], output, tumor_values=[255])
    assert store.index.set_index("slice")["tumor_px"].to_dict() == {3: 8, 7: 6, 12: 3}
    with pytest.raises(UserError, match="value of the background"):
        convert([own], output, tumor_values=[0])


def test_verify_compares_neither_with_the_published_set_nor_with_polygons(own: Path, output: Path) -> None:
    edited(own, "P1", "100360")
    edited(own, "P2", "100361")
    edited(own, "P3", "100362")
    convert([own], output)
    findings = audit(SliceStore(output))
    assert findings.digest.verified
    assert findings.published is None
    assert findings.borders is None
    assert "!!" not in render(findings)
    assert "published set" not in render(findings)
    assert type(findings).read(_written(output.with_name("audit.json"), findings.to_json())) == findings


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_images_outside_the_folder_of_the_table_count_as_files_of_the_source(own: Path, tmp_path: Path) -> None:
    table = _written(tmp_path / "t.csv", (own / "slices.csv").read_text().replace(",a.png", ",own/images/a.png"))
    listed = list_source([str(table)], {}, {})[str(table)]
    assert set(listed) == {".", "own/images/a.png"}
