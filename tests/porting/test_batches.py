"""The codemod turns counts of samples into counts of batches where the program says what gives the batches."""

from __future__ import annotations

import pytest

pytest.importorskip("libcst")

from torchkeras.porting.rewrite import port_source

HEAD = "from keras.models import Sequential\n"


def ported(body: str, target: str = "torchkeras"):
    found = port_source(HEAD + body, target)
    return found.source.splitlines()[-1], [note for note in found.notes if not note.done]


@pytest.mark.parametrize("target", ["torchkeras", "tf2"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("m.fit_generator(g.flow(x, y), samples_per_epoch=100)", "m.fit_generator(g.flow(x, y), steps_per_epoch=4)"),
        ("m.fit_generator(g.flow(x, y, 8), samples_per_epoch=len(x))", "m.fit_generator(g.flow(x, y, 8), steps_per_epoch=-(-len(x) // 8))"),
        (
            "m.evaluate_generator(g.flow(x, y, batch_size=b), val_samples=n + 1)",
            "m.evaluate_generator(g.flow(x, y, batch_size=b), steps=-(-(n + 1) // b))",
        ),
        (
            "m.predict_generator(g.flow(x, batch_size=2 * b), val_samples=n)",
            "m.predict_generator(g.flow(x, batch_size=2 * b), steps=-(-n // (2 * b)))",
        ),
        (
            "t = g.flow_from_directory('a'); m.fit_generator(t, samples_per_epoch=n)",
            "t = g.flow_from_directory('a'); m.fit_generator(t, steps_per_epoch=-(-n // t.batch_size))",
        ),
        (
            "m.fit_generator(g.flow(x), samples_per_epoch=64, validation_data=h.flow(z, batch_size=5), nb_val_samples=11)",
            "m.fit_generator(g.flow(x), steps_per_epoch=2, validation_data=h.flow(z, batch_size=5), validation_steps=3)",
        ),
        ("m.fit_generator(generator=g.flow(x), samples_per_epoch=64)", "m.fit_generator(generator=g.flow(x), steps_per_epoch=2)"),
    ],
)
def test_samples_are_divided_by_the_batch_size(before, after, target):
    assert ported(before, target) == (after, [])


@pytest.mark.parametrize(
    "body",
    [
        "m.fit_generator(batches(), samples_per_epoch=24)",
        "t = g.flow(x); t = batches(); m.fit_generator(t, samples_per_epoch=24)",
        "m.fit_generator(g.flow(x), 64, validation_data=(x, y), nb_val_samples=24)",
        "f = lambda t: m.fit_generator(t, samples_per_epoch=24); t = g.flow(x)",
    ],
)
def test_what_gives_other_batches_is_left(body):
    found, left = ported(body)
    assert "=24)" in found
    assert len(left) == 1 and "counts samples" in left[0].text
