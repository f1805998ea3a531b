"""Images: files, transformations, and the batches of ImageDataGenerator, against genuine Keras and by their rules."""

import builtins
import inspect
import itertools
import math
import os
import pickle
import warnings

import numpy as np
import pytest

from tests.golden_cases import golden
from torchkeras import config, generations
from torchkeras.preprocessing import image
from torchkeras.utils.data_utils import OrderedEnqueuer

pytest.importorskip("PIL")
pytest.importorskip("scipy")


FLOWS = golden("preprocessing", "ImageDataGenerator")
WHITENED = [case for case in FLOWS if case.get("principal_components")]


@pytest.mark.parametrize("case", [case for case in FLOWS if case not in WHITENED], ids=str)
def test_the_batches_of_flow_are_those_of_keras(case, keras_version):
    x, y = case.arrays("inputs")
    generator = image.ImageDataGenerator(**case["kwargs"])
    generator.fit(x)
    for name in ("mean", "std"):
        if case.get(name):
            np.testing.assert_allclose(getattr(generator, name), case.array(case[name]), rtol=1e-5, atol=case["atol"])
    batches = generator.flow(x, y, **case["flow"])
    for batch, keys in zip(batches, case["flow_batches"], strict=False):
        for array, key in zip(batch, keys, strict=True):
            expected = case.array(key)
            np.testing.assert_allclose(array, expected, rtol=1e-5, atol=case["atol"])
            assert array.dtype == expected.dtype


@pytest.mark.parametrize("case", WHITENED, ids=str)
def test_whitened_batches_are_those_of_keras(case, keras_version):
    """Seven images span 7 of 60 dimensions. Along the other 53 the matrix is 1 / sqrt(rounding error of the SVD + epsilon), about 17 in
    the recording: no two LAPACKs agree there, and the recording's own float32 product is good to 1e-3 only (its batches differ from
    its images times its matrix by 5e-4). So the matrix is compared where the data are, and batches within the error bound of that product."""
    x, y = case.arrays("inputs")
    generator = image.ImageDataGenerator(**case["kwargs"])
    generator.fit(x)
    np.testing.assert_allclose(generator.mean, case.array(case["mean"]), rtol=1e-5, atol=case["atol"])
    centred = (x - generator.mean).reshape(len(x), -1).astype("float64")
    recorded = case.array(case["principal_components"]).astype("float64")
    basis = np.linalg.svd(centred, full_matrices=False)[2].T  # (60, 7): where the data are
    np.testing.assert_allclose(basis.T @ generator.principal_components @ basis, basis.T @ recorded @ basis, rtol=1e-5, atol=case["atol"])
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    exact = (centred @ (vectors[:, -7:] / np.sqrt(values[-7:] + 1e-6)) @ vectors[:, -7:].T).reshape(x.shape)
    # rounding of a float32 dot product of n terms: about sqrt(n) eps |a||b|
    atol = (np.finfo("float32").eps * centred.shape[1] ** 0.5 * np.abs(centred) @ np.abs(recorded)).max()
    assert atol < 0.005
    for batch, keys in zip(generator.flow(x, y, **case["flow"]), case["flow_batches"], strict=False):
        np.testing.assert_array_equal(batch[1], case.array(keys[1]))
        np.testing.assert_allclose(batch[0], case.array(keys[0]), rtol=1e-5, atol=atol)
        np.testing.assert_allclose(batch[0], exact[batch[1]], rtol=1e-5, atol=atol)


@pytest.mark.parametrize("case", golden("preprocessing", "ImageDataGenerator"), ids=str)
def test_the_seeded_order_is_that_of_keras(case, keras_version):
    x, y = case.arrays("inputs")
    generator = image.ImageDataGenerator(**case["kwargs"])
    generator.fit(x)
    batches = generator.flow(x, y, **case["seeded_flow"])
    assert [labels.tolist() for _, labels in itertools.islice(batches, len(case["seeded_order"]))] == case["seeded_order"]


@pytest.mark.parametrize("case", golden("preprocessing", "apply_affine_transform"), ids=str)
def test_affine_transformations_are_those_of_keras(case):
    (x,) = case.arrays("inputs")
    np.testing.assert_allclose(image.apply_affine_transform(x, **case["kwargs"]), case.arrays("outputs")[0], rtol=0, atol=case["atol"])


