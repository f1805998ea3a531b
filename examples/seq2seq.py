"""From one sequence to another: an encoder hands its states to a decoder, which is trained by teacher forcing.

It writes numbers in digits that are spelled in words ("nine hundred forty two" -> "942"). The data is made, and complete: all
numbers from 0 to 999; a fifth of them is never shown in training, so what is learned is the rule and not a table. Words and digits are
rows of unequal length: each batch is padded to its own longest, and the masks reach states, decoder and loss.

Run it with `python examples/seq2seq.py`.
"""

import numpy as np

from torchkeras.layers import LSTM, Dense, Embedding, Input
from torchkeras.models import Model
from torchkeras.utils import set_random_seed

ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ONES += ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS = {word: number + 1 for number, word in enumerate([*ONES, *TENS, "hundred"])}  # 0 is padding
START, END = 11, 12  # digits are 1 to 10
EPOCHS = 30


def spell(number):
    """A number in words."""
    if number < 20:
        return [ONES[number]]
    if number < 100:
        return [TENS[number // 10 - 2], *([ONES[number % 10]] if number % 10 else [])]
    return [ONES[number // 100], "hundred", *(spell(number % 100) if number % 100 else [])]


def encode(numbers):
    """Rows of words, rows that the decoder is shown (START first), rows that it is to write (END last)."""
    words = [np.array([WORDS[word] for word in spell(number)]) for number in numbers]
    digits = [[int(digit) + 1 for digit in str(number)] for number in numbers]
    return words, [np.array([START, *row]) for row in digits], [np.array([*row, END]) for row in digits]


def make_models(units=64):
    """The model that is trained, and the two that write: all share their layers."""
    spelled, shown = Input((None,), name="spelled"), Input((None,), name="shown")
    _, *states = LSTM(units, return_state=True, name="encoder")(Embedding(len(WORDS) + 1, 16, mask_zero=True)(spelled))
    embed, decode, choose = Embedding(END + 1, 16, mask_zero=True), LSTM(units, return_sequences=True, return_state=True), Dense(END + 1, "softmax")
    written, *_ = decode(embed(shown), initial_state=states)
    training = Model([spelled, shown], choose(written), name="seq2seq")
    training.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    training.optimizer.learning_rate = 0.005
    before = [Input((units,)), Input((units,))]
    one, *after = decode(embed(shown), initial_state=before)
    return training, Model(spelled, states), Model([shown, *before], [choose(one), *after])


def write(encoder, decoder, number):
    """The digits for a number in words, each the likeliest after those before."""
    states = encoder.predict(encode([number])[0][0][None])
    last, digits = START, ""
    while len(digits) < 4:
        chances, *states = decoder.predict([np.array([[last]]), *states])
        last = int(chances[0, -1].argmax())
        if not 1 <= last <= 10:
            break
        digits += str(last - 1)
    return digits


def main(epochs=EPOCHS, verbose=2):
    set_random_seed(1)
    numbers = np.random.default_rng(0).permutation(1000).tolist()
    training, encoder, decoder = make_models()
    words, shown, wanted = encode(numbers[200:])
    training.fit([words, shown], wanted, batch_size=32, epochs=epochs, verbose=verbose)
    right = np.mean([write(encoder, decoder, number) == str(number) for number in numbers[:100]])
    return (encoder, decoder), float(right)


if __name__ == "__main__":
    models, right = main()
    print(f"Numbers never shown, written without a fault: {right:.0%}. {' '.join(spell(942))} -> {write(*models, 942)}")
