"""Words, numbers and matrices: against genuine Keras, and by their rules."""

import json
import zlib

import numpy as np
import pytest

from tests.golden_cases import golden
from torchkeras import generations
from torchkeras.preprocessing import text


def fitted(case):
    tokenizer = text.Tokenizer(**case["kwargs"])
    tokenizer.fit_on_texts(case["texts"])
    return tokenizer


def unpacked(tokenizer_json):
    """The JSON with its inner tables read: their order follows Python's hash of the day in Keras."""
    full = json.loads(tokenizer_json)
    tables = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
    return full | {"config": {key: json.loads(value) if key in tables else value for key, value in full["config"].items()}}


@pytest.mark.parametrize("case", golden("preprocessing", "text_to_word_sequence"), ids=str)
def test_words_are_those_of_keras(case):
    assert [text.text_to_word_sequence(line, **case["kwargs"]) for line in case["args"]] == case["results"]


@pytest.mark.parametrize("case", golden("preprocessing", "hashing_trick"), ids=str)
def test_hashed_words_are_those_of_keras(case):
    assert [text.hashing_trick(line, **case["kwargs"]) for line in case["args"]] == case["results"]


@pytest.mark.parametrize("case", golden("preprocessing", "Tokenizer"), ids=str)
def test_the_vocabulary_is_that_of_keras(case):
    tokenizer = fitted(case)
    assert tokenizer.word_index == case["word_index"]
    assert [list(pair) for pair in tokenizer.word_counts.items()] == case["word_counts"]
    assert tokenizer.word_docs == case["word_docs"]
    assert {str(index): count for index, count in tokenizer.index_docs.items()} == case["index_docs"]
    assert tokenizer.document_count == case["document_count"]
    assert unpacked(tokenizer.to_json()) == unpacked(case["to_json"])


@pytest.mark.parametrize("case", golden("preprocessing", "Tokenizer"), ids=str)
@pytest.mark.parametrize("through_json", [False, True])
def test_texts_in_numbers_are_those_of_keras(case, through_json):
    tokenizer = text.tokenizer_from_json(case["to_json"]) if through_json else fitted(case)
    texts = case["texts"] + case["new_texts"]
    assert tokenizer.texts_to_sequences(texts) == case["sequences"]
    assert tokenizer.sequences_to_texts(case["sequences"]) == case["sequences_to_texts"]
    for mode, key in case["matrices"].items():
        np.testing.assert_allclose(tokenizer.texts_to_matrix(texts, mode=mode), case.array(key), rtol=1e-12, atol=case["atol"])


@pytest.mark.parametrize("case", golden("preprocessing", "Tokenizer_sequences"), ids=str)
def test_fitting_on_sequences_is_that_of_keras(case):
    tokenizer = text.Tokenizer(**case["kwargs"])
    tokenizer.fit_on_sequences([np.array(sequence) for sequence in case["sequences"]])
    assert {str(index): count for index, count in tokenizer.index_docs.items()} == case["index_docs"]
    assert json.loads(tokenizer.get_config()["index_docs"]) == case["index_docs"]
    for mode, key in case["matrices"].items():
        np.testing.assert_allclose(tokenizer.sequences_to_matrix(case["sequences"], mode=mode), case.array(key), rtol=0, atol=case["atol"])


def test_lists_of_words_are_taken_as_they_are():
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts([["New York", "b"], ["b"]])
    assert tokenizer.word_index == {"b": 1, "new york": 2}
    assert tokenizer.texts_to_sequences([["NEW YORK", "x", "B"]]) == [[2, 1]]


def test_documents_add_up_save_in_keras_1():
    for version, count in (("2.4.0", 2), ("1.2.2", 1)):
        generations.set_keras_version(version)
        tokenizer = text.Tokenizer()
        tokenizer.fit_on_texts(["a b"])
        tokenizer.fit_on_texts(["a"])
        assert tokenizer.document_count == count
        assert tokenizer.word_counts["a"] == 2


def test_a_restored_tokenizer_can_learn_more():
    tokenizer = text.Tokenizer(oov_token="?")
    tokenizer.fit_on_texts(["a a b"])
    restored = text.tokenizer_from_json(tokenizer.to_json())
    restored.fit_on_texts(["b b c"])
    assert restored.word_index == {"?": 1, "b": 2, "a": 3, "c": 4}
    assert restored.word_docs == {"a": 1, "b": 2, "c": 1}


def test_the_name_of_keras_1_for_num_words_warns():
    with pytest.warns(DeprecationWarning, match="write num_words"):
        assert text.Tokenizer(nb_words=7).num_words == 7


def test_a_matrix_needs_a_width_and_counts():
    with pytest.raises(ValueError, match="Give num_words"):
        text.Tokenizer().sequences_to_matrix([[1]])
    with pytest.raises(ValueError, match="counted no documents"):
        text.Tokenizer(num_words=3).sequences_to_matrix([[1]], mode="tfidf")
    with pytest.raises(ValueError, match="but got 'tf'"):
        text.Tokenizer(num_words=3).sequences_to_matrix([[1]], mode="tf")


@pytest.mark.parametrize(
    ("given", "message"), [("[]", "an object with 'config'"), ('{"config": {"word_index": 3}}', "that holds word_counts, word_docs")]
)
def test_json_of_another_kind_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        text.tokenizer_from_json(given)


def test_an_unknown_entry_in_the_json_is_refused():
    full = json.loads(text.Tokenizer().to_json())
    full["config"]["vocabulary_file"] = "/etc/passwd"
    with pytest.raises(ValueError, match="no Tokenizer has: 'vocabulary_file'"):
        text.tokenizer_from_json(json.dumps(full))


def test_hashes_may_be_the_users_own_or_pythons():
    assert text.hashing_trick("a b", 100, hash_function=lambda word: zlib.crc32(word.encode())) == [
        zlib.crc32(b"a") % 99 + 1,
        zlib.crc32(b"b") % 99 + 1,
    ]
    assert text.one_hot("a B", 50) == [hash("a") % 49 + 1, hash("b") % 49 + 1] == text.hashing_trick("a b", 50)


def test_bad_text_arguments_are_named():
    with pytest.raises(ValueError, match="but got 'sha1'"):
        text.hashing_trick("a", 5, hash_function="sha1")
    with pytest.raises(ValueError, match="n of at least 2, because 0 is given to no word, but got 1"):
        text.one_hot("a", 1)
    with pytest.raises(TypeError, match="takes a text, but got int: 3"):
        text.text_to_word_sequence(3)
