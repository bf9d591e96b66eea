#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real recording from its file to the benchmark's scores, by this program and by nlb_tools.

    python3 tests/peers/nlb_run.py sub-Jenkins_ses-small_desc-test_ecephys.nwb --loom ./loom [--steps 1000] [--bin-ms 20]

The benchmark's published test file of mc_maze_small (DANDI 000140: 100 trials of 0.7 s, 107 units) has neither held-out
units nor behaviour, so it is dealt anew: 60 trials to train on, 15 to validate and 25 to test, every fourth unit held
out, the last 200 ms of each trial to come. What stands for the hand's velocity is a linear mixture of smoothed
populations of held-in and held-out units, and conditions are made up: they let both programs compute their scores, and
say nothing about monkeys. Two files are written as the benchmark's are, the test file without held-out units and bins
to come; a model is trained and its submissions for validation and test are scored by `loom eval --nlb` and by
nlb_tools, whose numbers must be the same to 1e-6.

Needs what tests/peers/nlb_data.py needs; without it says so and ends with 77 (skipped).
"""
import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import nlb_data  # with it nlb_tools runs under today's numpy and pandas
    import numpy as np
    from nlb_tools import evaluation, make_tensors
    from nlb_tools.nwb_interface import NWBDataset
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from scipy import ndimage
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

TRAIN, VAL = 60, 75
PERIOD, LENGTH, SEEN = 0.8, 0.7, 0.5  # of a trial in the file; the last 200 ms are to come
RANGE = (-250, 250)
PARAMS = {"make_params": {"align_field": "move_onset_time", "align_range": RANGE},
          "eval_make_params": {"align_field": "move_onset_time", "align_range": RANGE},
          "psth_params": {"cond_fields": ["trial_type", "trial_version"], "kern_sd": 50,
                          "make_params": {"align_field": "move_onset_time", "align_range": RANGE}}}


def read(path):
    with h5py.File(path) as f:
        start, event = f["intervals/trials/start_time"][()], f["intervals/trials/move_onset_time"][()]
        ends = f["units/spike_times_index"][()].astype(int)
        spikes = np.split(f["units/spike_times"][()], ends[:-1])
        return start, event, spikes, [int(i) for i in f["units/id"][()]]


def velocity(spikes, end):
    rng = np.random.default_rng(1)
    ms = np.stack([np.bincount((t * 1000).astype(int), minlength=end)[:end] for t in spikes])
    smooth = ndimage.gaussian_filter1d(ms.astype(float), 60, axis=1)
    y = (rng.normal(size=(2, len(spikes))) @ (smooth - smooth.mean(1, keepdims=True))).T
    return (100 * y / y.std(0)).astype("float32")


def write(path, session, trials, units, whole):
    """Some trials of the session; whole: with held-out units, bins to come, behaviour and conditions."""
    start, event, spikes, ids = session
    zero = start[trials[0]]
    f = NWBFile("real", "dealt anew", datetime.datetime(2009, 9, 28, tzinfo=datetime.timezone.utc), session_id="small")
    for column in ("split", "move_onset_time") + (("trial_type", "trial_version") if whole else ()):
        f.add_trial_column(column, column)
    seen = []
    for i in trials:
        split = "train" if i < TRAIN else "val" if i < VAL else "test"
        at, length = round(start[i] - zero, 4), LENGTH if whole else SEEN
        row = {"trial_type": i % 7 % 3, "trial_version": 0} if whole else {}
        f.add_trial(start_time=at, stop_time=at + length, split=split, move_onset_time=round(event[i] - zero, 4), **row)
        seen.append([at, round(at + length, 4)])
    f.add_unit_column("heldout", "held out")
    for u in units:
        t = np.round(spikes[u] - zero, 6)
        t = t[np.any([(t >= a) & (t < b) for a, b in seen], axis=0)]
        f.add_unit(id=ids[u], spike_times=t, obs_intervals=np.array(seen), heldout=u % 4 == 3)
    if whole:
        y = velocity(spikes, int(round((start[-1] + PERIOD) * 1000)))[int(round(zero * 1000)) :]
        y = y[: int(round((start[trials[-1]] + LENGTH - zero) * 1000))]  # nlb_tools drops series that go on beyond
        module = f.create_processing_module("behavior", "behavior")
        module.add(TimeSeries("hand_vel", y, "mm/s", timestamps=np.arange(len(y)) / 1000, comments="columns=[x,y]"))
    with NWBHDF5IO(path, "w") as io:
        io.write(f, cache_spec=False)


def targets(folder, bin_ms, trained, scored, out):
    d = NWBDataset(folder)
    d.resample(bin_ms)
    made = make_tensors.make_eval_target_tensors(d, "mc_maze_small", trained, scored, update_params=PARAMS, save_file=False,
                                                 include_psth=True)
    if os.path.exists(out):
        os.remove(out)
    make_tensors.save_to_h5(made, out)


PIPELINE = """
name = "real"; seed = 1;
data: {{ nlb = "mc_maze_small"; bin_ms = {bin_ms}.0; pre_ms = 250.0; post_ms = 250.0;
        files = ( "{folder}/train.nwb", "{folder}/test.nwb" ); cache = "{folder}/cache"; }};
