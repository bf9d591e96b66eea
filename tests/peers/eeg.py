#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""EEG files as MNE and pyEDFlib read them, beside what loom reads.

    python3 tests/peers/eeg.py golden FOLDER      gaps.edf, rates.edf, short.bdf, short.vhdr, across.vhdr for tests/test_edf.c
    python3 tests/peers/eeg.py check LOOM FILE…   every sample and annotation of real files

Made with MNE 1.13.2, pyEDFlib 0.1.42 (EDFlib), h5py 3.16.0, NumPy 2.4.6. EDFlib opens no file with gaps (EDF+D), so those
are held to MNE's times alone.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

try:
    import h5py
    import mne
    import numpy as np
    import pyedflib
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

warnings.filterwarnings("ignore")


def edf(path, kind, record_s, signals, records, bdf=False):
    """signals: (label, unit, pmin, pmax, dmin, dmax, samples a record); records: per signal an array or annotation bytes."""
    n = len(signals)
    pad = lambda text, size: str(text).encode("ascii").ljust(size)
    head = (b"\xffBIOSEMI" if bdf else b"0       ") + pad("code7 F 02-MAR-1990 X", 80)
    head += pad("Startdate 05-APR-2021 X X X" if "+" in kind else "somewhere", 80) + b"05.04.2110.20.30"
    head += pad(256 * (n + 1), 8) + pad(kind, 44) + pad(len(records), 8) + pad(record_s, 8) + pad(n, 4)
    columns = [[s[0] for s in signals], [""] * n, *[[s[k] for s in signals] for k in range(1, 6)], [""] * n]
    for values, size in zip(columns + [[s[6] for s in signals], [""] * n], (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)):
        head += b"".join(pad(v, size) for v in values)
    size = 3 if bdf else 2
    with open(path, "wb") as f:
        f.write(head)
        for record in records:
            for s, x in zip(signals, record):
                if isinstance(x, bytes):
                    f.write(x.ljust(size * s[6], b"\0"))
                else:
                    f.write(b"".join(int(v).to_bytes(size, "little", signed=True) for v in x))


def golden(folder):
    ann = ("EDF Annotations", "", -1, 1, -32768, 32767, 40)
    a, b = ("Fc5.", "uV", -100, 100, -1000, 1000, 4), ("Cz..", "uV", -200, 200, -1000, 1000, 4)
    rec = lambda k, notes: [np.arange(4) + 4 * k, -np.arange(4) - 4 * k, notes]
    edf(f"{folder}/gaps.edf", "EDF+D", 0.5, [a, b, ann], [
        rec(0, b"+0.25\x14\x14\0+0.25\x150.5\x14T1\x14\0"),
        rec(1, b"+0.75\x14\x14\0"),
        rec(2, b"+3\x14\x14\0+3.1\x14beep\x14two\x14\0-0.5\x14early\x14\0"),
    ])
    temp = ("Temp rectal", "degC", 34.4, 40.2, -2048, 2047, 1)
    edf(f"{folder}/rates.edf", "EDF+C", 1, [a, temp, ann, b], [
        [np.arange(4), [-2048], b"+0\x14\x14\0", np.arange(4) * 10],
        [np.arange(4) + 4, [2047], b"+1\x14\x14\0+1.5\x14T2\x14\0", np.arange(4) * 10 + 40],
    ])
    wide = ("A1", "uV", -262144, 262143, -8388608, 8388607, 3)
    status = ("Status", "Boolean", -8388608, 8388607, -8388608, 8388607, 3)
    edf(f"{folder}/short.bdf", "24BIT", 1, [wide, status], [[[-8388608, 0, 8388607], [0, 0x10005, 0x10005]],
                                                        [[32, -32, 64], [0, 7, 7]]], bdf=True)
    grid = np.arange(18).reshape(6, 3) - 5
    brainvision(f"{folder}/short", "MULTIPLEXED", "INT_16", grid, ["Fp1,,0.5,µV", "Cz\\1x,,2", "Pz,,0.1,µV"])
    brainvision(f"{folder}/across", "VECTORIZED", "IEEE_FLOAT_32", grid / 8, ["Fp1,,1,µV", "Cz,,1,µV", "EMG,,1,mV"])


