"""Run a script on a genuine Keras 1 or 2 with its updates in order: `python in_order.py script.py`.

On TensorFlow 1.15 these releases leave open whether a variable is read before or after another update of the same step, so that their
numbers change from run to run. Here all new values of a step are computed first and then assigned, which is what the formulas say.
This file runs under the genuine release, without torchkeras.
"""

import runpy
import sys


def main():
    if sys.argv[1] != "--plain":
        put_in_order()
    script = sys.argv[-1]
    sys.argv = [script]
    runpy.run_path(script, run_name="__main__")


def put_in_order():
    import tensorflow as tf
    from keras import backend as K
    from keras.backend import tensorflow_backend as backend

    def update(x, new_x):
        return (x, new_x)

    for module in (backend, K):
        module.update = update
        module.update_add = lambda x, increment: (x, x + increment)
        module.update_sub = lambda x, decrement: (x, x - decrement)
    written = backend.Function.__init__

    def init(self, inputs, outputs, updates=None, *args, **kwargs):
        pairs = [one for one in updates or [] if isinstance(one, tuple)]
        rest = [one for one in updates or [] if not isinstance(one, tuple)]
        new = [tf.identity(tf.convert_to_tensor(value)) for _, value in pairs]
        with tf.control_dependencies([*new, *outputs]):
            assigned = [tf.compat.v1.assign(variable, value) for (variable, _), value in zip(pairs, new)]  # noqa: B905  (Python 3.7)
        written(self, inputs, outputs, [*rest, *assigned], *args, **kwargs)

    backend.Function.__init__ = init


main()
