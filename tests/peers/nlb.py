#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What nlb_tools and scikit-learn make of small cases, for tests/test_nlb.c:

    python3 tests/peers/nlb.py > tests/golden/nlb.json            # the cases that are kept
    python3 tests/peers/nlb.py --check tests/test_nlb --seed 7    # other cases, put to a built test program

Needs nlb_tools 0.0.4 or newer, scikit-learn, pandas, h5py; without them it says so and ends with 77 (skipped).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings

try:
    import numpy as np
    import pandas as pd
    import scipy
    import sklearn
    from importlib.metadata import version
    from nlb_tools import evaluation, make_tensors, nwb_interface
    from sklearn import metrics
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

warnings.filterwarnings("ignore")
evaluation.logger.disabled = True


class Numpy:
    """numpy for nlb_tools: under pandas 3 its arrays are read-only, and nan_to_num(copy=False) writes into one."""

    def __getattr__(self, name):
        return getattr(np, name)

    def nan_to_num(self, x, copy=True):
        return np.nan_to_num(x)


nwb_interface.np = Numpy()


def listed(x):
    """An array as nested lists, NaN as null."""
    if np.ndim(x):
        return [listed(y) for y in x]
    return None if isinstance(x, float | np.floating) and np.isnan(x) else np.asarray(x).item()


def rates_and_spikes(rng, trials, bins, units):
    rates = np.round(rng.gamma(1.0, 0.4, (trials, bins, units)), 4)
    return rates, rng.poisson(rates * rng.uniform(0.5, 1.5, units)).astype(float)


# ---- Neural Latents Benchmark ----


def bits(rng, kind):
    rates, spikes = rates_and_spikes(rng, 4, 5, 3)
    if kind == "zeros":
        rates[rng.random(rates.shape) < 0.2] = 0.0
        spikes[:, :, 1] = 0.0
    if kind == "missing":
        spikes[rng.random(spikes.shape) < 0.3] = np.nan
        rates[np.isnan(spikes)] = -1.0  # not looked at
    if kind == "unit missing":
        spikes[:, :, 2] = np.nan
    value = evaluation.bits_per_spike(rates.copy(), spikes)
    return {"kind": "bits", "rates": listed(rates), "spikes": listed(spikes), "value": float(value)}


def velocity(rng, kind):
    trials, bins, units = {"wide": (4, 5, 24), "masks": (14, 4, 4)}.get(kind, (9, 5, 4))
    x = [np.round(rng.gamma(1.0, 0.4, (n, bins, units)), 4) for n in (trials, trials - 3)]
    w = rng.normal(size=(units, 2))
    y = [np.round(a @ w + 3 + 0.3 * rng.normal(size=a.shape[:2] + (2,)), 4) for a in x]
    mask = [np.full((len(a), 1), True) for a in x]
    if kind == "missing":
        for a in y:
            a[rng.random(a.shape[:2]) < 0.2] = np.nan
    if kind == "masks":
        mask = [np.stack([np.arange(len(a)) % 2 == 0, np.arange(len(a)) % 2 == 1]).T for a in x]
        y[0][1::2], y[1][1::2] = -y[0][1::2], -y[1][1::2]
    if kind == "constant":
        for a in y:
            a[:, :, 1] = 0.0
    value = [evaluation.velocity_decoding(x[0], y[0], mask[0], x[1], y[1], mask[1], grid_search=g) for g in (True, False)]
    names = ("train_rates", "eval_rates"), ("train_behavior", "eval_behavior"), ("train_mask", "eval_mask")
    case = {name: listed(a) for pair, arrays in zip(names, (x, y, mask)) for name, a in zip(pair, arrays)}
    return {"kind": "velocity", **case, "value": float(value[0]), "monitor": float(value[1])}


class Dataset(nwb_interface.NWBDataset):
    """Spikes and trials as nlb_tools holds them once a file is read, without the file."""

    made = None

    def __init__(self, *_, **__):
        self.data, self.trial_info, self.bin_width = Dataset.made
        self.data = self.data.copy()
        self.fpath, self.prefix = "", ""