def picture(*shape, seed=0):
    return np.random.RandomState(seed).uniform(0, 255, shape).astype("float32")


def test_a_quarter_turn_is_a_quarter_turn():
    x = picture(7, 7, 3)
    # the middle is taken one pixel beyond that of the pixels, so this turn also shifts by two
    turned = image.apply_affine_transform(x, theta=90)
    np.testing.assert_allclose(turned[:, 2:], np.rot90(x, -1)[:, :-2], atol=1e-3)


def test_a_shift_by_pixels_moves_them():
    x = picture(6, 5, 1)
    np.testing.assert_allclose(image.apply_affine_transform(x, tx=2, ty=-1)[:4, 1:], x[2:, :4], atol=1e-4)


def test_nothing_to_do_gives_the_image_back():
    x = picture(4, 4, 3)
    assert image.apply_affine_transform(x) is x
    np.testing.assert_array_equal(image.random_zoom(x, (1, 1), 0, 1, 2), x)


@pytest.mark.parametrize(
    ("function", "arguments", "changes"),
    [
        (image.random_rotation, (30,), lambda: {"theta": np.random.uniform(-30, 30)}),
        (image.random_shift, (0.3, 0.2), lambda: {"tx": np.random.uniform(-0.2, 0.2) * 6, "ty": np.random.uniform(-0.3, 0.3) * 5}),
        (image.random_shear, (20,), lambda: {"shear": np.random.uniform(-20, 20)}),
        (image.random_zoom, ((0.5, 1.5),), lambda: dict(zip(("zx", "zy"), np.random.uniform(0.5, 1.5, 2), strict=True))),
    ],
)
def test_random_transformations_draw_from_numpys_seed(function, arguments, changes):
    x = picture(6, 5, 3)
    np.random.seed(4)
    drawn = function(x, *arguments, row_axis=0, col_axis=1, channel_axis=2, fill_mode="constant", cval=1.0)
    np.random.seed(4)
    expected = image.apply_affine_transform(x, **changes(), fill_mode="constant", cval=1.0)
    np.testing.assert_array_equal(drawn, expected)
    assert not np.allclose(drawn, x)


def test_channels_first_turn_about_the_middle_in_keras_1_only():
    x = picture(6, 6, 3)
    first = x.transpose(2, 0, 1)
    for version, right in (("1.2.2", True), ("2.4.0", False)):
        generations.set_keras_version(version)
        results = []
        for array, axes in ((first, (1, 2, 0)), (x, (0, 1, 2))):
            np.random.seed(4)
            results.append(image.random_rotation(array, 40, *axes))
        assert np.allclose(results[0].transpose(1, 2, 0), results[1], atol=1e-3) == right


def test_channel_shifts_stay_within_the_values_there_were():
    x = picture(4, 4, 3)
    shifted = image.apply_channel_shift(x, 50.0, 2)
    np.testing.assert_array_equal(shifted, np.minimum(x + 50, x.max()))
    np.random.seed(1)
    drawn = np.random.uniform(-20, 20)
    np.random.seed(1)
    np.testing.assert_array_equal(image.random_channel_shift(x, 20, 2), image.apply_channel_shift(x, drawn, 2))


def test_keras_1_shifts_each_channel_by_itself():
    generations.set_keras_version("1.2.2")
    x = np.tile(np.array([0.0, 100.0], "float32")[:, None, None], (1, 1, 3))
    np.random.seed(1)
    drawn = [np.random.uniform(-20, 20) for _ in range(3)]
    np.random.seed(1)
    np.testing.assert_allclose(image.random_channel_shift(x, 20, 2)[1, 0], np.minimum(100 + np.array(drawn), 100), rtol=1e-6)


def test_brightness_spreads_the_values_and_scales_them():
    x = np.array([0.0, 50.0, 100.0], "float32").reshape(1, 3, 1).repeat(3, 2)
    np.testing.assert_array_equal(image.apply_brightness_shift(x, 0.5)[0, :, 0], [0, 63, 127])
    first = image.apply_brightness_shift(x.transpose(2, 0, 1), 0.5, "channels_first")
    np.testing.assert_array_equal(first[0, 0], [0, 63, 127])
    np.random.seed(2)
    drawn = np.random.uniform(0.2, 0.8)
    np.random.seed(2)
    np.testing.assert_array_equal(image.random_brightness(x, (0.2, 0.8)), image.apply_brightness_shift(x, drawn))


