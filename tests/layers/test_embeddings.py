"""Embedding: every argument, ids of every type, and ids out of range."""

import numpy as np
import pytest
import torch

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_layer
from torchkeras.layers import Embedding, Input
from torchkeras.layers.base import get_mask


@pytest.mark.parametrize("case", golden("layer", "Embedding"), ids=str)
def test_embedding_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"input_dim": 5, "output_dim": 3},
        {"input_dim": 5, "output_dim": 3, "mask_zero": True, "embeddings_regularizer": "l2", "embeddings_constraint": "unit_norm"},
        {"input_dim": 5, "output_dim": 2, "input_length": 4, "embeddings_initializer": "ones", "activity_regularizer": "l1"},
    ],
)
def test_embedding_stands_the_harness(kwargs):
    check_layer(Embedding, kwargs, (2, 4), dtype=torch.int64, unknown=(0, 1))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8, torch.float32, torch.float64])
def test_ids_of_every_type_find_their_vectors(dtype):
    layer = Embedding(7, 3, mask_zero=True)
    ids = torch.tensor([[0, 6, 2], [3, 0, 1]])
    wanted = layer(ids)
    got = layer(ids.to(dtype))
    torch.testing.assert_close(got, wanted)
    assert torch.equal(get_mask(got), ids != 0)
    torch.testing.assert_close(layer(ids.to(dtype).numpy()), wanted)
    torch.testing.assert_close(layer(ids.tolist()), wanted)


@pytest.mark.parametrize("bad", [-1, 5, 99])
@pytest.mark.parametrize("mask_zero", [False, True])
def test_an_id_out_of_range_is_named(bad, mask_zero):
    layer = Embedding(5, 3, name="words", mask_zero=mask_zero)
    ids = torch.tensor([[1, 2], [bad, 0]])
    for _ in range(2):  # before and after the first call
        with pytest.raises(IndexError, match=rf"Embedding 'words' knows the ids 0 to 4.*got the id {bad} \(1 of 4"):
            layer(ids)
        layer(torch.zeros(1, 2, dtype=torch.int64))


def test_checked_ids_are_looked_at_before_the_lookup():
    layer = Embedding(5, 3, name="words")
    layer.checks_ids = True
    layer.build_now((None, None))
    layer.to("meta")
    ids = torch.empty(2, 2, dtype=torch.int64, device="meta")
    with pytest.raises((RuntimeError, NotImplementedError), match=r"[Mm]eta|nonzero|item"):  # it looks at the values
        layer(ids)
    layer.checks_ids = False
    assert layer(ids).shape == (2, 2, 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_checked_ids_are_named_on_cuda():
    layer = Embedding(5, 3, name="words").to("cuda")
    layer.checks_ids = True
    with pytest.raises(IndexError, match="got the id 7"):
        layer(torch.tensor([[1, 7]], device="cuda"))


def test_sparse_gradients_hold_the_rows_looked_up():
    layer = Embedding(50, 3)
    layer.sparse_gradients = True
    layer(torch.tensor([[3, 7, 3]])).sum().backward()
    gradient = layer.weight.grad
    assert gradient.is_sparse
    assert gradient.coalesce().indices().flatten().tolist() == [3, 7]
    assert gradient.coalesce().values()[:, 0].tolist() == [2.0, 1.0]


def test_input_length_declares_the_shape():
    assert tuple(Embedding(9, 3, input_length=5)(Input((None,))).shape) == (None, 5, 3)
    assert tuple(Embedding(9, 3)(Input((None,))).shape) == (None, None, 3)
    assert tuple(Embedding(9, 3, input_length=(None, 4))(Input((2, None))).shape) == (None, 2, 4, 3)
    assert Embedding(9, 3, input_length=5)._batch_input_shape == (None, 5)
    assert Embedding(9, 3, batch_input_shape=(2, 7))._batch_input_shape == (2, 7)


def test_bad_arguments_of_embedding():
    with pytest.raises(ValueError, match=r"Embedding 'e' has input_length=5, but got an input with the axes \(4,\) beside the batch"):
        Embedding(9, 3, input_length=5, name="e")(Input((4,)))
    with pytest.raises(ValueError, match=r"Embedding 'e' has input_length=\(5, 2\).*axes \(5,\)"):
        Embedding(9, 3, input_length=(5, 2), name="e")(Input((5,)))
    with pytest.raises(ValueError, match="Embedding 'e' needs sizes of at least 1, but got input_dim=0 and output_dim=3"):
        Embedding(0, 3, name="e")


def test_weights_of_gensim_form_are_taken_and_may_be_frozen():
    table = np.random.rand(4, 3).astype("float32")
    layer = Embedding(4, 3, weights=[table], trainable=False)
    np.testing.assert_allclose(layer(np.array([[2]]))[0, 0].numpy(), table[2])
    assert not layer.trainable_weights
    assert not layer.weight.requires_grad


def test_a_state_dict_of_torch_embedding_loads():
    torch_layer, ids = torch.nn.Embedding(6, 2), torch.tensor([[1, 5]])
    layer = Embedding(6, 2)
    layer.load_state_dict(torch_layer.state_dict())
    torch.testing.assert_close(layer(ids), torch_layer(ids))
