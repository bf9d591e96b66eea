#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `loom data convert` writes as .npz, read by NumPy.

    npz.py LOOM        a simulated recording: types, shapes, checksums, and what `loom data convert` makes of the copy

Made with NumPy 2.4.6.
"""
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

loom = sys.argv[1]
print("1..3")
with tempfile.TemporaryDirectory() as folder:
    first, second = f"{folder}/first.npz", f"{folder}/second.npz"
    made = ["source=sim", "sessions=1", "subjects=1", "trials=5", "units=20"]
    subprocess.run([loom, "data", "convert", first, *made], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([loom, "data", "convert", first, second], check=True, stdout=subprocess.DEVNULL)
    a, b = np.load(first, allow_pickle=False), np.load(second, allow_pickle=False)
    assert a.zip.testzip() is None
    assert a["subject"] == "sim1" and a["units.name"].shape == (20,) and a["units.name"].dtype.kind == "U"
    print("ok 1 - NumPy reads numbers and texts, and checksums hold")
    times, units = a["spike_times"], a["spike_units"]
    assert times.dtype == np.float64 and times.shape == units.shape and set(units) <= set(range(20))
    assert a["handVel"].shape[1] == 2 and list(a["handVel.dims"]) == ["x", "y"] and a["handVel.rate_hz"] == 100
    assert (a["trials.stop_s"] > a["trials.start_s"]).all() and a["observed_s"].shape == (1, 2)
    print("ok 2 - names, types and shapes are those of the convention")
    assert sorted(a) == sorted(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].tobytes() == b[name].tobytes(), name
    print("ok 3 - a copy of the copy is the same")