def test_flips_and_matrices():
    x = picture(3, 4, 1)
    np.testing.assert_array_equal(image.flip_axis(x, 1), x[:, ::-1])
    matrix = image.transform_matrix_offset_center(np.diag([2.0, 2.0, 1.0]), 3, 5)
    np.testing.assert_allclose(matrix @ [2, 3, 1], [2, 3, 1])  # the middle stays
    np.testing.assert_array_equal(image.apply_transform(x.transpose(2, 0, 1), np.eye(3))[0], x[:, :, 0])


@pytest.mark.parametrize("mode", ["grayscale", "rgb", "rgba"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_images_go_to_files_and_back(tmp_path, mode, data_format):
    channels = {"grayscale": 1, "rgb": 3, "rgba": 4}[mode]
    x = picture(5, 4, channels).round()
    x.flat[:2] = 0, 255
    given = x if data_format == "channels_last" else x.transpose(2, 0, 1)
    image.save_img(tmp_path / "a.png", given, data_format=data_format)
    loaded = image.load_img(tmp_path / "a.png", color_mode=mode)
    assert loaded.size == (4, 5)
    np.testing.assert_array_equal(image.img_to_array(loaded, data_format), given)
    assert image.img_to_array(loaded, dtype="uint8").dtype == np.uint8


def test_the_global_settings_are_followed(tmp_path):
    image.save_img(tmp_path / "a.png", picture(5, 4, 3))
    config.set_image_data_format("channels_first")
    config.set_floatx("float64")
    loaded = image.img_to_array(image.load_img(tmp_path / "a.png"))
    assert loaded.shape == (3, 5, 4) and loaded.dtype == np.float64
    generator = image.ImageDataGenerator()
    assert generator.data_format == "channels_first" and next(generator.flow(loaded[None])).dtype == np.float64


def test_images_are_resized_and_converted(tmp_path):
    image.save_img(tmp_path / "a.png", picture(8, 6, 3))
    assert image.load_img(tmp_path / "a.png", target_size=(4, 3)).size == (3, 4)
    assert image.load_img(tmp_path / "a.png", color_mode="grayscale", target_size=(4, 3), interpolation="lanczos").mode == "L"
    with pytest.warns(DeprecationWarning, match="color_mode='grayscale'"):
        assert image.load_img(tmp_path / "a.png", grayscale=True).mode == "L"


def test_gray_images_of_many_bits_keep_them(tmp_path):
    x = np.array([[[0.0], [70000.0]]])
    image.save_img(tmp_path / "a.tif", x, scale=False)
    np.testing.assert_array_equal(image.img_to_array(image.load_img(tmp_path / "a.tif", color_mode="grayscale")), x)


def test_jpeg_has_no_transparency(tmp_path):
    with pytest.warns(UserWarning, match="JPEG has no transparency"):
        image.save_img(tmp_path / "a.jpg", picture(4, 4, 4), file_format="jpg")
    assert image.load_img(tmp_path / "a.jpg").mode == "RGB"


def test_bad_images_and_choices_are_named(tmp_path):
    image.save_img(tmp_path / "a.png", picture(4, 4, 3))
    with pytest.raises(ValueError, match=r"color_mode must be one of .* but got 'cmyk'"):
        image.load_img(tmp_path / "a.png", color_mode="cmyk")
    with pytest.raises(ValueError, match=r"interpolation must be one of .* but got 'cubic'"):
        image.load_img(tmp_path / "a.png", interpolation="cubic")
    with pytest.raises(ValueError, match=r"three axes, but got the shape \(4, 4\)"):
        image.array_to_img(np.ones((4, 4)))
    with pytest.raises(ValueError, match=r"with 2\."):
        image.array_to_img(np.ones((4, 4, 2)))
    with pytest.raises(ValueError, match=r"two or three axes, but got the shape \(2,\)"):
        image.img_to_array(np.ones(2))
    with pytest.raises(ValueError, match=r"fill_mode must be one of .* but got 'mirror'"):
        image.apply_affine_transform(picture(3, 3, 1), theta=3, fill_mode="mirror")
    with pytest.raises(ValueError, match=r"zoom_range must be a pair .* but got \(1, 2, 3\)"):
        image.random_zoom(picture(3, 3, 1), (1, 2, 3))
    with pytest.raises(ValueError, match="brightness_range must be a pair"):
        image.random_brightness(picture(3, 3, 3), 0.5)


def test_postscript_is_not_run(tmp_path):
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match="does not draw PostScript"):
        image.load_img(tmp_path / "a.eps")


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("PIL", lambda: image.load_img("a.png")),
        ("PIL", lambda: image.array_to_img(picture(2, 2, 3))),
        ("PIL", lambda: image.random_brightness(picture(2, 2, 3), (0.5, 1))),
        ("scipy", lambda: image.random_rotation(picture(2, 2, 3), 30)),
    ],
)
def test_a_missing_package_is_told_with_how_to_install_it(monkeypatch, package, call):
    genuine = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {name!r}")
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'torchkeras-native\[image\]'"):
        call()


