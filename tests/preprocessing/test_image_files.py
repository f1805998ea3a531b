"""Batches of images out of folders and tables."""

import os

import numpy as np
import pytest

from torchkeras.preprocessing import image

pytest.importorskip("PIL")


def flat(value, size=(4, 3)):
    return np.full((*size, 3), value, "float32")


@pytest.fixture
def folder(tmp_path):
    """Two classes: cats 10, 11, 12 (one in a folder within), dogs 20, 21; the values are the pixels."""
    for name, value in (("cats/a.png", 10), ("cats/b.png", 11), ("cats/deep/c.PNG", 12), ("dogs/d.bmp", 20), ("dogs/e.png", 21)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image.save_img(tmp_path / name, flat(value), scale=False)
    (tmp_path / "dogs/notes.txt").write_text("no image")
    (tmp_path / "readme.txt").write_text("no class")
    return tmp_path


def pixels(batch):
    return batch[..., 0].mean(axis=(1, 2)).round().astype(int).tolist()


def test_each_folder_is_a_class(folder, capsys):
    batches = image.ImageDataGenerator().flow_from_directory(folder, target_size=(4, 3), batch_size=5, shuffle=False)
    assert capsys.readouterr().out == "Found 5 images belonging to 2 classes.\n"
    assert batches.class_indices == {"cats": 0, "dogs": 1} and batches.num_classes == 2 and batches.samples == 5
    assert batches.filenames == [os.path.join("cats", "a.png"), "cats/b.png", "cats/deep/c.PNG", "dogs/d.bmp", "dogs/e.png"]
    assert batches.classes.tolist() == batches.labels.tolist() == [0, 0, 0, 1, 1]
    x, y = next(batches)
    assert x.shape == (5, 4, 3, 3) and x.dtype == np.float32 and pixels(x) == [10, 11, 12, 20, 21]
    np.testing.assert_array_equal(y, [[1, 0]] * 3 + [[0, 1]] * 2)


@pytest.mark.parametrize(("mode", "expected"), [("binary", [0, 0, 0, 1, 1]), ("sparse", [0, 0, 0, 1, 1]), ("input", None), (None, None)])
def test_targets_have_the_form_asked_for(folder, mode, expected):
    batch = next(image.ImageDataGenerator().flow_from_directory(folder, target_size=(4, 3), class_mode=mode, shuffle=False))
    if mode is None:
        assert pixels(batch) == [10, 11, 12, 20, 21]
    elif mode == "input":
        np.testing.assert_array_equal(*batch)
    else:
        assert batch[1].tolist() == expected and batch[1].dtype == np.float32


def test_classes_may_be_chosen_and_ordered(folder):
    batches = image.ImageDataGenerator().flow_from_directory(folder, classes=["dogs", "cats"], target_size=(4, 3), shuffle=False, class_mode="sparse")
    assert batches.class_indices == {"dogs": 0, "cats": 1}
    x, y = next(batches)
    assert pixels(x) == [20, 21, 10, 11, 12] and y.tolist() == [0, 0, 1, 1, 1]


def test_each_class_is_split(folder):
    generator = image.ImageDataGenerator(validation_split=0.5)
    parts = {
        subset: pixels(next(generator.flow_from_directory(folder, subset=subset, class_mode=None, shuffle=False)))
        for subset in ("training", "validation")
    }
    assert parts == {"validation": [10, 20], "training": [11, 12, 21]}


def test_the_order_follows_the_seed_in_colours_and_formats(folder):
    generator = image.ImageDataGenerator(data_format="channels_first", rescale=2.0)
    for color, channels in (("grayscale", 1), ("rgb", 3), ("rgba", 4)):
        batches = generator.flow_from_directory(folder, target_size=(2, 5), color_mode=color, seed=4, class_mode="sparse", interpolation="bilinear")
        np.random.seed(4)
        order = np.random.permutation(5)
        x, _ = next(batches)
        assert x.shape == (5, channels, 2, 5)
        np.testing.assert_array_equal(x[:, 0, 0, 0], np.array([10, 11, 12, 20, 21])[order] * 2)


def test_what_was_made_is_saved(folder, tmp_path):
    (tmp_path / "made").mkdir()
    batches = image.ImageDataGenerator().flow_from_directory(
        folder, classes=["dogs"], save_to_dir=tmp_path / "made", save_prefix="dog", save_format="bmp"
    )
    next(batches)
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert len(names) == 2 and names[0].startswith("dog_0_") and names[1].startswith("dog_1_") and names[0].endswith(".bmp")
    next(image.ImageDataGenerator().flow(np.ones((3, 2, 2, 1)), save_to_dir=tmp_path / "made", save_prefix="array"))
    assert sum(path.name.startswith("array_") for path in (tmp_path / "made").iterdir()) == 3


def test_links_are_followed_when_asked(folder, tmp_path):
    (tmp_path / "cats/link").symlink_to(tmp_path / "dogs")
    counts = [image.ImageDataGenerator().flow_from_directory(folder, classes=["cats"], follow_links=follow).samples for follow in (False, True)]
    assert counts == [3, 5]


def test_tiff_files_warn_once(folder):
    for name in ("x", "y"):
        image.save_img(folder / f"cats/{name}.tiff", flat(1), scale=False)
    with pytest.warns(UserWarning, match="several bands") as warned:
        image.ImageDataGenerator().flow_from_directory(folder)
    assert len(warned) == 1


def test_bad_choices_are_named(folder):
    generator = image.ImageDataGenerator()
    with pytest.raises(ValueError, match=r"class_mode must be one of .* but got 'raw'"):
        generator.flow_from_directory(folder, class_mode="raw")
    with pytest.raises(ValueError, match=r"color_mode must be one of .* but got 'hsv'"):
        generator.flow_from_directory(folder, color_mode="hsv")
    with pytest.raises(ValueError, match=r"subset must be one of .* but got 'test'"):
        generator.flow_from_directory(folder, subset="test")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        generator.flow_from_directory(folder / "nowhere")
    with pytest.raises(ValueError, match="needs an ImageDataGenerator"):
        image.DirectoryIterator(folder, None, subset="training")


def test_images_without_a_generator_are_taken_as_they_are(folder):
    assert pixels(next(image.DirectoryIterator(folder, None, class_mode=None, shuffle=False))) == [10, 11, 12, 20, 21]


# tables


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


@pytest.fixture
def table(pandas):
    return pandas.DataFrame(
        {
            "filename": ["cats/a.png", "dogs/d.bmp", "cats/b.png", "dogs/e.png"],
            "class": ["cat", "dog", "cat", "dog"],
            "many": [["cat"], ["dog", "pet"], ["pet", "cat"], "dog"],
            "size": [1.0, 2.0, 3.0, 4.0],
            "age": [5, 6, 7, 8],
        }
    )


def flow(table, folder, **options):
    return image.ImageDataGenerator().flow_from_dataframe(table, folder, target_size=(4, 3), shuffle=False, **options)


def test_a_table_names_files_and_classes(table, folder, capsys):
    batches = flow(table, folder)
    assert capsys.readouterr().out == "Found 4 validated image filenames belonging to 2 classes.\n"
    x, y = next(batches)
    assert pixels(x) == [10, 20, 11, 21]
    np.testing.assert_array_equal(y, [[1, 0], [0, 1], [1, 0], [0, 1]])
    assert batches.class_indices == {"cat": 0, "dog": 1}


def test_an_image_may_have_several_classes(table, folder):
    batches = flow(table, folder, y_col="many")
    assert batches.class_indices == {"cat": 0, "dog": 1, "pet": 2}
    np.testing.assert_array_equal(next(batches)[1], [[1, 0, 0], [0, 1, 1], [1, 0, 1], [0, 1, 0]])
    chosen = flow(table, folder, y_col="many", classes=["pet", "dog"])
    assert chosen.class_indices == {"dog": 0, "pet": 1} and chosen.filenames == ["dogs/d.bmp", "cats/b.png", "dogs/e.png"]
    np.testing.assert_array_equal(next(chosen)[1], [[1, 1], [0, 1], [1, 0]])


def test_targets_may_be_columns(table, folder):
    assert next(flow(table, folder, class_mode="raw", y_col="size"))[1].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(next(flow(table, folder, class_mode="raw", y_col=["size", "age"]))[1], [[1, 5], [2, 6], [3, 7], [4, 8]])
    size, age = next(flow(table, folder, class_mode="multi_output", y_col=["size", "age"]))[1]
    assert size.tolist() == [1, 2, 3, 4] and age.tolist() == [5, 6, 7, 8]
    assert next(flow(table, folder, class_mode="binary"))[1].tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(*next(flow(table, folder, class_mode="input")))
    assert pixels(next(flow(table, folder, class_mode=None))) == [10, 20, 11, 21]


def test_weights_come_from_a_column(table, folder):
    assert next(flow(table, folder, weight_col="size", class_mode="sparse"))[2].tolist() == [1, 2, 3, 4]
    with pytest.raises(TypeError, match="weight_col='class' must hold numbers"):
        flow(table, folder, weight_col="class")


def test_rows_without_a_file_are_left_out_with_a_warning(table, folder):
    table.loc[1, "filename"] = "dogs/none.png"
    with pytest.warns(UserWarning, match=r"1 row\(s\) of column 'filename' name no image file"):
        batches = flow(table, folder, class_mode="raw", y_col="age")
    assert next(batches)[1].tolist() == [5, 7, 8]
    assert flow(table, folder, validate_filenames=False).samples == 4


def test_paths_may_stand_alone_and_the_table_is_split(table, folder):
    table["filename"] = [str(folder / name) for name in table["filename"]]
    generator = image.ImageDataGenerator(validation_split=0.25)
    parts = [
        generator.flow_from_dataframe(table, subset=subset, class_mode="raw", y_col="age", shuffle=False) for subset in ("validation", "training")
    ]
    assert [next(part)[1].tolist() for part in parts] == [[5], [6, 7, 8]]
    assert table.shape == (4, 5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"class_mode": "multi_output", "y_col": "age"}, TypeError, "a list of columns as y_col, but got 'age'"),
        ({"class_mode": "sparse", "y_col": "age"}, TypeError, "'age' must hold texts for class_mode='sparse', but row 0 is 5"),
        ({"y_col": "age"}, TypeError, "texts or lists of texts"),
        ({"x_col": "age"}, TypeError, "'age' must hold names of files, but row 0 is 5"),
        ({"class_mode": "binary", "classes": ["cat"]}, ValueError, "needs two classes, but there are 1"),
        ({"class_mode": "none"}, ValueError, "but got 'none'"),
    ],
)
def test_bad_columns_are_named(table, folder, options, error, message):
    with pytest.raises(error, match=message):
        flow(table, folder, **options)


def test_older_spellings_warn(table, folder):
    with pytest.warns(DeprecationWarning, match="has_ext"):
        flow(table, folder, has_ext=True)
    with pytest.warns(DeprecationWarning, match="older spelling of 'raw'"):
        assert next(flow(table, folder, class_mode="other", y_col="age"))[1].tolist() == [5, 6, 7, 8]
    with pytest.raises(TypeError, match="no argument 'colour'"):
        flow(table, folder, colour="rgb")
    with pytest.warns(UserWarning, match="has no meaning for class_mode='raw'"):
        flow(table, folder, class_mode="raw", y_col="age", classes=["cat"])
