#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what `loom export` wrote of one run in its three formats with h5py, numpy and safetensors: the same arrays, the
same axes, rates that nlb_tools would take.

    python3 tests/peers/export.py ./loom RUN

Needs h5py and numpy (safetensors is read if it is there); without them it says so and ends with 77 (skipped).
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)


def main():
    loom, run = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        paths = {form: os.path.join(folder, f"e.{form}") for form in ("h5", "npz", "safetensors")}
        for path in paths.values():
            subprocess.run([loom, "export", run, "--rates", "--predictions", "--out", path], check=True, stdout=subprocess.DEVNULL)
        z, arrays = np.load(paths["npz"]), {}
        with h5py.File(paths["h5"]) as f:
            f.visititems(lambda name, x: arrays.update({name: (x[()], dict(x.attrs))}) if isinstance(x, h5py.Dataset) else None)
        about = json.loads(bytes(z["metadata"]))
        assert set(z.files) - {"metadata"} == set(arrays) - {"metadata"}
        for name, (x, attributes) in arrays.items():
            if name == "metadata":
                continue
            assert np.array_equal(z[name], x, equal_nan=True), name
            assert about["arrays"][name]["axes"] == attributes["axes"].decode(), name
            assert len(attributes["axes"].decode().split(",")) == x.ndim, name
            if name.endswith("rates/predicted"):
                assert (x >= 0).all() and len(about["elements"][os.path.dirname(name)]) == x.shape[-1], name
        try:
            from safetensors.numpy import load_file
        except ImportError:
            print("safetensors is not there")
        else:
            t = load_file(paths["safetensors"])
            assert set(t) == set(z.files) - {"metadata"} and all(np.array_equal(t[k], z[k], equal_nan=True) for k in t)
    print(f"{len(arrays)} arrays are the same in all formats")


if __name__ == "__main__":
    main()