def test_pictures_are_listed(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "b.txt", "deep/c.JPG"):
        (tmp_path / name).write_bytes(b"")
    assert sorted(os.path.basename(path) for path in image.list_pictures(tmp_path)) == ["a.png", "c.JPG"]
    assert [os.path.basename(path) for path in image.list_pictures(tmp_path, ext="png|bmp")] == ["a.png"]


# ImageDataGenerator


def test_random_parameters_are_drawn_in_keras_order():
    generator = image.ImageDataGenerator(
        rotation_range=10,
        height_shift_range=0.2,
        width_shift_range=[1, 2, 3],
        shear_range=5,
        zoom_range=(0.5, 2),
        channel_shift_range=3,
        brightness_range=(0.5, 1.5),
        horizontal_flip=True,
        vertical_flip=True,
    )
    drawn = generator.get_random_transform((10, 20, 3), seed=6)
    np.random.seed(6)
    expected = {"theta": np.random.uniform(-10, 10), "tx": np.random.uniform(-0.2, 0.2) * 10}
    expected["ty"] = np.random.choice([1, 2, 3]) * np.random.choice([-1, 1])
    expected["shear"] = np.random.uniform(-5, 5)
    expected["zx"], expected["zy"] = np.random.uniform(0.5, 2, 2)
    expected["flip_horizontal"] = np.random.random() < 0.5
    expected["flip_vertical"] = np.random.random() < 0.5
    expected["channel_shift_intensity"] = np.random.uniform(-3, 3)
    expected["brightness"] = np.random.uniform(0.5, 1.5)
    assert drawn == expected


@pytest.mark.parametrize(("given", "allowed"), [(3, {-2, -1, 0, 1, 2}), ([5], {-5, 5}), (0, {0}), (1.0, None), (0.5, None)])
def test_shifts_are_fractions_pixels_or_choices(given, allowed):
    generator = image.ImageDataGenerator(width_shift_range=given)
    shifts = {generator.get_random_transform((10, 20, 3))["ty"] for _ in range(60)}
    if allowed is not None:
        assert shifts == allowed
    else:
        limit = 1.0 if given == 1.0 else 10.0
        assert limit / 2 < max(map(abs, shifts)) < limit


def test_transformations_are_applied_as_given():
    x = picture(6, 6, 3)
    generator = image.ImageDataGenerator(fill_mode="constant")
    moved = generator.apply_transform(x.copy(), {"tx": 1, "flip_horizontal": True, "flip_vertical": True})
    np.testing.assert_allclose(moved[1:, :], x[1:, :][::-1, ::-1], atol=1e-4)
    shifted = generator.apply_transform(x, {"channel_shift_intensity": 20.0})
    np.testing.assert_array_equal(shifted, image.apply_channel_shift(x, 20.0))
    np.testing.assert_array_equal(generator.apply_transform(x, {"brightness": 0.5}), image.apply_brightness_shift(x, 0.5))


def test_channels_first_is_the_same_transposed():
    x = picture(6, 5, 3)
    last, first = (image.ImageDataGenerator(data_format=f) for f in ("channels_last", "channels_first"))
    drawn = {"theta": 20, "shear": 5, "zx": 0.8, "flip_horizontal": True, "channel_shift_intensity": 9.0, "brightness": 0.7}
    np.testing.assert_allclose(
        first.apply_transform(x.transpose(2, 0, 1), drawn).transpose(1, 2, 0), last.apply_transform(x, drawn), rtol=1e-5, atol=1e-3
    )