tokenizer: {{ plugin = "bins"; }};
backbone: {{ plugin = "vit"; width = 64; depth = 2; heads = 2; decoder_depth = 0; dropout = 0.2; }};
stages: ( {{ name = "learn"; objectives: ( {{ plugin = "mae"; hide = 0.25; hide_by = "time"; hide_how = "zero"; }} );
            steps = {steps}; batch = 16; optimizer: {{ lr = 2e-3; }}; }},
          {{ name = "evaluate"; from = "learn"; splits = ( "valid" ); against = ( "glm" );
            metrics = ( "co_bps", "fp_bps" ); shuffles = 0; }} );
"""


def flat(scores):
    return {key.removeprefix("[100] "): float(value) for entry in scores for keys in entry.values() for key, value in keys.items()}


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("file")
    words.add_argument("--loom", required=True)
    words.add_argument("--steps", type=int, default=1000)
    words.add_argument("--bin-ms", type=int, default=20)
    words = words.parse_args()
    session, wrong = read(words.file), 0
    units = range(len(session[2]))
    with tempfile.TemporaryDirectory() as folder:
        def loom(*command):
            return subprocess.run([words.loom, *command], check=True, capture_output=True, text=True).stdout

        os.mkdir(f"{folder}/whole")
        write(f"{folder}/train.nwb", session, range(VAL), units, True)
        write(f"{folder}/test.nwb", session, range(VAL, 100), [u for u in units if u % 4 != 3], False)
        os.link(f"{folder}/train.nwb", f"{folder}/whole/train.nwb")
        write(f"{folder}/whole/test.nwb", session, range(VAL, 100), units, True)
        with open(f"{folder}/real.cfg", "w") as f:
            f.write(PIPELINE.format(folder=folder, steps=words.steps, bin_ms=words.bin_ms))
        loom("run", f"{folder}/real.cfg", "--quiet", "--out", f"{folder}/run")
        with open(f"{folder}/run/metrics.json") as f:
            own = json.load(f)["evaluate"]["valid"]
        print("of the run, valid:", {m: round(own[m]["mean"], 4) for m in ("co_bps", "fp_bps")},
              "glm:", {m: round(own["baselines"]["glm"][m]["mean"], 4) for m in ("co_bps", "fp_bps")})
        for split, trained, scored in (("valid", ["train"], "val"), ("test", ["train", "val"], "test")):
            targets(f"{folder}/whole", words.bin_ms, trained, scored, f"{folder}/targets.h5")
            loom("export", f"{folder}/run", "--nlb", "--split", split, "--out", f"{folder}/{split}.h5")
            theirs = flat(evaluation.evaluate(f"{folder}/targets.h5", f"{folder}/{split}.h5"))
            ours = flat(json.loads(loom("eval", "--nlb", f"{folder}/{split}.h5", f"{folder}/targets.h5", "--json")))
            print(f"{split}:")
            for key in sorted(set(theirs) | set(ours)):
                same = key in theirs and key in ours and abs(theirs[key] - ours[key]) <= 1e-6 * max(1, abs(theirs[key]))
                wrong += not same
                print(f"  {key:8} {theirs.get(key):12.8f} of nlb_tools, {ours.get(key):12.8f} here{'' if same else ': DIFFERENT'}")
    print(f"{wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
