#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What other programs make of small recordings, for tests/test_golden_baselines.c:

    python3 tests/golden/baselines.py > tests/golden/baselines.json

wiener, wiener-cascade: scikit-learn's Ridge and numpy's polyfit. kalman: the textbook's covariance form, and scipy's
Riccati solver. glm: scikit-learn's PoissonRegressor, in a loop over parts and penalties. gpfa: elephant's EM from
the same start, and inference by dense joint Gaussians. Made with Python 3.11, numpy 2, scipy 1, scikit-learn 1, elephant 1.2.
"""
import json

import numpy as np
from elephant.gpfa import gpfa_core
from scipy.linalg import solve_discrete_are
from sklearn.linear_model import PoissonRegressor, Ridge

BINS, UNITS, FOLDS = 400, 6, 5
TRAIN, TEST = 280, 320  # bins [0, TRAIN) and [TEST, BINS): 70, 10, 20 %
rng = np.random.default_rng(7)


def round_all(x, digits):
    return [round_all(y, digits) for y in x] if np.ndim(x) else round(float(x), digits)


def reach():
    """A velocity that turns slowly, and counts of units that are tuned to it two bins before."""
    v = np.zeros((BINS, 2))
    for t in range(2, BINS):
        v[t] = 1.6 * v[t - 1] - 0.7 * v[t - 2] + 0.2 * rng.normal(size=2)
    angle = np.linspace(0, 2 * np.pi, UNITS, endpoint=False)
    drive = np.roll(v, -2, axis=0) @ np.array([np.cos(angle), np.sin(angle)])
    counts = rng.poisson(np.exp(0.7 + 0.5 * drive))
    return counts, np.round(10 * v, 3)


def parts():
    """Training bins of each fold: sequences that nothing crosses."""
    return [np.arange(TRAIN * f // FOLDS, TRAIN * (f + 1) // FOLDS) for f in range(FOLDS)]


def lagged(z, bins, lags):
    """Features of bins whose lags all lie in `bins`, and those bins."""
    rows = bins[lags - 1:]
    return np.hstack([z[rows - lag] for lag in range(lags)]), rows


def wiener(z, v, lags, lam):
    x, y = zip(*((f, v[r]) for f, r in (lagged(z, p, lags) for p in parts())))
    x, y = np.vstack(x), np.vstack(y)
    # mean squared error + lam |w|^2 for features in units of one common deviation
    model = Ridge(alpha=len(x) * lam * x.var(axis=0).mean()).fit(x, y)
    test, _ = lagged(z, np.arange(TEST, BINS), lags)
    return model.predict(x), y, model.predict(test)


def cascade(z, v, lags, lam, degree):
    said, y, test = wiener(z, v, lags, lam)
    return np.stack([np.polyval(np.polyfit(said[:, d], y[:, d], degree), test[:, d]) for d in range(2)], axis=1)


def kalman(z, v, lag, differences, steady, noise):
    x = v.astype(float)
    for k in range(differences):
        x = np.hstack([x, np.vstack([np.full((1, 2), np.nan), np.diff(x[:, -2:], axis=0)])])
    n = x.shape[1]
    now, before, seen, told = [], [], [], []
    for p in parts():
        known = p[differences:]
        now += list(known[1:])
        before += list(known[1:] - 1)
        told += [t for t in known if t - lag in p]
    one = np.ones((len(before), 1))
    b, *_ = np.linalg.lstsq(np.hstack([x[before], one]), x[now], rcond=None)
    A, c = b[:-1].T, b[-1]
    res = x[now] - np.hstack([x[before], one]) @ b
    W = noise * res.T @ res / (len(now) - 1)
    told = np.array(told)
    one = np.ones((len(told), 1))
    b, *_ = np.linalg.lstsq(np.hstack([x[told], one]), z[told - lag].astype(float), rcond=None)
    H, d = b[:-1].T, b[-1]
    res = z[told - lag] - np.hstack([x[told], one]) @ b
    Q = res.T @ res / len(told)
    m, P = x[told].mean(axis=0), np.cov(x[told].T, ddof=0)
    gain = None
    if steady:
        # differences make W singular, so the equation is solved for a W a little larger
        M = solve_discrete_are(A.T, H.T, W + 1e-9 * np.trace(W) * np.eye(n), Q)
        gain = M @ H.T @ np.linalg.inv(H @ M @ H.T + Q)
    out = []
    for t in range(TEST, BINS):
        if t > TEST:
            m, P = A @ m + c, A @ P @ A.T + W
        if t - lag >= TEST:
            K = P @ H.T @ np.linalg.inv(H @ P @ H.T + Q)
            m = m + (gain if steady else K) @ (z[t - lag] - H @ m - d)
            P = (np.eye(n) - K @ H) @ P
        out.append(m[:2])
    return np.array(out)


def population():
    """Units that share three slow latents, and two of these."""
    x = np.zeros((BINS, 3))
    for t in range(1, BINS):
        x[t] = 0.95 * x[t - 1] + 0.3 * rng.normal(size=3)
    return rng.poisson(np.exp(0.5 + x @ rng.normal(size=(3, 14)) * 0.6)), np.round(10 * x[:, :2], 3)


def log_rates(z, bins, sd):
    """Counts smoothed by a Gaussian of `sd` bins, normalised where it sticks out of `bins`."""
    at = np.arange(len(bins))
    reach = int(np.ceil(4 * sd))
    k = np.exp(-0.5 * ((at[:, None] - at[None]) / sd) ** 2) * (np.abs(at[:, None] - at[None]) <= reach)
    return np.log(k / k.sum(axis=1, keepdims=True) @ z[bins] + 1e-4)


def glm(z, held, sd, alphas):
    x = [log_rates(z[:, :-held], p, sd) for p in parts()]
    test = log_rates(z[:, :-held], np.arange(TEST, BINS), sd)
    out = []
    for u in range(z.shape[1] - held, z.shape[1]):
        def fit(alpha, left_out):
            some = [i for i in range(FOLDS) if i != left_out]
            model = PoissonRegressor(alpha=alpha, solver="newton-cholesky", tol=1e-10, max_iter=1000)
            return model.fit(np.vstack([x[i] for i in some]), np.concatenate([z[parts()[i], u] for i in some]))

        def loss(alpha):
            total = 0.0
            for f in range(FOLDS):
                mu = fit(alpha, f).predict(x[f])
                total += np.sum(mu - z[parts()[f], u] * np.log(mu))
            return total

        best = min(alphas, key=loss) if len(alphas) > 1 else alphas[0]
        out.append(fit(best, None).predict(test))
    return np.array(out).T


def gpfa_start(y, dims, tau_bins):
    """Probabilistic principal components."""
    value, vector = np.linalg.eigh(np.cov(y, ddof=0))
    value, vector = value[::-1], vector[:, ::-1]
    C = vector[:, :dims] * np.sqrt(value[:dims] - value[dims:].mean())
    var = y.var(axis=1)
    return {"covType": "rbf", "gamma": np.full(dims, tau_bins ** -2.0), "eps": np.full(dims, 1e-3), "d": y.mean(axis=1),
            "C": C, "R": np.diag(np.maximum(var - (C ** 2).sum(axis=1), 0.01 * var)),
            "notes": {"learnKernelParams": True, "learnGPNoise": False, "RforceDiagonal": True}}


def gpfa_latents(y, p):
    """E[x] of one piece y [units, bins], from the joint covariance of all of x and y, rotated: [bins, dims]."""
    n, T = p["C"].shape[1], y.shape[1]
    at = np.arange(T)
    k = [0.999 * np.exp(-0.5 * g * (at[:, None] - at) ** 2) + 1e-3 * np.eye(T) for g in np.ravel(p["gamma"])]
    xx = sum(np.kron(k[i], np.outer(np.eye(n)[i], np.eye(n)[i])) for i in range(n))
    xy = xx @ np.kron(np.eye(T), p["C"].T)
    yy = np.kron(np.eye(T), p["C"]) @ xy + np.kron(np.eye(T), p["R"])
    x = xy @ np.linalg.solve(yy, (y - p["d"].reshape(-1, 1)).T.ravel())
    _, D, Vt = np.linalg.svd(p["C"], full_matrices=False)
    return x.reshape(T, n) @ (D[:, None] * Vt).T


def gpfa_path(y, p, piece):
    """Pieces that overlap by half; each bin from where it stands furthest from an end."""
    T, hop, out, at = y.shape[1], piece // 2, [], 0
    while len(out) < T:
        start = max(min(at, T - piece), 0)
        bins = min(piece, T - start)
        upto = T if start + bins == T else start + bins - (bins - hop) // 2
        x = gpfa_latents(y[:, start:start + bins], p)
        out += list(x[len(out) - start:upto - start])
        at += hop
    return np.array(out)


def gpfa(z, v, dims, piece, iterations, lam):
    y = np.sqrt(z).T
    seqs = [y[:, t:t + piece] for t in range(0, TRAIN, piece)]
    table = np.empty(len(seqs), dtype=[("T", int), ("y", "O")])
    table["T"] = piece
    for i, one in enumerate(seqs):
        table[i]["y"] = one
    p, *_ = gpfa_core.em(gpfa_start(y[:, :TRAIN], dims, 2.0), table, max_iters=iterations, tol=0, freq_ll=1)
    x = np.vstack([gpfa_path(y[:, part], p, piece) for part in parts()])
    model = Ridge(alpha=TRAIN * lam * x.var(axis=0).mean()).fit(x, v[:TRAIN])
    return model.predict(gpfa_path(y[:, TEST:], p, piece))


def main():
    z, v = reach()
    n, x = population()
    cases = [
        {"baseline": "wiener", "options": "lags = 3; lambdas = ( 0.1 );", "skip": 2, "test": wiener(z, v, 3, 0.1)[2]},
        {"baseline": "wiener-cascade", "options": "lags = 3; lambdas = ( 0.1 );", "skip": 2,
         "test": cascade(z, v, 3, 0.1, 3)},
        {"baseline": "kalman", "options": "lag_ms = 100.0;", "skip": 0, "test": kalman(z, v, 2, 1, False, 1)},
        {"baseline": "kalman", "options": "lag_ms = 100.0; differences = 0; noise = 2.0;", "skip": 0,
         "test": kalman(z, v, 2, 0, False, 2)},
        {"baseline": "kalman", "options": "lag_ms = 50.0; steady = true;", "skip": 0,
         "test": kalman(z, v, 1, 1, True, 1)},
    ]
    spikes = [
        {"baseline": "glm", "options": "sigma_ms = 100.0; alphas = ( 0.01 );", "test": glm(n, 4, 2.0, [0.01])},
        {"baseline": "glm", "options": "sigma_ms = 100.0; alphas = ( 0.001, 0.03, 1.0 );",
         "test": glm(n, 4, 2.0, [0.001, 0.03, 1.0])},
    ]
    latents = [
        {"baseline": "gpfa", "options": "dims = 3; segment = 14; iterations = 8; tolerance = 0.0; lags = 1; lambdas = ( 0.01 );",
         "test": gpfa(n, x, 3, 14, 8, 0.01), "tolerance": 0.002},
    ]
    for c in cases + spikes + latents:
        c.setdefault("tolerance", 2e-4)
        c["test"] = round_all(c["test"], 6)
    print(json.dumps({"decode": {"asked": "vel", "counts": z.tolist(), "value": v.tolist(), "cases": cases},
                      "co-smoothing": {"asked": "spikes", "held_out": 4, "counts": n.tolist(), "value": v.tolist(),
                                       "cases": spikes},
                      "latents": {"asked": "vel", "counts": n.tolist(), "value": x.tolist(), "cases": latents}}))


main()
