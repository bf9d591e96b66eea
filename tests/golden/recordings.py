#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small recordings that tests/conform.sh gives to the sources mat and lfads: recording.mat, recording_lfads.h5.
Made with h5py 3.16.0, SciPy 1.17.1, NumPy 2.4.6, Python 3.11: python3 tests/golden/recordings.py tests/golden"""
import sys

import h5py
import numpy as np
from scipy.io import savemat

folder = sys.argv[1]
draw = np.random.RandomState(7)

bins, units = 120, 5
counts = draw.poisson(0.7, (bins, units)).astype("uint8")
velocity = np.cumsum(draw.standard_normal((bins, 2)), axis=0)
savemat(
    f"{folder}/recording.mat",
    {"spikes": counts, "time": 0.05 * np.arange(bins), "bin_ms": 50.0, "handVel": velocity},
    do_compression=True,
)

trials, bins = 6, 20
with h5py.File(f"{folder}/recording_lfads.h5", "w", libver="earliest") as f:
    for name, n in (("train", trials), ("valid", trials // 2)):
        f.create_dataset(f"{name}_data", data=draw.poisson(0.7, (n, bins, units)).astype("float32"), track_times=False)
    f["bin_ms"] = 10.0
