#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/golden/sparse_lamb.h: SparseLamb with its one-cycle schedule, worked out in Python's doubles from the equations.

    python3 tests/golden/sparse_lamb.py > tests/golden/sparse_lamb.h

Written from the rule in core/train/optimizer.h, not from its code: loops over rows, sums in reading order.
"""
import math

STEPS, LR, BETA1, LOW, BETA2, EPS, DECAY, FLOOR = 8, 0.05, 0.95, 0.85, 0.999, 1e-6, 1e-4, 1e-4


def stream(seed):
    """Numbers in [-1, 1) with 12 bits, exact in single precision."""
    while True:
        seed = (seed * 1103515245 + 12345) % 2**31
        yield (seed >> 19) / 2048.0 - 1.0


def schedule(step):
    """Learning rate and beta1: flat and falling to the turn, then cosine to the end and back up."""
    turn, last = 0.5 * STEPS - 1, STEPS - 1
    if step <= turn:
        share = step / turn
        return LR, LOW + (BETA1 - LOW) * (1 + math.cos(math.pi * share)) / 2
    share = (step - turn) / (last - turn)
    fall = (1 + math.cos(math.pi * share)) / 2
    return LR * (FLOOR + (1 - FLOOR) * fall), BETA1 + (LOW - BETA1) * fall


class Tensor:
    def __init__(self, name, rows, width, sparse, scale, numbers):
        self.name, self.rows, self.width, self.sparse = name, rows, width, sparse
        self.p = [[scale * next(numbers) for _ in range(width)] for _ in range(rows)]
        self.start = [x for row in self.p for x in row]
        self.m = [[0.0] * width for _ in range(rows)]
        self.v = [[0.0] * width for _ in range(rows)]

    def step(self, grad, lr, beta1):
        update, active = [], []
        for r in range(self.rows):
            moves = not self.sparse or any(g != 0 for g in grad[r])
            active.append(moves)
            for c in range(self.width):
                g = grad[r][c]
                self.m[r][c] = beta1 * self.m[r][c] + (1 - beta1) * g if moves else 0.0
                self.v[r][c] = BETA2 * self.v[r][c] + (1 - BETA2) * g * g if moves else 0.0
            update.append([m / (math.sqrt(v) + EPS) + DECAY * p
                           for m, v, p in zip(self.m[r], self.v[r], self.p[r])])
        norm = math.sqrt(sum(x * x for row in self.p for x in row))
        size = math.sqrt(sum(x * x for row in update for x in row))
        trust = min(norm, 10.0) / size if norm > 0 and size > 0 else 1.0
        for r in range(self.rows):
            if active[r]:
                self.p[r] = [p - lr * trust * u for p, u in zip(self.p[r], update[r])]


# Which rows of the table have a gradient in each step: one, some, none, all; rows come back after they were reset.
ACTIVE = [(1,), (1, 3), (), (0, 1, 2, 3, 4), (4,), (1,), (0, 2), (1, 4)]

numbers = stream(7)
tensors = [
    Tensor("weight", 3, 4, False, 1.0, numbers),
    Tensor("large", 2, 4, False, 16.0, numbers),  # its norm is above 10
    Tensor("bias", 1, 4, False, 0.0, numbers),  # starts at zero: trust 1
    Tensor("table", 5, 3, True, 1.0, numbers),
]


def array(values):
    return "{" + ", ".join(f"{x:.17g}" for x in values) + "}"


grads, params, rates, betas = [], [], [], []
for step in range(STEPS):
    lr, beta1 = schedule(step)
    g_all, p_all = [], []
    for t in tensors:
        grad = [[next(numbers) for _ in range(t.width)] for _ in range(t.rows)]
        if t.sparse:
            grad = [row if r in ACTIVE[step] else [0.0] * t.width for r, row in enumerate(grad)]
        t.step(grad, lr, beta1)
        g_all += [x for row in grad for x in row]
        p_all += [x for row in t.p for x in row]
    grads.append(g_all)
    params.append(p_all)
    rates.append(lr)
    betas.append(beta1)

total = len(params[0])
print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by tests/golden/sparse_lamb.py: tensors weight [3, 4], large [2, 4], bias [4], table [5, 3] one behind the")
print(" * other; what they are after each step. */")
print("#ifndef LOOM_TESTS_SPARSE_LAMB_H")
print("#define LOOM_TESTS_SPARSE_LAMB_H")
print()
print(f"enum {{ LAMB_STEPS = {STEPS}, LAMB_SIZE = {total} }};")
print(f"static const double lamb_start[LAMB_SIZE] = {array(x for t in tensors for x in t.start)};")
print(f"static const double lamb_rate[LAMB_STEPS] = {array(rates)};")
print(f"static const double lamb_beta1[LAMB_STEPS] = {array(betas)};")
print("static const double lamb_grad[LAMB_STEPS][LAMB_SIZE] = {" + ",".join(array(g) for g in grads) + "};")
print("static const double lamb_param[LAMB_STEPS][LAMB_SIZE] = {" + ",".join(array(p) for p in params) + "};")
print()
print("#endif")
