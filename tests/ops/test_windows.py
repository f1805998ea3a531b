"""What is padded is worked out once for each size, and in compilers and tracers with their symbols."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from torchkeras import layers
from torchkeras.ops.windows import divide_pads, divided_pads, once_for_each_size, pads_of_pool, window_pads


def test_answers_are_remembered_by_size():
    seen = []

    @once_for_each_size
    def double(sizes: tuple[int, ...]) -> tuple[int, ...]:
        seen.append(sizes)
        return tuple(2 * size for size in sizes)

    assert [double((1, 2)), double((1, 2)), double((3,))] == [(2, 4), (2, 4), (6,)]
    assert seen == [(1, 2), (3,)]


def test_what_a_kernel_cannot_pad_is_left():
    assert window_pads((8, 7), "same", (3, 3), (2, 2), (1, 1)) == [(0, 1), (1, 1)]
    assert window_pads((8,), "causal", (3,), (1,), (2,)) == [(4, 0)]
    assert divide_pads([(0, 1), (1, 1)]) == ((0, 1), [(0, 1), (0, 0)])
    assert divided_pads((7, 7), "same", (3, 3), (2, 2), (1, 1)) == ((1, 1), None)
    assert divided_pads((8, 8), "valid", (3, 3), (2, 2), (1, 1)) == ((0, 0), None)
    assert pads_of_pool((8, 8), (3, 2), (2, 1)) == ([0, 1], [False, True])


@pytest.mark.parametrize(
    "layer", [layers.Conv2D(4, 3, strides=2, padding="same"), layers.MaxPooling2D(3, 2, "same"), layers.AveragePooling3D(2, 2, "same")]
)
def test_sizes_may_be_symbols_of_a_tracer(layer):
    rank = layer.rank
    x, larger = torch.randn(2, *(8,) * rank, 3), torch.randn(3, *(10,) * rank, 3)
    layer(x)
    traced = make_fx(lambda x: layer.call(x), tracing_mode="symbolic", _allow_non_fake_inputs=True)(x)
    for one in (x, larger):
        torch.testing.assert_close(traced(one), layer(one))