def test_augmented_batches_repeat_with_the_seed():
    x, y = picture(7, 6, 6, 3), np.arange(7)
    generator = image.ImageDataGenerator(rotation_range=20, horizontal_flip=True)
    first, second = (list(itertools.islice(generator.flow(x, y, batch_size=3, seed=5), 6)) for _ in range(2))
    for (x1, y1), (x2, y2) in zip(first, second, strict=True):
        np.testing.assert_array_equal(x1, x2)
        np.testing.assert_array_equal(y1, y2)
    assert not np.array_equal(first[0][0], first[3][0])


def test_batches_by_number_shuffle_at_the_epochs_end():
    x, y = picture(6, 2, 2, 1), np.arange(6)
    batches = image.ImageDataGenerator().flow(x, y, batch_size=4, seed=1)
    assert len(batches) == 2
    np.random.seed(1)
    order = np.random.permutation(6)
    assert batches[0][1].tolist() == order[:4].tolist() and batches[1][1].tolist() == order[4:].tolist()
    np.random.seed(9)
    batches.on_epoch_end()
    np.random.seed(9)
    order = np.random.permutation(6)
    assert batches[0][1].tolist() == order[:4].tolist()
    with pytest.raises(ValueError, match="batches 0 to 1, but was asked for 2"):
        batches[2]


def test_flow_works_in_an_enqueuer_and_as_a_pickle():
    x, y = picture(6, 2, 2, 1), np.arange(6)
    batches = pickle.loads(pickle.dumps(image.ImageDataGenerator().flow(x, y, batch_size=2, shuffle=False)))
    with OrderedEnqueuer(batches) as enqueuer:
        enqueuer.start(workers=2)
        assert [labels.tolist() for _, labels in itertools.islice(enqueuer.get(), 4)] == [[0, 1], [2, 3], [4, 5], [0, 1]]
    assert next(batches)[1].tolist() == [0, 1]
    batches.reset()
    assert next(batches)[1].tolist() == [0, 1]


def test_an_iterator_of_the_users_own_makes_its_batches():
    class Doubling(image.Iterator):
        def _get_batches_of_transformed_samples(self, index_array):
            return index_array * 2

    assert next(Doubling(3, 2, False, None)).tolist() == [0, 2]
    with pytest.raises(NotImplementedError, match="Iterator needs a method _get_batches_of_transformed_samples"):
        next(image.Iterator(3, 2, False, None))


def test_further_inputs_and_weights_go_along():
    x, extra = picture(5, 2, 2, 1), np.arange(10).reshape(5, 2)
    flow = image.ImageDataGenerator().flow((x, [extra, extra * 2]), np.arange(5), batch_size=5, sample_weight=np.arange(5) * 10, seed=0)
    (images, one, two), labels, weights = next(flow)
    np.testing.assert_array_equal(images, x[labels])
    np.testing.assert_array_equal(one, extra[labels])
    np.testing.assert_array_equal(two, extra[labels] * 2)
    np.testing.assert_array_equal(weights, labels * 10)
    assert isinstance(next(image.ImageDataGenerator().flow(x)), np.ndarray)


def test_subsets_split_images_labels_and_weights():
    x, y = picture(10, 2, 2, 1), np.tile([0, 1], 5)
    generator = image.ImageDataGenerator(validation_split=0.4)
    parts = {subset: next(generator.flow(x, y, subset=subset, sample_weight=np.arange(10), shuffle=False)) for subset in ("training", "validation")}
    assert parts["validation"][2].tolist() == [0, 1, 2, 3] and parts["training"][2].tolist() == [4, 5, 6, 7, 8, 9]
    np.testing.assert_array_equal(parts["training"][0], x[4:])
    with pytest.raises(ValueError, match="different classes"):
        generator.flow(x, np.arange(10) >= 4, subset="training")
    with pytest.raises(ValueError, match=r"subset must be one of .* but got 'test'"):
        generator.flow(x, y, subset="test")


def test_statistics_of_augmented_images_follow_the_seed():
    x = picture(4, 5, 5, 3)
    generator = image.ImageDataGenerator(featurewise_center=True, horizontal_flip=True, rotation_range=15)
    generator.fit(x, augment=True, rounds=3, seed=8)
    np.random.seed(8)
    augmented = [generator.random_transform(one) for _ in range(3) for one in x]
    np.testing.assert_allclose(generator.mean[0, 0], np.mean(augmented, axis=(0, 1, 2)), rtol=1e-5)


