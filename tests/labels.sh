#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The class of a trial from its activity, end to end: trials are selected by a column, decoded by another, scored as
# classes, and the model sees no label.
: "${LOOM_PROGRAM:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
echo 1..8
cat >"$dir/p.cfg" <<'END'
name = "labels"; shards = 2;
data: { source = "sim"; kind = "reach"; sessions = 1; units = 60; trials = 240; noise = 0.1; bin_ms = 50.0;
        window = "trial"; align = "go"; post_ms = 600.0; select: { column = "target"; values = ( "0", "2", "4" ); };
        split: { by = "trial"; train = 0.5; valid = 0.1; test = 0.4; }; };
tokenizer: { plugin = "bins"; };
backbone: { plugin = "vit"; width = 16; depth = 1; heads = 2; dropout = 0.0; };
stages: ( { name = "learn"; objectives: ( { plugin = "decode"; target = "target"; } ); steps = 150; batch = 16;
            monitor = "balanced_accuracy"; optimizer: { lr = 5e-3; }; },
          { name = "evaluate"; from = "learn"; metrics = ( "balanced_accuracy", "auroc" ); bootstrap = 50; shuffles = 20; } );
END
tell() { # number, what, success
    [ "$3" = 0 ] && echo "ok $1 - $2" || { sed 's/^/# /' "$dir/said"; echo "not ok $1 - $2"; }
}
"$LOOM_PROGRAM" run "$dir/p.cfg" --quiet --threads 1 --out "$dir/run" >"$dir/said" 2>&1
sed -n 's/^ *"mean": \([0-9.]*\),*$/\1/p' "$dir/run/metrics.json" >>"$dir/said"
# Balanced accuracy, that of shuffles, AUROC, that of shuffles.
# shellcheck disable=SC2046
set -- $(sed -n 's/^ *"mean": \([0-9.]*\),*$/\1/p' "$dir/run/metrics.json")
awk -v a="$1" -v s="$2" -v r="$3" -v t="$4" 'BEGIN { exit !(a > 0.8 && s < 0.7 && r > 0.95 && t < 0.7) }'
tell 1 "the class of a trial is decoded" $?
"$LOOM_PROGRAM" check "$dir/p.cfg" >"$dir/said" 2>&1 && grep -q '^ *masked values *passed' "$dir/said" &&
    grep -q '^ *held out *passed' "$dir/said"
tell 2 "and is not seen" $?
! "$LOOM_PROGRAM" check "$dir/p.cfg" 'data.select.values=("0", "12")' >"$dir/said" 2>&1 && grep -q 'no trial has "12"' "$dir/said"
tell 3 "a value that no trial has is refused" $?
! "$LOOM_PROGRAM" check "$dir/p.cfg" data.select.valeus=3 >"$dir/said" 2>&1 && grep -q 'valeus' "$dir/said"
tell 4 "a key that is none is refused" $?
"$LOOM_PROGRAM" export "$dir/run" --predictions --out "$dir/said.safetensors" >"$dir/said" 2>&1 &&
    grep -aq 'target/probability' "$dir/said.safetensors" && grep -aq 'classes.*"0[^0-9]*2[^0-9]*4' "$dir/said.safetensors"
tell 5 "probabilities and names of classes are exported" $?
"$LOOM_PROGRAM" eval "$dir/run" 'data.select.values=("2", "4")' >"$dir/said" 2>&1
# shellcheck disable=SC2046
set -- $(sed -n 's/^ *"mean": \([0-9.]*\),*$/\1/p' "$dir/said")
awk -v a="$1" -v r="$3" 'BEGIN { exit !(a > 0.8 && r > 0.95) }'
tell 6 "a run knows its classes by name" $?

"$LOOM_PROGRAM" check "$dir/p.cfg" data.held_out_names='("e7.*", "unti8")' data.split.limit=0.5 \
    data.split.limit_recordings='("sim1_day1x")' >"$dir/said" 2>&1
grep -q 'no unit is called "unti8"' "$dir/said" && grep -q 'no recording is called "sim1_day1x"' "$dir/said" &&
    ! grep -q '"e7' "$dir/said"
tell 7 "words that name nothing are told" $?

# Real EEG, without training: what common spatial patterns say of two later runs.
if [ ! -e "$LOOM_DATA/motor-imagery-eeg/S001R03.edf" ] || ! "$LOOM_PROGRAM" plugins describe source/edf >/dev/null 2>&1; then
    echo "ok 8 - left and right fist are told apart # SKIP no \$LOOM_DATA/motor-imagery-eeg, or built without source/edf"
    exit 0
fi
"$LOOM_PROGRAM" run "${top_srcdir:-.}/pipelines/eeg-motor-imagery.cfg" --quiet --threads 1 --out "$dir/eeg" 'seeds=()' \
    stages.decode.steps=0 'stages.evaluate.metrics=("balanced_accuracy", "auroc")' stages.evaluate.shuffles=0 >"$dir/said" 2>&1
# The model's two, which is not trained, and the baseline's.
# shellcheck disable=SC2046
set -- $(sed -n 's/^ *"mean": \([0-9.]*\),*$/\1/p' "$dir/eeg/metrics.json" | tee -a "$dir/said")
awk -v n="$#" -v a="$3" -v r="$4" 'BEGIN { exit !(n == 4 && a > 0.65 && a < 0.75 && r > 0.85 && r < 0.95) }'
tell 8 "left and right fist are told apart" $?
