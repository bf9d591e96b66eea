#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small recordings like those of the Neural Latents Benchmark, and what nlb_tools makes of them.

    python3 tests/peers/nlb_data.py tests/golden          # nlb_made_*.nwb and .h5, for tests/test_nlb_data.c and tests/nlb.sh
    python3 tests/peers/nlb_data.py tests/golden --real sub-Jenkins_ses-small_desc-test_ecephys.nwb   # nlb_real.json too

Made with pynwb 4.2, nlb_tools 0.0.4, numpy 2.4, pandas 3.1. Without them it says so and ends with 77 (skipped).
"""
import argparse
import datetime
import json
import os
import sys
import tempfile
import warnings

try:
    import nlb  # tests/peers/nlb.py lets nlb_tools run under today's numpy and pandas
    import numpy as np
    import pandas as pd
    from hdmf.backends.hdf5 import H5DataIO
    from nlb_tools import make_tensors
    from nlb_tools.nwb_interface import NWBDataset
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

warnings.filterwarnings("ignore")
LOAD = NWBDataset.load


def load(self, *words, **more):
    """Under pandas 3 columns of different lengths are joined without putting their times in order."""
    data, *rest = LOAD(self, *words, **more)
    return data.sort_index(), *rest


NWBDataset.load = load
SETS = ("mc_maze_small", "mc_rtt", "area2_bump", "dmfc_rsg")
UNITS = ((False, 9), (True, 14), (False, 21), (False, 12), (True, 17))  # held out, Hz


def trials(rng, name):
    """Rows of the table of trials: start, stop, split and what each set needs."""
    rows, at, lengths = [], 0.2, {"mc_maze_small": 1.3, "mc_rtt": 0.6, "area2_bump": 1.2, "dmfc_rsg": 2.6}
    split = ["train", "val", "train", "none", "train", "val", "val", "train", "train", "val", "train", "train"]
    for i in range(12):
        length = lengths[name] + (0 if name == "mc_rtt" else round(rng.uniform(0, 0.1), 4))
        row = {"start_time": at, "stop_time": round(at + length, 4), "split": split[i]}
        if name in ("mc_maze_small", "area2_bump"):
            row["move_onset_time"] = round(at + 0.5 + rng.uniform(0, 0.05), 4)
        if name == "mc_maze_small":
            row |= {"trial_type": i % 2, "trial_version": int(i == 10)}
        if name == "area2_bump":
            row |= {"cond_dir": 90.0 * (i % 2), "ctr_hold_bump": i % 3 == 0}
            row["move_onset_time"] = np.nan if split[i] == "none" else row["move_onset_time"]
        if name == "dmfc_rsg":
            tp = round(rng.uniform(650, 1400), 1)
            row |= {"go_time": round(at + 1.9, 4), "set_time": round(at + 1.9 - tp / 1000, 4), "is_eye": i >= 6}
            row |= {"theta": 0.0, "is_short": False, "ts": 800.0, "tp": tp, "is_outlier": i == 4}
        rows.append(row)
        at = row["stop_time"] if name == "mc_rtt" else round(row["stop_time"] + 0.01, 4)
    return rows


def packed(x):
    return H5DataIO(x, compression="gzip", shuffle=True, chunks=x.shape)


def make(path, name):
    rng = np.random.default_rng(SETS.index(name) + 1)
    rows = trials(rng, name)
    end = rows[-1]["stop_time"] + 0.6
    f = NWBFile("made", f"made {name}", datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    for column in rows[0]:
        if column not in ("start_time", "stop_time"):
            f.add_trial_column(column, column)
    for row in rows:
        f.add_trial(**row)
    f.add_unit_column("heldout", "held out")
    observed = np.array([[0.0, round(end - 0.2503, 4)], [round(end - 0.2, 4), round(end, 3)]])
    for held_out, rate in UNITS:
        times = np.round(np.sort(rng.uniform(0, end, rng.poisson(rate * end))), 4)
        times = times[(times < observed[0, 1]) | (times >= observed[1, 0])]
        f.add_unit(spike_times=times[times < observed[1, 1]], obs_intervals=observed, heldout=held_out)
    if name != "dmfc_rsg":
        n = int(round(end * 1000)) - 40
        t = np.arange(n)
        v = np.stack([np.sin(t / 90), np.cos(t / 130)], axis=1) + 0.3 * rng.normal(size=(n, 2))
        v = np.round(v * 20).astype("float32") / 4
        gap = 80 if name == "mc_rtt" else int(rows[1]["start_time"] * 1000) + 10  # where no window reaches
        v[gap : gap + 30] = np.nan
        v[gap + 50, 1] = np.nan
        series = "finger_vel" if name == "mc_rtt" else "hand_vel"
        module = f.create_processing_module("behavior", "behavior")
        module.add(TimeSeries(series, packed(v), "mm/s", timestamps=packed(np.round(t / 1000 + 0.02, 3)), comments="columns=[x,y]"))
    if os.path.exists(path):
        os.remove(path)
    with NWBHDF5IO(path, "w") as io:
        io.write(f, cache_spec=False)


def make_test(path, truth):
    """A file of trials to test on, of the session that nlb_made_mc_maze_small.nwb is of. As published: of windows around
    the movement, of units that are not held out, without behaviour; with `truth`: what the benchmark keeps."""
    rng = np.random.default_rng(20)
    f = NWBFile("made", "made test", datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    for column in ("split", "move_onset_time") + (("trial_type", "trial_version") if truth else ()):
        f.add_trial_column(column, column)
    windows = []
    for i in range(5):
        at = round(i * 1.0, 4)
        row = {"start_time": at, "stop_time": round(at + 0.7, 4), "split": "test", "move_onset_time": round(at + 0.25, 4)}
        f.add_trial(**row, **({"trial_type": i % 2, "trial_version": 0} if truth else {}))
        windows.append([at, round(at + 0.7, 4)])
    f.add_unit_column("heldout", "held out")
    for number, (held_out, rate) in enumerate(UNITS):
        times = np.round(np.sort(rng.uniform(0, 5.0, rng.poisson(rate * 5.0))), 4)
        if truth:
            f.add_unit(id=number, spike_times=times, obs_intervals=np.array([[0.0, 5.0]]), heldout=held_out)
        elif not held_out:
            inside = [t for t in times if any(a <= t < b for a, b in windows)]
            f.add_unit(id=number, spike_times=inside, obs_intervals=np.array(windows), heldout=False)
    if truth:
        t = np.arange(5000)
        v = np.round(20 * np.stack([np.sin(t / 90), np.cos(t / 130)], axis=1)).astype("float32")
        module = f.create_processing_module("behavior", "behavior")
        module.add(TimeSeries("hand_vel", packed(v), "mm/s", timestamps=packed(t / 1000), comments="columns=[x,y]"))
    with NWBHDF5IO(path, "w") as io:
        io.write(f, cache_spec=False)


def pair(folder):
    """The test file, and what nlb_tools makes of both files: inputs, and from the truth what a submission is scored by."""
    name, public = "mc_maze_small", os.path.join(folder, "nlb_made_mc_maze_small_test.nwb")
    if os.path.exists(public):
        os.remove(public)
    make_test(public, False)
    with tempfile.TemporaryDirectory() as both:
        os.symlink(os.path.abspath(os.path.join(folder, "nlb_made_mc_maze_small.nwb")), os.path.join(both, "train.nwb"))
        made = {}
        for truth in (False, True):
            path = os.path.join(both, "test.nwb")
            if os.path.lexists(path):
                os.remove(path)
            if truth:
                make_test(path, True)
            else:
                os.symlink(os.path.abspath(public), path)
            d = NWBDataset(both)
            d.resample(20)
            if truth:
                target = make_tensors.make_eval_target_tensors(d, name, ["train", "val"], "test", save_file=False, include_psth=True)
                made |= target[name + "_20"]
            else:
                made |= make_tensors.make_train_input_tensors(d, name, ["train", "val"], save_file=False)
                made |= make_tensors.make_eval_input_tensors(d, name, "test", save_file=False)
    out = os.path.join(folder, "nlb_made_mc_maze_small_test_20.h5")
    if os.path.exists(out):
        os.remove(out)
    make_tensors.save_to_h5({name + "_20": made}, out, compression=None)


def overlap(folder):
    """Trials whose windows overlap, with the columns of two sets: nlb_tools cuts them in behaviour of mc_maze, in
    histograms of both, and not in behaviour of area2_bump."""
    rng = np.random.default_rng(30)
    f = NWBFile("made", "made overlap", datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    for column in ("split", "move_onset_time", "trial_type", "trial_version", "cond_dir", "ctr_hold_bump"):
        f.add_trial_column(column, column)
    gaps = [0.5, 0.4, 0.9, 0.9, 0.64, 0.9, 0.57, 0.56, 0.9, 0.8034]
    splits = ["train", "train", "val", "train", "train", "val", "train", "none", "train", "val"]
    kinds = [0, 0, 0, 0, 0, 1, 1, 0, 2, 0]
    at = 0.0
    for gap, split, kind in zip(gaps, splits, kinds):
        at = round(at + gap, 4)
        row = {"trial_type": kind, "trial_version": 0, "cond_dir": 90.0 * kind, "ctr_hold_bump": False, "split": split}
        f.add_trial(start_time=round(at - 0.2, 4), stop_time=round(at + 0.2, 4), move_onset_time=at, **row)
    end = round(at + 1.0, 4)
    f.add_unit_column("heldout", "held out")
    for held_out, rate in UNITS[:3]:
        times = np.round(np.sort(rng.uniform(0, end, rng.poisson(rate * end))), 4)
        f.add_unit(spike_times=times, obs_intervals=np.array([[0.0, end]]), heldout=held_out)
    t = np.arange(int(end * 1000))
    v = np.round(20 * np.stack([np.sin(t / 90), np.cos(t / 130)], axis=1)).astype("float32")
    module = f.create_processing_module("behavior", "behavior")
    module.add(TimeSeries("hand_vel", packed(v), "mm/s", timestamps=packed(t / 1000), comments="columns=[x,y]"))
    path, out = (os.path.join(folder, "nlb_made_overlap" + rest) for rest in (".nwb", "_20.h5"))
    for old in (path, out):
        if os.path.exists(old):
            os.remove(old)
    with NWBHDF5IO(path, "w") as io:
        io.write(f, cache_spec=False)
    made = {}
    for name in ("mc_maze_medium", "area2_bump"):
        d = NWBDataset(path)
        d.resample(20)
        made |= make_tensors.make_eval_target_tensors(d, name, save_file=False, include_psth=True)
    make_tensors.save_to_h5(made, out, compression=None)


def tensors(path, name, bin_ms, out):
    """What nlb_tools gives a model, and what it scores against; trained on `train`, scored on `val`."""
    d = NWBDataset(path)
    if bin_ms > 1:
        d.resample(bin_ms)
    suffix = "" if bin_ms == 5 else f"_{bin_ms}"
    if os.path.exists(out):
        os.remove(out)
    inputs = make_tensors.make_train_input_tensors(d, name, save_file=False, include_forward_pred=True, include_behavior=False)
    inputs |= make_tensors.make_eval_input_tensors(d, name, save_file=False)
    try:
        target = make_tensors.make_eval_target_tensors(d, name, save_file=False, include_psth="psth_params" in make_tensors.PARAMS[name])
    except Exception as why:
        print(f"{name} {bin_ms}: no targets: {why!r}")
        target = {name + suffix: {}}
    make_tensors.save_to_h5({name + suffix: inputs | target[name + suffix]}, out, compression=None)


def real(path, out):
    """Of the held-in spikes of a test file: counts of each trial, and a sum that knows where each spike stands."""
    said = {}
    for bin_ms in (5, 20):
        d = NWBDataset(path)
        d.resample(bin_ms)
        x = make_tensors.make_eval_input_tensors(d, "mc_maze_small", "test", save_file=False)["eval_spikes_heldin"]
        weight = 1 + np.arange(x[0].size).reshape(x[0].shape) % 97
        said[str(bin_ms)] = {
            "shape": list(x.shape),
            "missing": int(np.isnan(x).sum()),
            "counts": np.nansum(x, axis=(1, 2)).astype(int).tolist(),
            "placed": [int(np.nansum(trial * weight)) for trial in x.astype(float)],
        }
    with open(out, "w") as f:
        json.dump(said, f)
        f.write("\n")


def main():
    words = argparse.ArgumentParser()
    words.add_argument("folder")
    words.add_argument("--real")
    words = words.parse_args()
    for name in SETS:
        path = os.path.join(words.folder, f"nlb_made_{name}.nwb")
        make(path, name)
        for bin_ms in (5, 20):
            tensors(path, name, bin_ms, os.path.join(words.folder, f"nlb_made_{name}_{bin_ms}.h5"))
    pair(words.folder)
    overlap(words.folder)
    if words.real:
        real(words.real, os.path.join(words.folder, "nlb_real.json"))


if __name__ == "__main__":
    main()
