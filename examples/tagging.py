"""Tag every word of a line with its role: an embedding that masks, a bidirectional LSTM and a Dense layer for each step.

The text is real: lines of Python's own standard library, as they are installed, with the roles that the grammar gives their
words (a name that is called, an attribute, a keyword, ...). What a name is shows only in the words around it, so a table of each
word's most common role is the baseline to beat. Lines are given as they are, of unequal length: each batch is padded to its own
longest line and masked, and lines of like length share a batch.

Run it with `python examples/tagging.py`.
"""

import bisect
import calendar
import heapq
import inspect
import io
import keyword
import random
import statistics
import string
import textwrap
import tokenize
from collections import Counter, defaultdict

import numpy as np

from torchkeras.layers import LSTM, Bidirectional, Dense, Embedding, TimeDistributed
from torchkeras.models import Sequential
from torchkeras.preprocessing.sequence import Ragged
from torchkeras.utils import set_random_seed

MODULES = (bisect, calendar, heapq, random, statistics, string, textwrap)
ROLES = ["call", "attribute", "name", "keyword", "number", "string", "operator"]
WORDS = 400  # the most common ones; all others are one word, "unknown"
EPOCHS = 6


def role(token, before, after):
    """The role of a token between its neighbours."""
    if token.type == tokenize.NAME:
        if keyword.iskeyword(token.string):
            return "keyword"
        return "attribute" if before == "." else "call" if after == "(" else "name"
    return {tokenize.NUMBER: "number", tokenize.STRING: "string"}.get(token.type, "operator")


def read_lines():
    """(words, roles) of each line of the modules."""
    kept = (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP)
    lines = []
    for module in MODULES:
        by_line = defaultdict(list)
        for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(module)).readline):
            if token.type in kept and token.start[0] == token.end[0]:
                by_line[token.start[0]].append(token)
        for tokens in by_line.values():
            words = [token.string for token in tokens]
            around = zip(tokens, ["", *words], [*words[1:], ""], strict=False)
            lines.append((words, [role(*three) for three in around]))
    return [line for line in lines if len(line[0]) > 1]


def encode(lines, ids):
    """Rows of word ids (1: unknown; 0 is left to padding) and rows of role ids."""
    x = [np.array([ids.get(word, 1) for word in words]) for words, _ in lines]
    y = [np.array([ROLES.index(name) for name in roles]) for _, roles in lines]
    return x, y


def load():
    """(x, y) to train on and to test on: a fifth of the lines, drawn at random."""
    lines = read_lines()
    np.random.default_rng(0).shuffle(lines)
    cut = len(lines) // 5
    common = Counter(word for words, _ in lines[cut:] for word in words).most_common(WORDS)
    ids = {word: number + 2 for number, (word, _) in enumerate(common)}
    return encode(lines[cut:], ids), encode(lines[:cut], ids)


def baseline(train, test):
    """Share of right roles if each word has the role that it most often has."""
    seen = defaultdict(Counter)
    for words, roles in zip(*train, strict=True):
        for word, name in zip(words, roles, strict=True):
            seen[word][name] += 1
    pairs = list(zip(np.concatenate(test[0]), np.concatenate(test[1]), strict=True))
    return sum(seen[word].most_common(1)[0][0] == name for word, name in pairs if seen[word]) / len(pairs)


def make_model():
    model = Sequential(name="tagger")
    model.add(Embedding(WORDS + 2, 24, mask_zero=True, input_shape=(None,)))
    model.add(Bidirectional(LSTM(24, return_sequences=True)))
    model.add(TimeDistributed(Dense(len(ROLES), activation="softmax")))
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return model


def accuracy(model, x, y):
    """Share of right roles over all words; `predict` gives each line its own length back."""
    found = model.predict(Ragged(x, bucket=True))
    return float(np.mean(np.concatenate([row.argmax(1) for row in found]) == np.concatenate(y)))


def main(epochs=EPOCHS, verbose=2):
    set_random_seed(1)
    train, test = load()
    model = make_model()
    model.fit(Ragged(train[0], bucket=True), train[1], batch_size=16, epochs=epochs, verbose=verbose)
    return baseline(train, test), accuracy(model, *test)


if __name__ == "__main__":
    common, learned = main()
    print(f"Right roles on lines not seen: {learned:.1%}; each word's most common role: {common:.1%}.")
