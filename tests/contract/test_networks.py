"""What the training loop may rely on, asked of every network of the registry and of every variant of it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mmran.errors import UserError
from mmran.networks import (
    NETWORKS,
    build,
    complete_options,
    network_class,
    option_names,
)
from mmran.networks.complexity import parameter_count
from mmran.networks.output import NetworkOutput
from tests.contract.registry import CONFIGURED, DISTINCT, VARIANTS, WIDTH, images_of, small, total, weighted_sum

# Worked out by hand for the paper's reading: 26,418,820 in last encoder stage, decoder and heads; then for
# C = 64, 128, 256, 512 (sum of C = 960, of C^2 = 348,160) a first block and shortcut of 10 C_in C + 5 C each,
# 1,725,760 together; then what the variant adds: 9 C^2 + 3 C a second convolution, C^2 / 8 + 17 C / 16 an SE
# gate, C^2 / 2 + C the gates of scSE, 41 C^2 + 2 C the multiscale module, C^2 / 2 a maximum branch.
PARAMETERS = {
    "dynamic": 31_280_900,
    "se": 31_325_440,
    "se-spatial": 31_326_400,  # se and C for the spatial gate
    "se-spatial-r4": 31_457_140,  # scse and 5 C / 4 for the biases of the channel gate
    "scse": 31_455_940,
    "msm": 42_421_060,  # scse-msm less C^2 / 2 for the channel gate and C for the spatial gate
    "scse-msm": 42_596_100,
    "scse-msm-after": 45_732_420,  # scse-msm and 9 C^2 + 3 C for the second convolution
    "scse-msm-gmp": 42_770_180,
    "scse-msm-gmp-res": 42_770_180,
    "scse-msm-gmp-res-product": 42_770_180,
    "mmran": 42_770_180,
    "mmran-after": 45_906_500,  # mmran and 9 C^2 + 3 C for the second convolution
    "mmran-released": 57_711_444,
    "mmran-released-baseline": 42_737_684,
    "res-unet": 32_440_961,
    "rv-gan": 15_530_756,
    "resnet-50": 23_534_467,
    "datta": 23_907_284,
    "y-net": 9_110_307,
    "chen": 32_202_055,
    "he": 23_668_260,
    "mb-dcnn": 130_297_295,
    "mb-dcnn-resnet50": 76_941_191,
}


# Outputs of parts that the network's own output has no gradient to, since another stage trains them.
ANOTHER_STAGE: dict[str, Callable[[Any, Tensor], tuple[Tensor, ...]]] = {
    "rv-gan": lambda network, images: (
        network.coarse(images)[0],
        *(discriminator(images, images)[0] for discriminator in network.discriminators),
    ),
    "mb-dcnn": lambda network, images: (network.coarse_mask_logits(images),),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if "classification" in network_class(name).tasks])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_heads_have_as_many_classes_as_the_data(name: str, n_classes: int) -> None:
    output = small(name, {}, n_classes=n_classes).eval()(images_of(32, 64))
    for classes in (output.class_logits, *output.auxiliary):
        assert classes is not None
        assert classes.shape == (2, n_classes)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), VARIANTS)
class TestEveryNetwork:
    def test_forward_has_named_outputs_at_square_and_oblong_sizes(self, name, options):
        network = small(name, options)
        for height, width in ((64, 64), (32, 96)):
            output = network(images_of(height, width))
            assert isinstance(output, NetworkOutput)
            assert (output.mask_logits is not None) == ("segmentation" in network.tasks)
            assert (output.class_logits is not None) == ("classification" in network.tasks)
            if output.mask_logits is not None:
                assert output.mask_logits.shape == (2, 1, height, width)
            for classes in (output.class_logits, *output.auxiliary):
                assert classes is None or classes.shape == (2, 3)

    def test_backward_reaches_every_parameter(self, name, options):
        # In evaluation mode: a batch's own mean would cancel the bias before it. Over several draws: any one
        # may leave a unit behind its ReLU.
        reached: dict[str, float] = {}
        for seed in range(3):
            network = small(name, options, seed).eval()
            images = images_of(64, 64, seed)
            apart = ANOTHER_STAGE.get(name, lambda *_: ())(network, images)
            (total(network(images)) + weighted_sum(apart)).backward()
            for key, parameter in network.named_parameters():
                assert parameter.grad is not None, f"{key} takes no part"
                reached[key] = max(reached.get(key, 0.0), parameter.grad.abs().max().item())
        assert [key for key, gradient in reached.items() if not gradient > 1e-12] == []

    def test_state_round_trips(self, name, options):
        source, target = small(name, options, seed=0), small(name, options, seed=1)
        source(images_of(64, 64))  # moves the running statistics away from their start
        target.load_state_dict(source.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(
                target.eval()(images_of(64, 64)), source.eval()(images_of(64, 64)), rtol=0, atol=0
            )

    def test_same_seed_gives_same_gradients_under_deterministic_algorithms(self, name, options):
        gradients = []
        torch.use_deterministic_algorithms(True)
        try:
            for _ in range(2):
                network = small(name, options)
                total(network(images_of(64, 64))).backward()
                gradients.append([parameter.grad for parameter in network.parameters()])
        finally:
            torch.use_deterministic_algorithms(False)
        torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)

    def test_size_that_stride_does_not_divide_is_refused_with_both_named(self, name, options):
        network = small(name, options)
        with pytest.raises(ValueError, match=rf"72 x {64 + network.stride // 2} pixels.*stride of {network.stride};"):
            network(torch.zeros(1, 1, 72, 64 + network.stride // 2))

    def test_bfloat16_autocast_and_channels_last_stay_finite_and_near_float32(self, name, options):
        network = small(name, options).eval()
        with torch.no_grad():
            exact = network(images_of(64, 64))
            network = network.to(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded = network(images_of(64, 64).to(memory_format=torch.channels_last))
        for single, half in zip(exact[:2], rounded[:2], strict=True):
            if single is not None:
                torch.testing.assert_close(half.float(), single, rtol=0.1, atol=0.05)

    def test_maps_stay_channels_last_from_the_first_convolution_to_the_heads(self, name, options):
        network = small(name, options).to(memory_format=torch.channels_last)
        lost = []

        def note(key: str) -> Callable[..., None]:
            def look(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
                (x, *_) = inputs
                # Images of one channel, and maps of one pixel, are of either order.
                if (
                    x.shape[1] > 4
                    and x.shape[2:].numel() > 1
                    and not x.is_contiguous(memory_format=torch.channels_last)
                ):
                    lost.append(key)

            return look

        for key, layer in network.named_modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.BatchNorm2d):
                layer.register_forward_hook(note(key))
        network(images_of(64, 64).contiguous(memory_format=torch.channels_last))
        assert lost == []

    def test_options_are_read_from_the_source_as_the_constructor_has_them(self, name, options):
        assert option_names(name) == tuple(complete_options(name, {}))
        assert "width" in option_names(name)

    def test_width_scales_the_parameters(self, name, options):
        thin, wide = (parameter_count(name, **options, width=width) for width in (WIDTH, 2 * WIDTH))
        assert thin < wide < 5 * thin


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in NETWORKS] + [("mmran", {"attention": "scse-msm-gmp", "reading": "released-backbone"})],
)
def test_compiles_without_graph_breaks(name, options):
    network = small(name, options).eval()
    torch.compiler.reset()
    compiled = torch.compile(network, backend="eager", fullgraph=True, dynamic=False)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images_of(32, 64)), network(images_of(32, 64)), rtol=0, atol=0)


@pytest.mark.parametrize("preset", PARAMETERS)
def test_parameter_count_at_full_width(preset):
    assert parameter_count(CONFIGURED[preset].name, **CONFIGURED[preset].options) == PARAMETERS[preset]


def test_every_configured_network_has_a_stated_count():
    assert set(DISTINCT.values()) == set(PARAMETERS)
    assert {spec.name for spec in CONFIGURED.values()} == set(NETWORKS)


def test_smallest_image_and_smallest_width_go_through():
    for reading in ("paper", "released-backbone"):
        output = build("mmran", width=1e-3, reading=reading)(images_of(16, 16))
        assert output.mask_logits.shape == (2, 1, 16, 16)
        assert output.class_logits.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mmrna", {}, r"'mmrna' is unknown; did you mean 'mmran'\? known: .*y-net"),
        ("mmran", {"wdith": 0.5}, r"no option 'wdith'; did you mean 'width'\? known: attention"),
        ("mmran", {"width": 0}, r"width: 0 is not a positive number"),
        ("mmran", {"attention": "cbam"}, r"attention: 'cbam' is unknown; choose one of none, se"),
        ("mmran", {"reading": "mine"}, r"reading: 'mine' is not one of paper, released-backbone"),
        ("mmran", {"placement": "before"}, r"placement: 'before' is not one of replace, after"),
        ("mmran", {"class_head": "mlp"}, r"class_head: 'mlp' is not one of linear"),
        ("mmran", {"reduction": 0}, r"reduction: 0 is not a positive integer"),
        ("mmran", {"spp_levels": 4}, r"spp_levels: 4 is not a list of positive integers"),
        ("mmran", {"residual_decoder": 1}, r"residual_decoder: 1 is not true or false"),
        ("mb-dcnn", {"backbone": "vgg"}, r"backbone: 'vgg' is not one of xception, resnet50"),
        ("no.such.module:Net", {}, r"cannot import 'no.such.module'"),
        ("mmran.networks.mmran:Missing", {}, r"has no class 'Missing'"),
        ("torch.nn:Linear", {}, r"its class lacks stride, tasks, recipe"),
    ],
)
def test_mistaken_name_or_option_is_one_line_that_names_it(name, options, message):
    with pytest.raises(UserError, match=message) as caught:
        build(name, **options)
    assert "\n" not in str(caught.value)


def test_network_of_ones_own_is_found_by_module_and_class():
    assert network_class("mmran.networks.mmran:MMRAN") is network_class("mmran")


def test_option_names_of_what_cannot_be_read_are_unknown_and_of_a_wrong_name_an_error():
    assert option_names("no.such.module:Net") is None
    with pytest.raises(UserError, match="'mmrna' is unknown"):
        option_names("mmrna")


def test_fields_given_beside_a_reading_take_its_place():
    released = parameter_count("mmran", reading="released-backbone", attention="none")
    plain_decoder = parameter_count("mmran", reading="released-backbone", attention="none", residual_decoder=False)
    # Shortcuts of the decoder: 2 C^2 + 2 C for C = 512, 256, 128, 64.
    assert released - plain_decoder == 2 * 348_160 + 2 * 960
