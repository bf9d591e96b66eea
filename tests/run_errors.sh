#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `loom run`, `loom check` and `loom eval` say and return when something is wrong: each line of the list is an exit
# code, words that the message holds, and the command.
: "${LOOM_PROGRAM:?}" "${top_srcdir:?}" "${top_builddir:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
tiny=$top_srcdir/tests/tiny.cfg
number=0

try() { # CODE WORDS COMMAND...
    due=$1 words=$2
    shift 2
    number=$((number + 1))
    "$LOOM_PROGRAM" "$@" >"$dir/said" 2>&1
    code=$?
    if test $code -eq "$due" && grep -q -e "$words" "$dir/said"; then
        echo "ok $number - $due: $words"
    else
        echo "not ok $number - $due: $words"
        echo "# $* returned $code and said: $(head -n 3 "$dir/said")"
    fi
}

quiet() { # WHAT COMMAND...
    what=$1
    shift
    number=$((number + 1))
    "$LOOM_PROGRAM" "$@" >"$dir/said" 2>&1
    if test $? -eq 0 && test ! -s "$dir/said"; then echo "ok $number - $what"; else echo "not ok $number - $what"; fi
}

fast="stages.pretrain.steps=1 stages.decode.steps=1"
echo 1..59
try 2 usage run
try 2 "did you mean .--dry." run "$tiny" --dri
try 2 "from 1 to 1024, not .many." run "$tiny" --threads many
try 2 "goes on with a run as it is" run --resume "$dir" seed=2
try 2 "whole numbers" run "$tiny" --seeds one
try 2 "no-such.cfg" run "$dir/no-such.cfg"
try 2 "no folder of a run" run --resume "$dir"
try 2 "step" run "$tiny" stages.pretrain.setps=1 --out "$dir/a"
try 2 "no stage before" run "$tiny" stages.decode.from=nothing --out "$dir/a"
try 2 "evaluates" run "$tiny" stages.1.metrics=r2 --out "$dir/a"
try 2 "cannot be a folder" run "$tiny" stages.0.name=a/b --out "$dir/a"
try 2 "two stages are called" run "$tiny" stages.0.name=decode --out "$dir/a"
try 2 "there is no metric" run "$tiny" stages.evaluate.metrics=r3 --out "$dir/a"
try 2 "neither loss nor a metric" run "$tiny" stages.decode.monitor=r3 --out "$dir/a"
try 2 "exact.*forbids" run "$tiny" stages.pretrain.precision=bf16 --out "$dir/a"
LOOM_KERNELS=avx2 try 2 "no bf16 products here.*float32" run "$tiny" stages.pretrain.precision=bf16 stages.pretrain.numerics=fast --out "$dir/a"
try 2 "matches no parameter" run "$tiny" 'stages.decode.freeze=backbon.*' --out "$dir/a"
try 2 "betas" run "$tiny" 'stages.pretrain.optimizer.betas=(0.9)' --out "$dir/a"
try 2 "did you mean" run "$tiny" stages.pretrain.objektive.x=1 --out "$dir/a"
try 3 "handVelocity" run "$tiny" 'stages.decode.objectives.0.target=handVelocity' --out "$dir/a"
try 4 "no backbone" run "$tiny" backbone.plugin=vitt --out "$dir/a"
try 4 "no baseline" run "$tiny" stages.evaluate.against=winer --out "$dir/a"
try 2 "did you mean .lags" run "$tiny" 'stages.evaluate.against=()' stages.evaluate.baselines.wiener.lagz=2 --out "$dir/a"
try 2 "there is no baseline .winer" run "$tiny" stages.evaluate.baselines.winer.lags=2 --out "$dir/a"
number=$((number + 1))
if test -e "$dir/a"; then echo "not ok $number - nothing is made before all is checked"; else echo "ok $number - nothing is made before all is checked"; fi
try 0 "$dir/run" run "$tiny" $fast --out "$dir/run"
quiet "a quiet run says nothing" run "$tiny" $fast --out "$dir/quiet" --quiet
try 2 "already and not empty" run "$tiny" --out "$dir/run"
number=$((number + 1))
if grep -q "<svg" "$dir/run/report.html"; then echo "ok $number - it ends with a report"; else echo "not ok $number - it ends with a report"; fi
quiet "a finished run is done" run --resume "$dir/run" --quiet
try 0 "bits_per_spike" eval "$dir/run"
try 0 "train" eval "$dir/run" --split train
try 0 "wiener  *-  *-" eval "$dir/run" stages.evaluate.baselines.wiener.lags=40 # not fitted: no score
try 2 "no evaluation stage" eval "$dir/run" --stage nothing
try 2 "no split" eval "$dir/run" --split tests
try 0 "poisson_nll" eval "$dir/run" --metrics poisson_nll --metrics r2
try 2 "there is no metric" eval "$dir/run" --metrics r3
try 2 "no evaluation stage" eval "$dir/run" --metrics r2 --stage nothing
try 0 "r2" eval "$tiny" --weights "$dir/run/checkpoints/decode/last.safetensors" --metrics r2
try 3 "nothing-there" eval "$dir/run" --on nothing-there
try 2 "name two files" eval --nlb "$dir/run"
try 2 "no folder of a run" export "$dir"
try 2 "there is no format" export "$dir/run" --format pickle
try 2 "which dataset" export "$dir/run" --targets
try 2 "not of a run" export "$dir/run" --targets --rates
try 2 "are for --targets" export "$dir/run" --inputs
number=$((number + 1))
"$LOOM_PROGRAM" run "$tiny" $fast --seeds 1,2 --out "$dir/seeds" --quiet && cp "$dir/seeds/metrics.json" "$dir/joined.json" &&
    rm -r "$dir/seeds/seed-2" "$dir/seeds/metrics.json" && "$LOOM_PROGRAM" run --resume "$dir/seeds" --quiet &&
    cmp "$dir/seeds/metrics.json" "$dir/joined.json" && grep -q '"chance"' "$dir/joined.json" && grep -q '"resampled"' "$dir/joined.json"
