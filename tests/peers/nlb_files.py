#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Submissions to the Neural Latents Benchmark as nlb_tools writes and scores them, and what this program says of them.

    python3 tests/peers/nlb_files.py --golden tests/golden      # nlb_submission.h5, nlb_targets.h5, nlb_scores.json
    python3 tests/peers/nlb_files.py --check ./loom [--seed 7]  # other files, scored by both

Needs nlb_tools 0.0.4 or newer, scikit-learn, h5py; without them it says so and ends with 77 (skipped).
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
    from importlib.metadata import version
    from nlb_tools import evaluation, make_tensors
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

warnings.filterwarnings("ignore")
evaluation.logger.disabled = True
FORWARD = 3
FEW = ("mc_rtt_20", "area2_bump", "dmfc_rsg", "mc_maze_large")
ALL = FEW + ("mc_maze", "mc_maze_medium", "mc_maze_small_20")


def rates(rng, trials, bins, units):
    return rng.gamma(1.0, 0.4, (trials, bins, units)) + 0.01


def lists(rng, trials, conditions):
    """Trials of each condition: of varying number, one condition without any."""
    which = rng.integers(0, conditions - 1, trials)
    which[:2] = 0
    return np.array([np.flatnonzero(which == c) for c in range(conditions)], dtype="object")


def dataset(rng, name, bins):
    train, test, heldin, heldout = 9, 7, 3, 2
    dmfc = name.startswith("dmfc")
    sent, truth = {}, {}
    for split, trials in (("train", train), ("eval", test)):
        for group, units in (("heldin", heldin), ("heldout", heldout)):
            sent[f"{split}_rates_{group}"] = rates(rng, trials, bins, units)
    if not name.startswith("mc_maze_medium"):
        for group, units in (("heldin", heldin), ("heldout", heldout)):
            sent[f"eval_rates_{group}_forward"] = rates(rng, test, FORWARD, units)
    spikes = rng.poisson(sent["eval_rates_heldout"] * 1.2).astype(float)
    if dmfc:
        for i in range(test):
            spikes[i, : rng.integers(0, bins - 3)] = np.nan
    truth["eval_spikes_heldout"] = spikes
    for group, units in (("heldin", heldin), ("heldout", heldout)):
        truth[f"eval_spikes_{group}_forward"] = rng.poisson(0.5, (test, FORWARD, units)).astype(float)
    if dmfc:
        for split, trials in (("train", train), ("eval", test)):
            b = np.column_stack([np.arange(trials) % 2, np.zeros((trials, 2)), rng.normal(size=(trials, 2))])
            b[0] = np.nan if split == "eval" else b[0]
            truth[f"{split}_behavior"] = b
        truth["eval_jitter"] = rng.integers(0, 2, test)
        truth["train_jitter"] = rng.integers(0, 2, train)
    else:
        w = rng.normal(size=(heldin + heldout, 2))
        for split in ("train", "eval"):
            x = np.concatenate([sent[f"{split}_rates_heldin"], sent[f"{split}_rates_heldout"]], axis=2)
            truth[f"{split}_behavior"] = x @ w + 0.5 * rng.normal(size=x.shape[:2] + (2,))
        truth["train_behavior"][2, :2] = np.nan
    if name.startswith("area2"):
        for split, trials in (("train", train), ("eval", test)):
            active = np.arange(trials) % 2 == 0
            truth[f"{split}_decode_mask"] = np.stack([active, ~active]).T
    if not name.startswith("mc_rtt"):
        truth["eval_cond_idx"] = lists(rng, test, 4)
        truth["train_cond_idx"] = lists(rng, train, 4)
        truth["psth"] = rng.gamma(1.0, 0.4, (4, bins, heldin + heldout))
        truth["psth"][0, : bins // 3 if dmfc else 0] = np.nan
        truth["psth"][1:, :1] = np.nan if dmfc else truth["psth"][1:, :1]
    return sent, truth


def files(rng, folder, names):
    paths = [os.path.join(folder, name) for name in ("nlb_submission.h5", "nlb_targets.h5")]
    sent, truth = {}, {}
    for name in names:
        sent[name], truth[name] = dataset(rng, name, 8)
    for path, data in zip(paths, (sent, truth)):
        if os.path.exists(path):
            os.remove(path)
        make_tensors.save_to_h5(data, path)
    scores = evaluation.evaluate(paths[1], paths[0])
    return paths, json.loads(json.dumps(scores, default=float))


def flat(scores):
    return {(split, key): value for entry in scores for split, keys in entry.items() for key, value in keys.items()}


def check(loom, seed):
    with tempfile.TemporaryDirectory() as folder:
        paths, scores = files(np.random.default_rng(seed), folder, ALL)
        said = subprocess.run([loom, "eval", "--nlb", *paths, "--json"], capture_output=True, text=True)
        if said.returncode != 0:
            sys.exit(f"seed {seed}: {said.stderr}")
    theirs, ours = flat(scores), flat(json.loads(said.stdout))
    wrong = set(theirs) ^ set(ours)
    wrong |= {k for k in set(theirs) & set(ours) if not abs(theirs[k] - ours[k]) <= 1e-6 * max(1, abs(theirs[k]))}
    for k in sorted(wrong):
        print(f"seed {seed}: {k}: {theirs.get(k)} of nlb_tools, {ours.get(k)} here")
    print(f"seed {seed}: {len(theirs)} scores, {len(wrong)} differ")
    return not wrong


def main():
    words = argparse.ArgumentParser()
    words.add_argument("--golden")
    words.add_argument("--check")
    words.add_argument("--seed", type=int, default=7)
    words = words.parse_args()
    if words.golden:
        _, scores = files(np.random.default_rng(words.seed), words.golden, FEW)
        made = {p: version(p) for p in ("nlb_tools", "numpy", "scikit-learn", "h5py")}
        with open(os.path.join(words.golden, "nlb_scores.json"), "w") as f:
            json.dump({"made_with": made, "scores": scores}, f, indent=1)
            f.write("\n")
    if words.check and not all([check(words.check, seed) for seed in range(words.seed, words.seed + 5)]):
        sys.exit(1)


if __name__ == "__main__":
    main()
