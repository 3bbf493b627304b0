"""What `mmran segment` adds to the bare networks, in one run: `python benchmarks/segment.py`.

Segments a folder of png as a user would, and runs the same network on the same prepared batches with the same threads
before and after. Quote the ratios; seconds depend on the machine and the moment. On a busy machine, the ratio of CPU
seconds is steadier. With --volume, the peak memory of a NIfTI volume of 512 x 512 pixels and 300 slices instead.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage

from mmran.cli import main as mmran
from mmran.config.configuration import Config
from mmran.config.load import PAPER
from mmran.data.published import CLASSES
from mmran.files import sha256_file
from mmran.inference.model import Model
from mmran.inference.package import describe_preprocessing
from mmran.inference.record import FORMAT, NOTICE, Package, TrainingImages, Weights
from mmran.machine import available_cpus
from mmran.networks import build


def untrained_package(folder: Path, size: int, width: float) -> None:
    """A package of MMRAN with random weights."""
    paper = Config.read([PAPER]).resolve("mmran")
    spec = replace(
        paper,
        network=replace(paper.network, width=width),
        input=replace(paper.input, size=size),
        training=replace(paper.training, precision="float32"),
    )
    (folder / "weights").mkdir(parents=True)
    (folder / "spec.json").write_text(spec.to_json())
    torch.manual_seed(0)
    save_file(build("mmran", **spec.network.arguments).state_dict(), folder / "weights" / "seed0-fold0.safetensors")
    digest = sha256_file(folder / "weights" / "seed0-fold0.safetensors")
    images = TrainingImages(1, (f"{size}x{size}",), "<i2", 250.88, (0.1, 9), (0.1, 9), 0.98, (0, 1), (0, 1), (0, 1e9))
    Package(
        format=FORMAT,
        experiment="mmran",
        protocol="none",
        tasks=("segmentation", "classification"),
        classes=CLASSES,
        preprocessing=describe_preprocessing(spec.input),
        training_images=images,
        weights=(Weights("weights/seed0-fold0.safetensors", 0, 0, digest, "cpu", "float32"),),
        digests={"spec": sha256_file(folder / "spec.json")},
        versions={},
        licenses={"code": "MIT", "data": "none"},
        notice=NOTICE,
    ).write(folder)


def head(seed: int, size: int) -> np.ndarray:
    """A smooth blob with noise, as hard to compress as a scan."""
    noise = np.random.default_rng(seed)
    rows, columns = (np.indices((size, size)) - size / 2) / size
    body = (rows**2 + 1.3 * columns**2 < 0.15) * (
        600 + 300 * ndimage.gaussian_filter(noise.standard_normal((size, size)), 6)
    )
    return np.clip(body + noise.normal(20, 8, (size, size)), 0, 4000).astype(np.uint16)


class Seconds(NamedTuple):
    """Of a clock on the wall, and of all CPU threads."""

    wall: float
    cpu: float


def timed(function: Callable[[], object]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def bare_seconds(model: Model, images: Sequence[np.ndarray], threads: int) -> Seconds:
    torch.set_num_threads(threads)
    prepared = [model.prepare(image, None) for image in images]
    batches = [prepared[i : i + model.batch_size] for i in range(0, len(prepared), model.batch_size)]
    model.run(batches[0])
    return timed(lambda: [model.run(batch) for batch in batches])


def folder_of_slices(work: Path, n: int, size: int, width: float, threads: int) -> None:
    untrained_package(work / "model", size, width)
    (work / "scans").mkdir()
    images = [head(seed, size) for seed in range(n)]
    for i, image in enumerate(images):
        Image.fromarray(image).save(work / "scans" / f"{i:04d}.png")
    model = Model.load(work / "model", device="cpu")
    before = bare_seconds(model, images, threads)
    words = ["segment", str(work / "model"), str(work / "scans"), "--output", str(work / "out"), "--device", "cpu"]
    whole = timed(lambda: mmran([*words, "--threads", str(threads)]))
    assert len(list((work / "out").glob("*_mask.png"))) == n
    after = bare_seconds(model, images, threads)
    print(f"{n} slices of {size} px, width {width:g}, {threads} threads")
    for i, name in enumerate(Seconds._fields):
        bare = (before[i] + after[i]) / 2
        ratio = whole[i] / bare
        print(
            f"{name}: bare {bare:.1f} s ({before[i]:.1f}, {after[i]:.1f}), segment {whole[i]:.1f} s, ratio {ratio:.3f}"
        )


def volume(work: Path, n: int, width: float, threads: int, batch: Sequence[str]) -> None:
    import nibabel

    untrained_package(work / "model", 512, width)
    plane = head(0, 512).astype(np.int16)
    data = np.repeat(plane[:, :, None], n, axis=2)
    nibabel.Nifti1Image(data, np.diag([-0.49, -0.49, 1, 1])).to_filename(work / "volume.nii.gz")
    del data
    words = ["segment", str(work / "model"), str(work / "volume.nii.gz"), "--output", str(work / "out")]
    assert mmran([*words, "--device", "cpu", "--threads", str(threads), *batch]) == 0
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"512 x 512 x {n}, width {width:g}: peak {peak_gib:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, help="default: 1000; 300 of a volume")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=available_cpus())
    parser.add_argument("--volume", action="store_true")
    parser.add_argument("--batch", help="of a volume: slices that are predicted together (default: as in training)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if arguments.volume:
            batch = ["--batch", arguments.batch] if arguments.batch else []
            volume(Path(work), arguments.slices or 300, arguments.width, arguments.threads, batch)
        else:
            folder_of_slices(Path(work), arguments.slices or 1000, arguments.size, arguments.width, arguments.threads)


if __name__ == "__main__":
    main()