def brainvision(stem, orientation, kind, samples, channels):
    """samples [sample, channel] as they are stored; channels: lines behind ChN=."""
    name = os.path.basename(stem)
    n = samples.shape[1]
    stored = samples.astype({"INT_16": "<i2", "IEEE_FLOAT_32": "<f4"}[kind])
    (stored if orientation == "MULTIPLEXED" else stored.T).tofile(stem + ".eeg")
    with open(stem + ".vhdr", "w", encoding="utf-8", newline="\r\n") as f:
        f.write("Brain Vision Data Exchange Header File Version 1.0\n; a comment\n\n[Common Infos]\nCodepage=UTF-8\n")
        f.write(f"DataFile=$b.eeg\nMarkerFile={name}.vmrk\nDataFormat=BINARY\nDataOrientation={orientation}\n")
        f.write(f"NumberOfChannels={n}\nSamplingInterval=4000\n\n[Binary Infos]\nBinaryFormat={kind}\n\n[Channel Infos]\n")
        f.write("".join(f"Ch{i + 1}={c}\n" for i, c in enumerate(channels)) + "\n[Comment]\nCh1=not,this,one\n")
    with open(stem + ".vmrk", "w", encoding="utf-8", newline="\r\n") as f:
        f.write("Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n")
        f.write(f"DataFile={name}.eeg\n\n[Marker Infos]\nMk1=New Segment,,1,1,0,20210405102030000000\n")
        f.write("Mk2=Stimulus,S  1,3,1,0\nMk3=Comment,left\\1 then right,5,2,0\n")


def spelt_out(path, folder):
    """A copy beside its data whose header names them: MNE does not know "$b", the header's own name."""
    stem = os.path.basename(path)[: -len(".vhdr")]
    for end in (".eeg", ".vmrk"):
        shutil.copy(path[: -len(".vhdr")] + end, folder)
    with open(path, "rb") as f, open(f"{folder}/{stem}.vhdr", "wb") as out:
        out.write(f.read().replace(b"$b", stem.encode()))
    return f"{folder}/{stem}.vhdr"


def check(loom, path):
    with tempfile.TemporaryDirectory() as scratch:
        return compare(loom, path, scratch)


def compare(loom, path, scratch):
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out.h5"
        subprocess.run([loom, "data", "convert", path, out], check=True, stdout=subprocess.DEVNULL)
        with h5py.File(out, "r") as f:
            eeg = np.asarray(f["eeg/value"])
            names = [n.decode() for n in f["channels/id"][:]] if "channels" in f else None
            rate = f["eeg"].attrs["sampling_rate"]
            unit = f["eeg/value"].attrs["unit"]
            marks = f["annotations"] if "annotations" in f else None
            start = marks["start"][:] if marks else np.zeros(0)
            seconds = marks["end"][:] - start if marks else start
            label = [t.decode() for t in marks["label"][:]] if marks else []
            kind = [t.decode() for t in marks["type"][:]] if marks and "type" in marks else []
    brainvision = path.endswith(".vhdr")
    if brainvision:
        path = spelt_out(path, scratch)
    raw = (mne.io.read_raw_brainvision if brainvision else mne.io.read_raw_bdf if path.endswith("bdf") else mne.io.read_raw_edf)(
        path, preload=True, verbose="error", **({} if brainvision else {"stim_channel": False}))
    scale = {"uV": 1e6, "µV": 1e6, "mV": 1e3, "V": 1.0}.get(unit, 1.0)
    names = names or [n.rstrip(".") for n in raw.ch_names[: eeg.shape[1]]]
    worst = 0.0
    for i, name in enumerate(names):
        theirs = [c for c in raw.ch_names if c.rstrip(".") == name]
        x = raw.get_data(picks=theirs[0])[0] * scale
        assert len(x) == len(eeg), (name, len(x), len(eeg))
        worst = max(worst, np.abs(x - eeg[:, i]).max() / max(1.0, np.abs(x).max()))
    assert worst < 1e-6 and rate == raw.info["sfreq"], (worst, rate, raw.info["sfreq"])
    theirs = sorted(zip(raw.annotations.onset, raw.annotations.duration, raw.annotations.description))
    if brainvision:  # MNE has "type/label", no nameless segments, and one sample where loom has a moment without length
        label = [f"{k}/{t}" for k, t in zip(kind, label)]
        theirs = sorted((a, 0.0 if d < 1.5 / rate else d, t) for a, d, t in theirs)
    ours = sorted(x for x in zip(start, seconds, label) if x[2] != "New Segment/")
    assert len(theirs) == len(ours), (theirs, ours)
    near = 1e-9 if brainvision else 1e-4
    assert all(abs(a[0] - b[0]) < near and abs(a[1] - b[1]) < near and a[2] == b[2] for a, b in zip(theirs, ours)), (theirs, ours)
    note = ""
    if not brainvision:
        try:
            with pyedflib.EdfReader(path) as f:
                labels = [n.rstrip(". ") for n in f.getSignalLabels()]
                x = np.array([f.readSignal(labels.index(n)) for n in names]).T
                assert np.abs(x - eeg).max() / np.abs(x).max() < 1e-6
                note = ", EDFlib too"
        except OSError as why:
            note = f"; EDFlib: {why}"
    return f"{len(names)} channels, {len(eeg)} samples, {len(label)} annotations, apart by {worst:.1e}{note}"


if sys.argv[1] == "golden":
    golden(sys.argv[2])
else:
    print(f"1..{len(sys.argv) - 3}")
    for number, path in enumerate(sys.argv[3:], 1):
        print(f"ok {number} - {os.path.basename(path)}: {check(sys.argv[2], path)}")
