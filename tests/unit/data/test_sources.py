"""Folders and archives of slices: every file is read, or named."""

import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmran.data.cheng import write_cvind
from mmran.data.convert import convert
from mmran.data.store import LeftOut, SliceStore
from mmran.errors import UserError


def test_folder_and_archives_make_the_same_store(folder: Path, output: Path, tmp_path: Path) -> None:
    from_folder = convert([folder], output).digest
    parts = ((2, 3), (10, 11))
    for i, numbers in enumerate(parts):
        with zipfile.ZipFile(tmp_path / f"part{i}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in numbers:
                archive.write(folder / f"{number}.mat", f"some/folder/{number}.mat")
            archive.writestr("__MACOSX/._2.mat", b"not a slice")
            archive.writestr("README.txt", b"read me")
    sources = [tmp_path / "part0.zip", tmp_path / "part1.zip", folder / "cvind.mat"]
    assert convert(sources, output).digest == from_folder
    download = tmp_path / "download"
    download.mkdir()
    for source in sources:
        shutil.copy(source, download)
    assert convert([download], output).digest == from_folder


def test_a_damaged_member_of_an_archive_is_named(folder: Path, output: Path, tmp_path: Path) -> None:
    archive = tmp_path / "part.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.write(folder / "10.mat", "10.mat")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"part\.zip/10\.mat: is damaged inside its archive"):
        convert([archive], output)


def test_an_archive_of_archives_says_what_to_do(folder: Path, output: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("part1.zip", b"")
    with pytest.raises(UserError, match=r"all\.zip/part1\.zip: is an archive in an archive; unpack the outer one"):
        convert([tmp_path / "all.zip"], output)


def test_an_empty_folder_says_what_was_expected(tmp_path: Path, output: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no slices, expected files such as 1\.mat"):
        convert([tmp_path / "empty"], output)


def test_an_absent_or_strange_source_is_named(tmp_path: Path, output: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        convert([tmp_path / "nowhere"], output)
    (tmp_path / "slices.tar").write_bytes(b"")
    with pytest.raises(UserError, match=r"slices\.tar: expected a folder, a \.zip archive, a \.mat file, or a table"):
        convert([tmp_path / "slices.tar"], output)


def zipped(path: Path, folder: Path, *numbers: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in numbers:
            archive.write(folder / f"{number}.mat", f"{number}.mat")
    return path


def numbers_of(store: SliceStore) -> list[int]:
    return [int(number) for number in store.index["slice"]]


def files_of(left_out: Sequence[LeftOut]) -> list[str]:
    return [Path(item.file).name for item in left_out]


def test_archives_that_were_joined_are_all_read(folder: Path, output: Path, tmp_path: Path) -> None:
    parts = [zipped(tmp_path / "a.zip", folder, 2), zipped(tmp_path / "b.zip", folder, 3, 10)]
    parts.append(zipped(tmp_path / "c.zip", folder, 11))
    joined = tmp_path / "all.zip"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert numbers_of(convert([joined], output)) == [2, 3, 10, 11]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"not an archive", b"", "14 bytes before its first file that are not an archive"),
        (b"", b"PK\x03\x04 and the rest is lost", "bytes after the end of an archive"),
    ],
)
def test_an_archive_with_bytes_that_belong_to_none_is_refused(
    folder: Path, output: Path, tmp_path: Path, before: bytes, after: bytes, reason: str
) -> None:
    part = zipped(tmp_path / "part.zip", folder, 2)
    part.write_bytes(before + part.read_bytes() + after)
    with pytest.raises(UserError, match=rf"part\.zip: has .*{reason}"):
        convert([part], output)


def test_a_comment_at_the_end_of_an_archive_is_no_fault(folder: Path, output: Path, tmp_path: Path) -> None:
    part = zipped(tmp_path / "part.zip", folder, 2)
    with zipfile.ZipFile(part, "a") as archive:
        archive.comment = b"made by hand"
    assert numbers_of(convert([part], output)) == [2]


def test_suffixes_may_be_in_upper_case(folder: Path, output: Path) -> None:
    (folder / "2.mat").rename(folder / "2.MAT")
    (folder / "cvind.mat").rename(folder / "CVIND.MAT")
    zipped(folder / "PART2.ZIP", folder, 3)
    (folder / "3.mat").unlink()
    store = convert([folder], output)
    assert numbers_of(store) == [2, 3, 10, 11]
    assert len(store.cvind) == 4


def test_a_linked_folder_is_read_once_and_a_loop_ends(folder: Path, output: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "2.mat").rename(elsewhere / "2.mat")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "up").symlink_to(folder)
    (folder / "itself").symlink_to("itself")
    store = convert([folder], output)
    assert numbers_of(store) == [2, 3, 10, 11]
    assert sorted(files_of(store.ignored)) == ["itself", "up"]


def test_one_file_under_two_paths_is_one_slice(folder: Path, output: Path) -> None:
    (folder / "again").mkdir()
    (folder / "again" / "10.mat").symlink_to(folder / "10.mat")
    store = convert([folder, folder / "2.mat", folder / "cvind.mat"], output)
    assert numbers_of(store) == [2, 3, 10, 11]
    assert (store.rejects, store.ignored) == ((), ())


def test_a_link_to_nothing_is_named(folder: Path, output: Path) -> None:
    (folder / "12.mat").symlink_to(folder / "absent.mat")
    with pytest.raises(UserError, match=r"12\.mat: cannot be read \(No such file or directory\)"):
        convert([folder], output)


def test_files_of_other_kinds_are_listed(folder: Path, output: Path, tmp_path: Path) -> None:
    for name in ("README.txt", "volume.nii", ".hidden.mat", ".DS_Store", "._2.mat"):
        (folder / name).write_bytes(b"")
    store = convert([folder], output)
    assert store.rejects == ()
    assert sorted(files_of(store.ignored)) == [".hidden.mat", "README.txt", "volume.nii"]
    assert sorted(files_of(SliceStore(output).ignored)) == sorted(files_of(store.ignored))


@pytest.mark.parametrize("name", ["part3.rar", "part3.tar.gz", "part3.7z"])
def test_an_archive_of_another_kind_is_refused(folder: Path, output: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{name}: is not a \.zip archive; unpack it"):
        convert([folder], output)


def test_two_fold_lists_must_agree(folder: Path, output: Path) -> None:
    (folder / "more").mkdir()
    shutil.copy(folder / "cvind.mat", folder / "more")
    assert len(convert([folder], output).cvind) == 4
    write_cvind(folder / "more", [1] * 11)
    with pytest.raises(UserError, match=r"more/cvind\.mat: differs from .*slices/cvind\.mat; keep the right one"):
        convert([folder], output)
    store = convert([folder], output, keep_going=True)
    assert store.cvind == {}
    assert files_of(store.rejects) == ["cvind.mat"]


@pytest.mark.parametrize("name", ["12.mat", "part.zip"])
def test_a_pipe_is_refused_and_not_waited_for(folder: Path, output: Path, name: str) -> None:
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=rf"{name}: is a pipe, a socket or a device, expected a regular file"):
        convert([folder], output)


def test_a_file_that_is_too_large_is_not_read(folder: Path, output: Path) -> None:
    with (folder / "12.mat").open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(UserError, match=r"12\.mat: has 3000000000 bytes, expected a slice of at most 300000000"):
        convert([folder], output)


def test_a_member_that_claims_too_much_is_not_unpacked(folder: Path, output: Path, tmp_path: Path) -> None:
    part = zipped(tmp_path / "part.zip", folder, 2)
    content = bytearray(part.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (3_000_000_000).to_bytes(4, "little")
    part.write_bytes(content)
    with pytest.raises(UserError, match=r"part\.zip/2\.mat: has 3000000000 bytes, expected a slice of at most"):
        convert([part], output)


def test_a_name_that_is_not_utf8_is_shown_in_one_printable_line(folder: Path, output: Path) -> None:
    name = os.fsencode(folder) + b"/bad\xff\nname.mat"
    os.close(os.open(name, os.O_CREAT))
    with pytest.raises(UserError) as caught:
        convert([folder], output)
    assert str(caught.value) == rf"{folder}/bad\udcff\nname.mat: its name is not a slice number such as 17.mat"
    store = convert([folder], output, keep_going=True)
    assert store.rejects[0].file == rf"{folder}/bad\udcff\nname.mat"


def test_a_folder_without_slices_names_what_it_holds(tmp_path: Path, output: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"images: no slices, expected .*; 1 other files, such as .*images/1\.png"):
        convert([tmp_path / "images"], output)


def test_more_rejects_than_an_attribute_holds_are_kept(folder: Path, output: Path) -> None:
    for number in range(100, 1100):
        (folder / f"{number}.mat").write_bytes(b"")
    assert len(convert([folder], output, keep_going=True).rejects) == 1000