if test $? -eq 0; then echo "ok $number - a run over seeds is resumed"; else echo "not ok $number - a run over seeds is resumed"; fi
try 2 "name one, .*seeds/seed-1" eval "$dir/seeds"
try 2 "name one, .*seeds/seed-1" export "$dir/seeds"
number=$((number + 1))
if flock "$dir/run" "$LOOM_PROGRAM" run --resume "$dir/run" >"$dir/said" 2>&1 || ! grep -q "another process" "$dir/said"; then
    echo "not ok $number - one process runs in a folder"
else
    echo "ok $number - one process runs in a folder"
fi
rm "$dir"/run/checkpoints/decode/*.safetensors
try 1 "safetensors" eval "$dir/run"
try 0 "leaks" check "$tiny"
try 0 "uneven .*decode also sees" check "$tiny"
try 0 "decode  *the past alone" check "$tiny" backbone.causal=true
number=$((number + 1))
if "$LOOM_PROGRAM" run "$tiny" $fast data.sessions=2 'stages.evaluate.recordings=("sim1_day1")' --out "$dir/some" >"$dir/said" 2>&1 &&
    ! grep -q "not fitted" "$dir/said"; then
    echo "ok $number - a baseline says nothing of recordings that its stage leaves out"
else
    echo "not ok $number - a baseline says nothing of recordings that its stage leaves out"
fi
try 0 "dry run" run "$tiny" --dry
try 1 "is not a number at step 1" run "$tiny" stages.pretrain.optimizer.lr=1e300 stages.pretrain.optimizer.schedule=constant stages.pretrain.optimizer.clip=0 --out "$dir/wild"
crashing=$top_builddir/tests/broken/.libs/load_crash.so
try 4 "crashes while loading" run "$tiny" $fast tokenizer.plugin="\"$crashing\"" --out "$dir/crash"
try 4 "crashes while loading" check "$tiny" tokenizer.plugin="\"$crashing\""
