#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/pipelines.md says what the option tables say.
set -u
echo 1..1
made=$(mktemp)
trap 'rm -f "$made"' EXIT
src=${srcdir:-.}
case $("${LOOM:-./loom}" --version) in
*"hdf5: no"* | *"HDF5: no"* | *"matio: no"*)
    echo "ok 1 - pipelines.md # SKIP built without HDF5 or matio"
    exit 0
    ;;
esac
if "$src/tools/docs.sh" "${LOOM:-./loom}" >"$made" 2>&1 && diff -u "$src/docs/pipelines.md" "$made" >&2; then
    echo "ok 1 - pipelines.md is made of the option tables"
else
    echo "not ok 1 - pipelines.md differs: run tools/docs.sh LOOM > docs/pipelines.md"
fi
