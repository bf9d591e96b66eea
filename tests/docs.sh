#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/pipelines.md and docs/ablate.md say what the option tables say, docs/plugin-reference.md what the headers say,
# docs/matrix.md what the plugins say to each other.
set -u
echo 1..4
made=$(mktemp)
trap 'rm -f "$made"' EXIT
src=${top_srcdir:-.}
if sh "$src/tools/reference.sh" >"$made" 2>&1 && diff -u "$src/docs/plugin-reference.md" "$made" >&2; then
    echo "ok 1 - plugin-reference.md is made of the headers"
else
    echo "not ok 1 - plugin-reference.md differs: run tools/reference.sh > docs/plugin-reference.md"
fi
if { cat "$src/tools/ablate.head.md" && "${LOOM_PROGRAM:-./loom}" ablate --keys; } >"$made" 2>&1 && diff -u "$src/docs/ablate.md" "$made" >&2; then
    echo "ok 2 - ablate.md is made of the option tables"
else
    echo "not ok 2 - ablate.md differs: run { cat tools/ablate.head.md; loom ablate --keys; } > docs/ablate.md"
fi
if { cat "$src/tools/matrix.head.md" && "${LOOM_PROGRAM:-./loom}" plugins matrix; } >"$made" 2>&1 && diff -u "$src/docs/matrix.md" "$made" >&2; then
    echo "ok 3 - matrix.md is what the plugins say"
else
    echo "not ok 3 - matrix.md differs: run { cat tools/matrix.head.md; loom plugins matrix; } > docs/matrix.md"
fi
for part in source/mat source/nwb source/npz; do
    if ! "${LOOM_PROGRAM:-./loom}" plugins describe "$part" >/dev/null 2>&1; then
        echo "ok 4 - pipelines.md # SKIP built without $part"
        exit 0
    fi
done
if "$src/tools/docs.sh" "${LOOM_PROGRAM:-./loom}" >"$made" 2>&1 && diff -u "$src/docs/pipelines.md" "$made" >&2; then
    echo "ok 4 - pipelines.md is made of the option tables"
else
    echo "not ok 4 - pipelines.md differs: run tools/docs.sh LOOM > docs/pipelines.md"
fi
