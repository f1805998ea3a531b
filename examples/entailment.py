"""Does one sentence follow from another? Two sentences through one encoder, then Dense layers on what they have in common.

The sentences are made, by a small grammar, so that the answer is known: a premise says the colours of one to three things, a
hypothesis that of one. It follows ("the cup is red" from "the hat is blue and the cup is red"), contradicts (the cup is blue), or
neither (the premise names no cup). Sentences are given as rows of unequal length; each batch is padded to its own longest.

Run it with `python examples/entailment.py`.
"""

import numpy as np

from torchkeras.layers import LSTM, Dense, Embedding, Input, Multiply, Subtract, concatenate
from torchkeras.models import Model
from torchkeras.utils import set_random_seed

COLOURS = ["red", "blue", "green"]
THINGS = ["cup", "hat", "box", "pen"]
VOCABULARY = {word: number + 1 for number, word in enumerate(["the", "is", "and", *COLOURS, *THINGS])}  # 0 is padding
ANSWERS = ["follows", "contradicts", "neither"]
EPOCHS = 12


def say(facts):
    """A sentence for (thing, colour) pairs."""
    return " and ".join(f"the {thing} is {colour}" for thing, colour in facts)


def make_pairs(count, seed):
    """(premises, hypotheses, answers), one answer as often as another."""
    draw = np.random.default_rng(seed)
    premises, hypotheses, answers = [], [], []
    for number in range(count):
        answer = number % 3
        things = list(draw.permutation(THINGS))
        facts = [(thing, draw.choice(COLOURS)) for thing in things[: draw.integers(1, 4)]]
        thing, colour = facts[draw.integers(len(facts))]
        if answer == 1:
            colour = draw.choice([other for other in COLOURS if other != colour])
        elif answer == 2:
            thing, colour = things[-1], draw.choice(COLOURS)
        premises.append(say(facts))
        hypotheses.append(say([(thing, colour)]))
        answers.append(answer)
    return premises, hypotheses, np.array(answers)


def encode(sentences):
    """Rows of word ids."""
    return [np.array([VOCABULARY[word] for word in sentence.split()]) for sentence in sentences]


def make_model():
    premise, hypothesis = Input((None,), name="premise"), Input((None,), name="hypothesis")
    embed, read = Embedding(len(VOCABULARY) + 1, 16, mask_zero=True), LSTM(48)
    one, other = read(embed(premise)), read(embed(hypothesis))
    both = concatenate([one, other, Subtract()([one, other]), Multiply()([one, other])])
    answer = Dense(len(ANSWERS), activation="softmax")(Dense(48, activation="relu")(both))
    model = Model([premise, hypothesis], answer, name="entailment")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 0.005
    return model


def main(epochs=EPOCHS, verbose=2):
    set_random_seed(1)
    model = make_model()
    premises, hypotheses, answers = make_pairs(3000, seed=0)
    model.fit([encode(premises), encode(hypotheses)], answers, batch_size=50, epochs=epochs, verbose=verbose)
    premises, hypotheses, answers = make_pairs(600, seed=1)
    return model, model.evaluate([encode(premises), encode(hypotheses)], answers, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    model, accuracy = main()
    asked = ["the hat is blue and the cup is red"], ["the cup is red"]
    found = model.predict([encode(asked[0])[0][None], encode(asked[1])[0][None]])[0]
    print(f"Right answers on other pairs: {accuracy:.1%}. {asked[0][0]!r}: {asked[1][0]!r} {ANSWERS[found.argmax()]} ({found.max():.0%}).")
