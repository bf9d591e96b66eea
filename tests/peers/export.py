#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves, read by the libraries that others use: h5py, NumPy and safetensors.

    python3 tests/peers/export.py ./loom RUN

- `loom export` in its three formats: the same arrays, types, axes and metadata, rates that nlb_tools would take;
- every checkpoint: safetensors reads it, its header is what its bytes are, all its numbers are finite;
- and back: weights of the run's last trained stage, written by safetensors in the other order, give `loom eval --weights` the
  metrics of the run itself; with one of them changed they do not.

RUN is the folder of one seed, whose last trained stage decodes a behaviour. Last held to with h5py 3.16.0, NumPy 2.4.6, safetensors 0.8.0. Without them it says so and
ends with 77 (skipped).
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)


def exports(loom, run, folder):
    paths = {form: os.path.join(folder, f"e.{form}") for form in ("h5", "npz", "safetensors")}
    for path in paths.values():
        subprocess.run([loom, "export", run, "--rates", "--latents", "--predictions", "--out", path], check=True, stdout=subprocess.DEVNULL)
    z, arrays = np.load(paths["npz"]), {}
    with h5py.File(paths["h5"]) as f:
        f.visititems(lambda name, x: arrays.update({name: (x[()], dict(x.attrs))}) if isinstance(x, h5py.Dataset) else None)
    arrays.pop("metadata", None)
    about = json.loads(bytes(z["metadata"]))
    assert set(z.files) - {"metadata"} == set(arrays)
    for name, (x, attributes) in arrays.items():
        assert np.array_equal(z[name], x, equal_nan=True) and z[name].dtype == x.dtype, name
        assert about["arrays"][name]["axes"] == attributes["axes"].decode(), name
        assert len(attributes["axes"].decode().split(",")) == x.ndim, name
        if name.endswith("rates/predicted"):
            assert (x >= 0).all() and len(about["elements"][os.path.dirname(name)]) == x.shape[-1], name
    t = load_file(paths["safetensors"])
    assert set(t) == set(arrays)
    for name, (x, _) in arrays.items():
        assert t[name].tobytes() == np.ascontiguousarray(x).tobytes() and t[name].dtype == x.dtype and t[name].shape == x.shape, name
    with safe_open(paths["safetensors"], "np") as f:
        assert json.loads(f.metadata()["metadata"]) == about
    return len(arrays)


def checkpoints(run):
    files = sorted(glob.glob(os.path.join(run, "checkpoints", "*", "*.safetensors")))
    assert files, "the run has no checkpoint"
    for path in files:
        with safe_open(path, "np") as f:
            names = list(f.keys())
            assert all(isinstance(v, str) for v in f.metadata().values())
            for name in names:
                x = f.get_tensor(name)
                assert np.isfinite(np.asarray(x, dtype=np.float64)).all(), (path, name)
        with open(path, "rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
            at = f.tell()
        ends = sorted(header[n]["data_offsets"] for n in names)
        assert ends[0][0] == 0 and all(a[1] == b[0] for a, b in zip(ends, ends[1:])), path
        assert at + ends[-1][1] == os.path.getsize(path), path
    return len(files)


def back(loom, run, folder):
    command = [loom, "eval", run, "--metrics", "r2"]  # of the last stage: one file's weights go into the stages before it too
    evaluate = lambda *more: json.loads(subprocess.run([*command, *more], check=True, capture_output=True).stdout)
    pipeline = os.path.join(run, "pipeline.cfg")
    models = json.loads(subprocess.run([loom, "check", pipeline, "--parameters", "--json"], check=True, capture_output=True).stdout)
    stage = [s for s in models if os.path.isdir(os.path.join(run, "checkpoints", s))][-1]
    best = os.path.join(run, "checkpoints", stage, "best.safetensors")
    best = best if os.path.exists(best) else os.path.join(run, "checkpoints", stage, "last.safetensors")
    held = load_file(best)
    with safe_open(best, "np") as f:
        metadata = {k: f.metadata()[k] for k in ("vocabularies", "tables")}
    mine = {p["name"]: held[p["name"]] for p in reversed(models[stage]) if p["name"] in held}
    path, plain = os.path.join(folder, "weights.safetensors"), evaluate()
    save_file(mine, path, metadata=metadata)
    assert evaluate("--weights", path, "--partial") == plain, "the metrics changed on the way"
    name = max(mine, key=lambda n: mine[n].size if "weight" in n else 0)
    save_file({**mine, name: -mine[name]}, path, metadata=metadata)
    assert evaluate("--weights", path, "--partial") != plain, f"the sign of {name} makes no difference"
    return len(mine)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        program, run_folder = sys.argv[1:]
        print(f"{exports(program, run_folder, scratch)} arrays are the same in all formats")
        print(f"{checkpoints(run_folder)} checkpoints are read")
        print(f"{back(program, run_folder, scratch)} tensors come back")