def test_integer_images_and_functions_of_the_user():
    generator = image.ImageDataGenerator(rescale=0.5, preprocessing_function=lambda x: x + 1)
    np.testing.assert_array_equal(generator.standardize(np.array([[[1, 3]]])), [[[1.0, 2.0]]])


def test_whitening_gives_the_identity_covariance():
    x = np.random.RandomState(0).randn(200, 2, 2, 1).astype("float32") @ np.array([[2.0]], "float32")
    generator = image.ImageDataGenerator(zca_whitening=True, featurewise_center=True)
    generator.fit(x)
    white = np.concatenate([generator.standardize(one[None].copy()) for one in x]).reshape(200, -1)
    np.testing.assert_allclose(white.T @ white / 200, np.eye(4), atol=1e-3)


def test_what_needs_fitting_warns_before_it():
    x = picture(2, 2, 2, 1)
    for name in ("featurewise_center", "zca_whitening"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            generator = image.ImageDataGenerator(**{name: True})
        with pytest.warns(UserWarning, match="has seen no data yet"):
            generator.standardize(x.copy())


def test_arguments_that_imply_others_say_so():
    with pytest.warns(UserWarning, match="switches samplewise_center on"):
        assert image.ImageDataGenerator(samplewise_std_normalization=True).samplewise_center
    with pytest.warns(UserWarning, match="switches featurewise_center on"):
        assert image.ImageDataGenerator(featurewise_std_normalization=True).featurewise_center
    with pytest.warns(UserWarning, match="zca_whitening replaces"):
        generator = image.ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True, zca_whitening=True)
    assert not generator.featurewise_std_normalization


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zoom_range": (1, 2, 3)}, "zoom_range must be a pair"),
        ({"brightness_range": 0.5}, r"brightness_range must be a pair \(smallest, largest\), but got 0\.5"),
        ({"validation_split": 1.5}, r"validation_split must be above 0 and below 1, but got 1\.5"),
        ({"fill_mode": "edge"}, "fill_mode must be one of .* but got 'edge'"),
        ({"data_format": "nchw"}, "but got 'nchw'"),
    ],
)
def test_bad_arguments_of_the_generator_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        image.ImageDataGenerator(**arguments)


def test_bad_data_is_named():
    generator = image.ImageDataGenerator()
    with pytest.raises(ValueError, match="one entry of y for each image, but got 3 images and 2"):
        generator.flow(picture(3, 2, 2, 1), [1, 2])
    with pytest.raises(ValueError, match=r"four axes, but got the shape \(3, 2, 2\)"):
        generator.flow(picture(3, 2, 2))
    with pytest.raises(ValueError, match=r"four axes, but got the shape \(3, 2, 2\)"):
        generator.fit(picture(3, 2, 2))
    with pytest.raises(ValueError, match="at least 1, but got 0"):
        generator.flow(picture(3, 2, 2, 1), batch_size=0)
    with pytest.raises(ValueError, match="but got 3 things"):
        generator.flow((1, 2, 3))
    with pytest.warns(UserWarning, match="5 channels on axis 3"):
        generator.flow(picture(3, 2, 2, 5))


def test_the_arithmetic_of_keras_1():
    generations.set_keras_version("1.2.2")
    x = picture(4, 4, 3)
    generator = image.ImageDataGenerator(samplewise_center=True, samplewise_std_normalization=True, shear_range=0.2, horizontal_flip=True)
    expected = x - x.mean(axis=2, keepdims=True)
    expected /= expected.std(axis=2, keepdims=True) + 1e-7
    np.testing.assert_allclose(generator.standardize(x.copy()), expected, rtol=1e-5)
    np.random.seed(3)
    shear = np.random.uniform(-0.2, 0.2)
    flipped = np.random.random() < 0.5
    moved = image.apply_affine_transform(x, shear=math.degrees(shear), order=0)
    np.testing.assert_array_equal(generator.random_transform(x, seed=3), moved[:, ::-1] if flipped else moved)


def test_arguments_stand_in_keras_order():
    names = list(inspect.signature(image.ImageDataGenerator).parameters)
    assert names[:7] == [
        "featurewise_center",
        "samplewise_center",
        "featurewise_std_normalization",
        "samplewise_std_normalization",
        "zca_whitening",
        "zca_epsilon",
        "rotation_range",
    ]
    assert names[-3:] == ["validation_split", "dtype", "interpolation_order"]
