#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Brainsets between temporaldata and loom, both ways.

    brainset.py golden FILE       the file that tests/test_brainset.c reads: tests/golden/brainset.h5
    brainset.py check LOOM ...    recordings (or "source=sim ...") converted by LOOM, read lazily and whole by temporaldata
                                  and by torch_brain, against what `loom data convert` to .npz, or NumPy, says of them

Made with temporaldata 0.1.6, torch_brain 0.2.1, h5py 3.16.0, NumPy 2.4.6.
"""
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
    import temporaldata as td
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)


def folds():
    """Splits by name, as newer brainsets have them: groups of three, and one name a part."""
    end = td.Interval(0.0, 3.0)
    first = td.Data(train=td.Interval(np.array([0.0, 2.0]), np.array([1.0, 3.0])), valid=td.Interval(1.0, 1.5), test=td.Interval(1.5, 2.0), domain=end)
    shared = td.Data(train=td.Interval(0.0, 2.0), test=td.Interval(1.75, 3.0), domain=end)
    parts = {"lite$fold1$train": td.Interval(1.0, 3.0), "lite$fold1$val": td.Interval(0.5, 1.0), "lite$fold1$test": td.Interval(0.0, 0.5)}
    return td.Data(fold_0=first, shared=shared, domain=end, **parts)


def golden(path):
    spikes = td.IrregularTimeSeries(
        timestamps=np.array([0.1, 0.25, 0.5, 1.5, 1.75, 2.5]), unit_index=np.array([1, 0, 2, 1, 1, 0]), domain="auto"
    )
    units = td.ArrayDict(
        id=np.array(["a/1", "a/2", "b/1"]),
        brain_area=np.array(["M1", "PMd", "M1"]),
        electrode=np.array([5, 6, 7]),
        waveform_mean=np.zeros((3, 4)),
    )
    cursor = td.IrregularTimeSeries(
        timestamps=np.arange(5) * 0.5,
        pos=np.arange(10.0).reshape(5, 2),
        vel=-np.arange(10.0).reshape(5, 2),
        moving=np.array([True, False, True, True, False]),
        domain="auto",
    )
    hand = td.RegularTimeSeries(speed=np.arange(8.0), sampling_rate=4.0, domain_start=0.5)
    trials = td.Interval(
        start=np.array([0.0, 1.0, 2.0]),
        end=np.array([0.9, 1.9, 2.9]),
        go_cue_time=np.array([0.2, 1.2, np.nan]),
        is_valid=np.array([True, True, False]),
        result=np.array(["R", "F", "R"]),
        timekeys=["start", "end", "go_cue_time"],
    )
    nothing = td.Interval(start=np.array([]), end=np.array([]))
    data = td.Data(
        brainset=td.Data(id="made", origin_version="0"),
        subject=td.Data(id="monkey", age=3.0),
        session=td.Data(id="day1", recording_date="2020-02-03 04:05:06", task="reach"),
        spikes=spikes,
        units=units,
        cursor=cursor,
        hand=hand,
        trials=trials,
        movement_phases=td.Data(hold_period=td.Interval(0.0, 0.2), reach_period=nothing, domain=td.Interval(0.0, 3.0)),
        train_domain=td.Interval(np.array([0.0, 2.0]), np.array([1.0, 3.0])),
        valid_domain=td.Interval(1.0, 1.5),
        test_domain=td.Interval(1.5, 2.0),
        splits=folds(),
        domain=td.Interval(0.0, 3.0),
    )
    with h5py.File(path, "w") as f:
        data.to_hdf5(f)


def check_spikes(data, raw, other):
    """other: the same recording as an archive, where spikes stand unit by unit."""
    times, index = data.spikes.timestamps[:], data.spikes.unit_index[:]
    order = np.lexsort((other["spike_units"], other["spike_times"]))
    assert len(times) > 0 and (times == other["spike_times"][order]).all() and (index == other["spike_units"][order]).all()
    assert (np.diff(times) >= 0).all() and index.max() < len(data.units.id)
    assert len(times) == raw["units/count"][:].sum()
    assert (np.bincount(index, minlength=len(raw["units/id"])) == raw["units/count"][:]).all()
    first = raw["spikes/domain/start"][0]
    grid = np.arange(first, raw["spikes/domain/end"][-1] + 1.0, 1.0)
    assert (raw["spikes/timestamp_indices_1s"][:] == np.searchsorted(times, grid)).all()


def check_slices(path, data):
    """A lazy slice must hold what the whole holds between its ends."""
    start, end = data.domain.start[0], data.domain.end[-1]
    rng = np.random.default_rng(1)
    for a, b in np.sort(rng.uniform(start, end, (20, 2)), axis=1):
        with h5py.File(path, "r") as f:
            part = td.Data.from_hdf5(f, lazy=True).slice(a, b)
            if hasattr(data, "spikes"):
                t = data.spikes.timestamps
                assert np.allclose(part.spikes.timestamps[:] + a, t[(t >= a) & (t < b)])
            if hasattr(data, "trials"):
                assert len(part.trials) == ((data.trials.end > a) & (data.trials.start < b)).sum()


def intervals(file):
    found = {}
    file.visititems(lambda name, x: found.update({name: (x["start"][:], x["end"][:])}) if x.attrs.get("object") == "Interval" else None)
    return {n: x for n, x in found.items() if not n.endswith("domain") or "_" in n.rsplit("/")[-1]}


def check_intervals(path, original):
    """A brainset comes back with its intervals, splits among them, where they were."""
    with h5py.File(path, "r") as f, h5py.File(original, "r") as g:
        ours, theirs = intervals(f), intervals(g)
    assert set(theirs) <= set(ours), set(theirs) - set(ours)
    assert all(np.array_equal(ours[n][k], theirs[n][k]) for n in theirs for k in range(2))


def check(loom, recording):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/out.h5"
        words = recording.split()
        subprocess.run([loom, "data", "convert", *words[:1], path, *words[1:]], check=True, stdout=subprocess.DEVNULL)
        archive = f"{folder}/out.npz"
        subprocess.run([loom, "data", "convert", *words[:1], archive, *words[1:]], check=True, stdout=subprocess.DEVNULL)
        with h5py.File(path, "r") as raw, np.load(archive) as other:
            whole = td.Data.from_hdf5(raw, lazy=False)
            if "spikes" in raw and "spike_times" in other:
                check_spikes(whole, raw, other)
            # Texts beyond ASCII are of variable length, which temporaldata leaves as bytes.
            names = [i.decode() if isinstance(i, bytes) else i for i in whole.units.id[:]]
            assert isinstance(whole.session.id, str) and names == list(other.get("units.name", []))
        check_slices(path, whole)
        if words[0].endswith(".h5"):
            check_intervals(path, words[0])
        try:
            from torch_brain.data import Data
        except ImportError:
            return "temporaldata"
        with h5py.File(path, "r") as raw:
            again = Data.from_hdf5(raw, lazy=True)
            if hasattr(again, "spikes"):
                assert len(again.spikes.timestamps[:]) == len(whole.spikes.timestamps[:])
        return "temporaldata and torch_brain"


if sys.argv[1] == "golden":
    golden(sys.argv[2])
else:
    print(f"1..{len(sys.argv) - 3}")
    for number, recording in enumerate(sys.argv[3:], 1):
        print(f"ok {number} - {os.path.basename(recording)}: read by {check(sys.argv[2], recording)}")
