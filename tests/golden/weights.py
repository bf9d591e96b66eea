# SPDX-License-Identifier: Apache-2.0
"""Weights made elsewhere, and what a model with them says: tests/test_weights.c holds loom to it.

    python tests/golden/weights.py      # writes beside itself; PyTorch 2.15, safetensors 0.6, SciPy 1.17

weights_a.mat, weights_b.mat   two recordings that weights.cfg reads
weights.safetensors            the model's tensors by loom's names, in four precisions; the table of sessions has its rows
                               in another order and one too many, named in the metadata
weights.json                   the velocity decoded on the test split, computed in double precision by the PyTorch model
                               below, by recording, time and dimension
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.io import savemat

HERE = Path(__file__).parent
WIDTH, HEADS, UNITS, PATCH, COUNTS, SPACES = 12, 2, 6, 3, 4, 4
BINS, WINDOW = 40, 10
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SAMPLE = 0.5  # a behaviour that goes by bins is sampled in the middle of each
torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
tensors: dict[str, torch.Tensor] = {}


def new(name: str, *shape: int, scale: float = 0.4, around: float = 0.0) -> None:
    dtype = DTYPES[len(tensors) % len(DTYPES)]
    tensors[name] = (around + scale * torch.randn(shape)).to(dtype)


def new_linear(name: str, inputs: int, outputs: int) -> None:
    new(f"{name}.weight", outputs, inputs)
    new(f"{name}.bias", outputs)


def new_block(name: str) -> None:
    new_linear(f"{name}.attention.qkv", WIDTH, 3 * WIDTH)
    new_linear(f"{name}.attention.out", WIDTH, WIDTH)
    new_linear(f"{name}.mlp.in", WIDTH, WIDTH)
    new_linear(f"{name}.mlp.out", WIDTH, WIDTH)
    for norm in ("norm1", "norm2"):
        new(f"{name}.{norm}.weight", WIDTH, scale=0.2, around=1.0)
        new(f"{name}.{norm}.bias", WIDTH)


def new_places(name: str) -> None:
    new(f"{name}.time", WINDOW + 2, WIDTH)
    new(f"{name}.space", SPACES, WIDTH)


def get(name: str) -> torch.Tensor:
    return tensors[name].double()


def linear(name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))


def norm(name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, (WIDTH,), get(f"{name}.weight"), get(f"{name}.bias"))


def block(name: str, x: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
    """Post-norm; sees [rows, rows]: True where a row attends."""
    rows = x.shape[0]
    q, k, v = linear(f"{name}.attention.qkv", x).view(rows, 3, HEADS, -1).permute(1, 2, 0, 3)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=sees).transpose(0, 1).reshape(rows, WIDTH)
    x = norm(f"{name}.norm1", x + linear(f"{name}.attention.out", y))
    return norm(f"{name}.norm2", x + linear(f"{name}.mlp.out", F.gelu(linear(f"{name}.mlp.in", x))))


def places(name: str, bin_: torch.Tensor, space: torch.Tensor) -> torch.Tensor:
    """Vectors of real-valued places in time: between two bins a share of each."""
    table, low = get(f"{name}.time"), bin_.floor().long()
    share = (bin_ - low)[:, None]
    return (1 - share) * table[low] + share * table[low + 1] + get(f"{name}.space")[space]


def context_behind(x: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    sees = torch.ones(len(x) + 1, len(x) + 1, dtype=torch.bool)
    sees[-1, :-1] = False
    return torch.cat((x, context[None])), sees


def decode(counts: torch.Tensor, session: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """counts [WINDOW, UNITS]; asked [questions], in bins from the window's begin: velocity [questions, 2]."""
    patches = UNITS // PATCH
    x = get("tokenizer.spikes.count.weight")[counts.clamp(max=COUNTS)].reshape(WINDOW * patches, WIDTH)
    row = torch.arange(WINDOW * patches)
    x = x + places("backbone", (row // patches).double(), row % patches)
    x, sees = context_behind(x, session + get("backbone.flag.weight")[0])
    for i in range(2):
        x = block(f"backbone.block{i}", x, sees)
    memory = x[:-1].view(WINDOW, patches, WIDTH).mean(1)
    query = get("tokenizer.velocity.query").expand(len(asked), -1)
    x = torch.cat((memory, query))
    at = torch.cat((torch.arange(WINDOW).double(), asked - 0.5))
    x = x + places("backbone.velocity", at, torch.zeros(len(at), dtype=torch.long))
    x, sees = context_behind(x, session)
    x = block("backbone.velocity.block0", x, sees)[WINDOW:-1]
    z = linear("head.velocity", x)
    return z * get("state.tokenizer.velocity.deviation") + get("state.tokenizer.velocity.mean")


def new_model(sessions: int) -> None:
    new("tokenizer.spikes.count.weight", COUNTS + 1, WIDTH // PATCH)
    new("backbone.session", sessions, WIDTH)
    new("backbone.flag.weight", 1, WIDTH)
    new_places("backbone")
    for name in ("backbone.block0", "backbone.block1", "backbone.velocity.block0"):
        new_block(name)
    new("tokenizer.velocity.query", 1, WIDTH)
    new_places("backbone.velocity")
    new_linear("head.velocity", WIDTH, 2)
    deviation = torch.tensor([3.0, 1.5])
    tensors["state.tokenizer.velocity.mean"] = torch.tensor([1.0, -2.0])
    tensors["state.tokenizer.velocity.deviation"] = deviation
    tensors["state.tokenizer.velocity.inverse_deviation"] = 1 / deviation


def main() -> None:
    sessions = ["weights_b", "elsewhere", "weights_a"]
    new_model(len(sessions))
    predicted = []
    for name in ("weights_a", "weights_b"):
        counts = torch.poisson(0.9 * torch.ones(BINS, UNITS))
        velocity = (10 * torch.randn(BINS, 2)).float()
        mat = {"counts": counts.T.numpy(), "velocity": velocity.numpy()}
        savemat(HERE / f"{name}.mat", mat, do_compression=True)
        session = get("backbone.session")[sessions.index(name)]
        for first in range(BINS // 2, BINS, WINDOW):
            asked = torch.arange(WINDOW) + SAMPLE
            predicted.append(decode(counts[first : first + WINDOW].long(), session, asked))
    golden = {"predicted": torch.cat(predicted).flatten().tolist()}
    (HERE / "weights.json").write_text(json.dumps(golden) + "\n")
    made_by = f"PyTorch {torch.__version__}, NumPy {np.__version__}"
    metadata = {"vocabularies": json.dumps({"session": sessions}), "made by": made_by}
    save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / "weights.safetensors", metadata=metadata)


if __name__ == "__main__":
    main()
