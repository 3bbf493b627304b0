"""The five transforms against MONAI's and albumentations', per image and core.

    OMP_NUM_THREADS=1 python benchmarks/augmentation.py [--size 512] [--rounds 9]

Every round runs all of them on the same images, one after another; prints the median over the rounds
of the ratio within a round. Processor time, not wall time: other programs on the machine do not count.
Goal: at least 6 times MONAI and 3 times albumentations at 512 pixels.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

from mmran.config.load import PAPER, load
from mmran.data.augment import augment
from mmran.data.augmentation import Augmentation

AUGMENTATION = Augmentation(**load([PAPER])["defaults"]["augmentation"])


def ours(images: torch.Tensor, masks: torch.Tensor) -> Callable[[int], object]:
    numbers = np.arange(len(images))
    return lambda epoch: augment(images, masks, numbers, 1029, epoch, AUGMENTATION)


def monai(images: torch.Tensor, masks: torch.Tensor) -> Callable[[int], object]:
    from monai import transforms

    keys, modes, p = ["image", "mask"], ["bilinear", "nearest"], AUGMENTATION.probability
    angle = np.deg2rad(AUGMENTATION.rotation_degrees)
    spacing = images.shape[-1] / AUGMENTATION.n_intervals
    chain = transforms.Compose(
        [
            transforms.RandFlipd(keys, prob=p, spatial_axis=1),
            transforms.RandFlipd(keys, prob=p, spatial_axis=0),
            transforms.RandRotated(keys, range_x=angle, prob=p, mode=modes, padding_mode="zeros"),
            transforms.Rand2DElasticd(keys, (spacing, spacing), (2.0, 3.0), prob=p, mode=modes, padding_mode="zeros"),
            transforms.RandGaussianNoised(["image"], prob=p, std=AUGMENTATION.noise_sigma, sample_std=False),
        ]
    )
    chain.set_random_state(1029)
    return lambda epoch: [chain({"image": i, "mask": m}) for i, m in zip(images, masks, strict=True)]


def albumentations(images: torch.Tensor, masks: torch.Tensor) -> Callable[[int], object]:
    import albumentations
    import cv2

    cv2.setNumThreads(1)
    p, sigma = AUGMENTATION.probability, AUGMENTATION.noise_sigma
    chain = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=p),
            albumentations.VerticalFlip(p=p),
            albumentations.Rotate(AUGMENTATION.rotation_degrees, border_mode=cv2.BORDER_CONSTANT, p=p),
            albumentations.ElasticTransform(
                AUGMENTATION.elastic_alpha, AUGMENTATION.elastic_sigma, noise_distribution="uniform", p=p
            ),
            albumentations.GaussNoise(std_range=(sigma, sigma), p=p),
        ],
        seed=1029,
    )
    pairs = [(i[0].numpy(), m[0].numpy()) for i, m in zip(images, masks, strict=True)]
    return lambda epoch: [chain(image=image, mask=mask) for image, mask in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side in pixels (512)")
    parser.add_argument("--batch", type=int, default=20, help="images per round (20)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds (9)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")

    shape = (arguments.batch, 1, arguments.size, arguments.size)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    masks = torch.zeros(shape)
    masks[..., arguments.size // 4 : arguments.size // 2, arguments.size // 3 : arguments.size // 2] = 1

    runs = {}
    for make in (ours, monai, albumentations):
        try:
            runs[make.__name__] = make(images, masks)
        except ImportError as error:
            print(f"{make.__name__:15s} left out ({error})")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for epoch in range(-1, arguments.rounds):
        for name, run in runs.items():
            start = time.process_time()
            run(epoch)
            if epoch >= 0:
                seconds[name].append(time.process_time() - start)
    for name, values in seconds.items():
        ratio = np.median(np.array(values) / np.array(seconds["ours"]))
        milliseconds = 1e3 * np.median(values) / arguments.batch
        print(f"{name:15s} {milliseconds:7.2f} ms per image   {ratio:5.1f} x ours")


if __name__ == "__main__":
    main()
