# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/vq_book.h: moving averages of a codebook over four steps, by NumPy in double precision.

    python tests/golden/vq_book.py > tests/golden/vq_book.h      # NumPy 2; any version gives these numbers

Written from the formulas alone. `plain`: cluster sizes and sums are averaged, sizes are smoothed (Laplace), a code is the
quotient. `unit`: a code is averaged with the direction of the mean of its vectors, and brought to length 1."""
import numpy as np

CODES, WIDTH, ROWS, STEPS, DECAY, SMOOTHING = 6, 3, 20, 4, 0.9, 1e-5
rng = np.random.default_rng(11)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def nearest(x, e):
    return ((x[:, None, :] - e[None]) ** 2).sum(-1).argmin(1)


def show(name, x):
    flat = ", ".join(f"{v:.17g}" for v in np.asarray(x).ravel())
    print(f"static const double {name}[] = {{{flat}}};")


def run(name, normalise):
    e = rng.normal(size=(CODES, WIDTH))
    x = rng.normal(size=(STEPS, ROWS, WIDTH)) + np.array([1.0, 0.0, 0.0])
    e[5] = [-40.0, 0.0, 0.0]  # nobody is near it
    if normalise:
        e, x = unit(e), unit(x)
        e[5] = [-1.0, 0.0, 0.0]
        x[..., 0] = np.abs(x[..., 0])
    size, total = np.ones(CODES) * ROWS / CODES, e * ROWS / CODES
    show(f"{name}_start", e)
    show(f"{name}_vectors", x)
    after, sizes = [], []
    for step in range(STEPS):
        one_hot = np.eye(CODES)[nearest(x[step], e)]
        n, s = one_hot.sum(0), one_hot.T @ x[step]
        size = DECAY * size + (1 - DECAY) * n
        total = DECAY * total + (1 - DECAY) * s
        smooth = (size + SMOOTHING) / (size.sum() + CODES * SMOOTHING) * size.sum()
        new = total / smooth[:, None]
        if normalise:
            mean = np.where(n[:, None] > 0, s / np.maximum(n, 1)[:, None], e)
            new = unit(DECAY * e + (1 - DECAY) * unit(mean))
        e = np.where(n[:, None] > 0, new, e)
        after.append(e)
        sizes.append(size)
    show(f"{name}_after", after)
    show(f"{name}_sizes", sizes)


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by vq_book.py. */")
print("/* clang-format off */")
print(f"enum {{ BOOK_CODES = {CODES}, BOOK_WIDTH = {WIDTH}, BOOK_ROWS = {ROWS}, BOOK_STEPS = {STEPS} }};")
print(f"#define BOOK_DECAY {DECAY}\n#define BOOK_SMOOTHING {SMOOTHING}")
run("plain", False)
run("unit", True)
