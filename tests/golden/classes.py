#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What other programs make of the classes of small trials, for tests/test_classes.c:

    python3 tests/golden/classes.py > tests/golden/classes.json

csp: numpy's Fourier transform under scipy's Hann window, scipy's generalised eigenvectors, scikit-learn's
LinearDiscriminantAnalysis. lda: scikit-learn's on square roots of rates. Made with Python 3.11, numpy 2, scipy 1,
scikit-learn 1.
"""
import json

import numpy as np
from scipy.linalg import eigh
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

TRIALS, TRAIN, SAMPLES, CHANNELS, UNITS, RATE = 30, 20, 32, 3, 4, 20.0
rng = np.random.default_rng(11)


def trials(classes):
    """Signals whose sources are as strong as their class says, and counts of units tuned to it."""
    label = np.arange(TRIALS) % classes
    rng.shuffle(label)
    mix = rng.normal(size=(CHANNELS, CHANNELS))
    gain = 1 + 0.6 * np.eye(CHANNELS)[label][:, :, None]
    x = np.einsum("cs,ksn->kcn", mix, gain * rng.normal(size=(TRIALS, CHANNELS, SAMPLES)))
    x += 3 * np.sin(np.arange(SAMPLES) / 9)  # slow, outside the band
    rate = 0.6 + 0.25 * rng.random(size=(classes, UNITS))[label]
    counts = rng.poisson(rate[:, None, :], size=(TRIALS, SAMPLES, UNITS))
    return label, np.round(x.transpose(0, 2, 1), 2).astype(np.float32).astype(float), counts


def band_covariance(x, low, high):
    """Covariance of one window [samples, channels] inside a band."""
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(len(x)) + 0.5) / len(x))
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    z = np.fft.rfft((x - x.mean(axis=0)) * taper[:, None], axis=0)
    z = z[(f >= low) & (f <= high) & (f < RATE / 2)]
    return 2 * (z.conj().T @ z).real / (len(x) * (taper**2).sum())


def shrunk(c, share):
    return (1 - share) * c + share * np.trace(c) / len(c) * np.eye(len(c))


def discriminant(x, label, share):
    """scikit-learn's, whose priors are how common classes are."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share)
    return model.fit(x[:TRAIN], label[:TRAIN]).predict_proba(x[TRAIN:])


def csp(x, label, low, high, filters, shrinkage, lda_shrinkage):
    c = np.array([band_covariance(k, low, high) for k in x])
    of = [shrunk(c[:TRAIN][label[:TRAIN] == k].mean(axis=0), shrinkage) for k in range(label.max() + 1)]
    w = np.hstack([eigh(k, sum(of))[1][:, ::-1][:, :filters] for k in of])
    return discriminant(np.log(np.einsum("cf,kcd,df->kf", w, c, w)), label, lda_shrinkage)


def lda(counts, label, parts, shrinkage):
    x = np.hstack([np.sqrt(p.mean(axis=1) * RATE) for p in np.array_split(counts, parts, axis=1)])
    return discriminant(x, label, shrinkage)


out = []
for classes in 2, 3:
    label, x, counts = trials(classes)
    cases = [
        ("csp", "signal = \"vel\"; low_hz = 3.0; high_hz = 8.0; filters = 1; shrinkage = 0.1; lda_shrinkage = 0.2;",
         csp(x, label, 3.0, 8.0, 1, 0.1, 0.2)),
        ("csp", "low_hz = 2.5; high_hz = 9.0; filters = 2; shrinkage = 0.0; lda_shrinkage = 0.05;",
         csp(x, label, 2.5, 9.0, 2, 0.0, 0.05)),
        ("lda", "", lda(counts, label, 1, 0.2)),
        ("lda", "parts = 4; shrinkage = 0.5;", lda(counts, label, 4, 0.5)),
    ]
    out.append({
        "classes": classes, "train": TRAIN, "samples": SAMPLES, "label": label.tolist(),
        "value": [[round(float(v), 2) for v in row] for row in x.reshape(-1, CHANNELS)],
        "counts": counts.reshape(-1, UNITS).tolist(),
        "cases": [{"baseline": b, "options": o, "test": [[round(float(v), 7) for v in row] for row in p]}
                  for b, o, p in cases],
    })
print(json.dumps(out, separators=(",", ":")))
