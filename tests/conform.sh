#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on every plugin of the tree, required and strict. CONFORM_ONLY: these checks alone.
: "${LOOM_PROGRAM:?}"
mapfile -t plugins < <("$LOOM_PROGRAM" plugins list --json | sed -nE 's/.*"id": *"([^"]*)", *"kind": *"([^"]*)".*/\2\/\1/p')
[ ${#plugins[@]} -gt 0 ] || { echo "Bail out! no plugins are listed"; exit 1; }
# Files that file sources read twice, and beginnings of which they refuse: small made ones, and real ones where they are
# at hand. The last one of a source is what it gets.
made=${top_srcdir:-.}/tests/golden
words=()
while read -r source file; do words+=(--data "$source=$made/$file"); done <<'MADE'
brainset brainset.h5
brainvision short.vhdr
edf gaps.edf
lfads recording_lfads.h5
mat recording.mat
npz arrays.npz
nwb nlb_made_mc_maze_small.nwb
MADE
if [ -n "$LOOM_DATA" ]; then
    while read -r source file; do
        for file in "$LOOM_DATA"/$file; do [ ! -e "$file" ] || words+=(--data "$source=$file"); done
    done <<'EOF'
nwb mc-maze/*.nwb
mat chewie-mihi/chewie-2013-10-03-100ms.mat
lfads lorenz/lfads_lorenz.h5
EOF
    words+=(--set lfads.file_bin_ms=10.0)
fi
# A sanitizer makes everything slow; TEST_PATIENCE says so. Hundreds of steps and differences of
# losses show it nothing new.
[ "${CK_TIMEOUT_MULTIPLIER:-4}" -le 4 ] || words+=(--timeout 240 --skip learn-overfit,grad-fd-dir)
[ -z "$CONFORM_ONLY" ] || words+=(--only "$CONFORM_ONLY")
exec "$LOOM_PROGRAM" conform --tap "${words[@]}" "${plugins[@]}"
