"""Fixtures of the tests of tables and figures."""

from pathlib import Path

import pytest

from mmran.data.store import SliceStore
from tests.unit.report.evaluated import CLASSIFIER, MULTITASK, SEGMENTER, predict


@pytest.fixture(scope="session")
def results(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    (folder / "data").symlink_to(tiny / "data")
    (folder / "splits").symlink_to(tiny / "splits")
    with SliceStore(folder / "data" / "slices.h5") as store:
        largest = store.index.sort_values("tumor_px")["slice"].tolist()[-3:]
        predict(folder, store, MULTITASK, hollow=largest)
        predict(folder, store, SEGMENTER, classes=False)
        predict(folder, store, CLASSIFIER, masks=False)
    return folder
