#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A virtual environment with the PyTorch that bench/peers compares with, outside the repository.
#     bench/peers/setup.sh [FOLDER]      default: $XDG_CACHE_HOME/loom/peers, else ~/.cache/loom/peers
# PYTHON names the interpreter (3.11 or newer). Where pytorch.org cannot be reached, PyPI's larger package serves.
set -eu

TORCH=2.15.0
NUMPY=2.4.6

folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/loom/peers}
"${PYTHON:-python3}" -m venv "$folder"
pip() { "$folder/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

pip install "numpy==$NUMPY"
pip install --retries 1 --index-url https://download.pytorch.org/whl/cpu "torch==$TORCH" ||
    { echo "setup.sh: no CPU package from pytorch.org; taking PyPI's, which is several GB" >&2
      pip install "torch==$TORCH"; }

"$folder/bin/python" -c 'import torch, numpy; print("PyTorch", torch.__version__, "numpy", numpy.__version__)'
du -sh "$folder" | sed 's/\t/  /'