def psth(rng, at_end):
    """Trials of ragged length (at_end: dmfc_rsg's layout) cut from one recording of 1 ms with gaps; 5 ms bins."""
    units, trials, width, length = 3, 14, 5, 60
    lengths = rng.integers(6, 13, trials) * width if at_end else np.full(trials, length)
    starts = np.arange(trials) * 90 + 20
    t = np.arange(trials * 90 + 40)
    spikes = rng.poisson(0.25 + 0.2 * np.sin(t[:, None] / 9.0 + np.arange(units)), (len(t), units)).astype(float)
    spikes[(starts[3] - 15) : (starts[3] - 3)] = np.nan
    spikes[(starts[7] + 10) : (starts[7] + 20)] = np.nan
    time = pd.to_timedelta(t, unit="ms")
    columns = pd.MultiIndex.from_tuples([("spikes", 0), ("spikes", 1), ("heldout_spikes", 2)], names=["signal_type", "channel"])
    ms = lambda x: pd.to_timedelta(x, unit="ms")
    info = pd.DataFrame({"trial_id": np.arange(trials), "start_time": ms(starts), "end_time": ms(starts + lengths),
                         "condition": np.arange(trials) % 4})
    data = pd.DataFrame(spikes, index=pd.TimedeltaIndex(time, name="clock_time"), columns=columns)
    data.index.freq = "1ms"
    Dataset.made = data, info, 1
    make_tensors.NWBDataset = Dataset
    train = np.arange(trials) % 3 != 0
    params = ({"start_field": "start_time", "end_field": "end_time", "align_field": "end_time"} if at_end
              else {"align_field": "start_time", "align_range": (0, length)})
    more = {"pad": "front", "seg_len": length} if at_end else {}
    dataset = Dataset()
    dataset.bin_width = width
    (_, eval_idx), value, _ = make_tensors._make_psth(dataset, train, ~train, np.zeros(trials, bool), params, "condition", 6, **more)
    jitter = rng.integers(-2, 3, (~train).sum()) if at_end else np.zeros((~train).sum(), int)
    rates = np.round(rng.gamma(2.0, 0.5, ((~train).sum(), length // width, units)), 4)
    if at_end:  # a histogram of dmfc_rsg is missing where a shift would read beyond the window
        value[:, :4] = np.nan
        value[:, -2:] = np.nan
    r2 = evaluation.eval_psth(value, rates, eval_idx, jitter)
    smooth = Dataset()
    smooth.smooth_spk(6, signal_type=["spikes", "heldout_spikes"], overwrite=True, ignore_nans=True)
    smooth.resample(width)  # which orders columns by name
    return {"kind": "psth", "spikes": listed(spikes), "sd": 6, "width": width, "starts": listed(starts), "lengths": listed(lengths),
            "bins": length // width, "at_end": bool(at_end), "condition": listed(np.arange(trials) % 4), "conditions": 4,
            "smoothed": listed(np.round(smooth.data[["spikes", "heldout_spikes"]].to_numpy(), 12)), "psth": listed(np.round(value, 12)), "rates": listed(rates),
            "eval": listed(np.flatnonzero(~train)), "jitter": listed(jitter), "trial": [listed(i.astype(int)) for i in eval_idx],
            "value": float(r2)}


def psth_flat(rng):
    """A silent unit scores 0, one that is met exactly 1; a condition without trials is left out."""
    value, rates = np.round(rng.gamma(2, 0.5, (3, 4, 3)), 4), np.round(rng.gamma(2, 0.5, (3, 4, 3)), 4)
    value[:, :, 1] = 0.0
    value[:, :, 2] = 0.0
    rates[:, :, 2] = 0.0
    idx = [np.array([1, 2]), np.array([], int), np.array([0])]
    return {"kind": "psth_r2", "psth": listed(value), "rates": listed(rates), "trial": [listed(i) for i in idx],
            "value": float(evaluation.eval_psth(value, rates, idx))}


def tp(rng):
    trials, bins = 16, 8
    rates = np.round(rng.gamma(1.0, 0.4, (trials, bins, 3)), 4)
    spikes = rng.poisson(0.3, (trials, bins, 2)).astype(float)
    for i in range(trials):
        spikes[i, : rng.integers(0, 4)] = np.nan
    group = rng.permutation(np.arange(trials) % 4)
    behavior = np.stack([group // 2, group % 2, np.zeros(trials), np.full(trials, 900.0), np.round(rng.normal(900, 80, trials), 3)], 1)
    behavior[[2, 9]] = np.nan
    return {"kind": "tp", "spikes": listed(spikes), "rates": listed(rates), "behavior": listed(behavior),
            "value": float(evaluation.speed_tp_correlation(spikes, rates, behavior))}


# ---- scikit-learn ----


def regression(rng, kind):
    y = rng.normal(size=(20, 3)) * [1, 5, 0.2] + [0, 100, -3]
    p = y + rng.normal(size=y.shape) * [0.5, 1, 0.4]
    y, p = np.round(y, 4), np.round(p, 4)
    if kind == "constant":
        y[:, 1] = 0.0
        y[:, 2], p[:, 2] = 0.0, 0.0
    return {"kind": "r2", "y": listed(y), "predicted": listed(p), "value": float(metrics.r2_score(y, p))}


def classes(rng, kind):
    """Multi-class scores are one against rest; classes that are absent are left out of means, as ours are."""
    n, k = 40, 2 if kind in ("two", "one label") else 4
    label = rng.integers(0, k, n)
    if kind == "absent":
        label[label == 2] = 1
    if kind == "one label":
        label[:] = 1
    score = rng.dirichlet(np.ones(k), n)
    score[np.arange(n), label] += 0.2
    score = np.round(score / score.sum(1, keepdims=True), 1 if kind == "ties" else 4)
    guess = score.argmax(1)
    if kind == "one label":
        guess[:] = 1
    case = {"kind": "classes", "classes": k, "label": listed(label), "guess": listed(guess), "score": listed(score)}
    one = lambda of: [of((label == j).astype(int), score[:, j]) for j in range(k) if np.any(label == j)]
    known = [j for j in range(k) if np.any(label == j)]
    value = {"accuracy": metrics.accuracy_score(label, guess), "balanced_accuracy": metrics.balanced_accuracy_score(label, guess),
             "kappa": metrics.cohen_kappa_score(label, guess), "weighted_f1": metrics.f1_score(label, guess, average="weighted")}
    if k == 2:
        value["auroc"] = metrics.roc_auc_score(label, score[:, 1]) if len(known) == 2 else np.nan
        value["auprc"] = metrics.average_precision_score(label, score[:, 1])
    else:
        value["auroc"], value["auprc"] = np.mean(one(metrics.roc_auc_score)), np.mean(one(metrics.average_precision_score))
        if len(known) == k:  # ours is scikit-learn's own mean where all classes are there
            assert np.isclose(value["auroc"], metrics.roc_auc_score(np.eye(k)[label], score, average="macro"))
            assert np.isclose(value["auprc"], metrics.average_precision_score(np.eye(k)[label], score, average="macro"))
    times = rng.integers(0, 3, n)
    again = np.repeat(np.arange(n), times)  # a bootstrap's multiplicities
    value["kappa_again"] = metrics.cohen_kappa_score(label[again], guess[again])
    value["auprc_again"] = (metrics.average_precision_score(label[again], score[again, 1]) if k == 2 else np.mean(
        [metrics.average_precision_score(label[again] == j, score[again, j]) for j in range(k) if np.any(label[again] == j)]))
    return {**case, "times": listed(times), "value": {name: listed(float(x)) for name, x in value.items()}}


def cases(seed):
    rng = np.random.default_rng(seed)
    out = [bits(rng, kind) for kind in ("plain", "zeros", "missing", "unit missing")]
    out += [velocity(rng, kind) for kind in ("plain", "missing", "wide", "masks", "constant")]
    out += [psth(rng, False), psth(rng, True), psth_flat(rng), tp(rng)]
    out += [regression(rng, kind) for kind in ("plain", "constant")]
    out += [classes(rng, kind) for kind in ("two", "ties", "four", "absent", "one label")]
    made = {p: version(p) for p in ("nlb-tools", "scikit-learn", "numpy", "scipy", "pandas")}
    return {"made_with": made, "seed": seed, "cases": out}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--check", metavar="PROGRAM", help="the built tests/test_nlb")
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    text = json.dumps(cases(args.seed), separators=(",", ":"))
    if not args.check:
        print(text)
        return 0
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(text)
        file.flush()
        return subprocess.run([args.check], env={**os.environ, "LOOM_NLB_CASES": file.name}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
