#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Neural Latents Benchmark from its files to a score: a test file that lacks held-out units and bins to come, joined
# with its training file; segments of mc_rtt, which follow each other without a gap. Targets are those of nlb_tools
# (tests/peers/nlb_data.py).
: "${LOOM_PROGRAM:?}" "${top_srcdir:=.}"
if ! "$LOOM_PROGRAM" plugins list 2>/dev/null | grep -q '^source *nwb'; then
    echo "1..0 # SKIP there is no source nwb"
    exit 0
fi
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
golden=$(cd "$top_srcdir/tests/golden" && pwd)
echo 1..7

result() { # number, what, status
    if [ "$3" -eq 0 ]; then
        echo "ok $1 - $2"
    else
        sed 's/^/# /' "$dir/said"
        echo "not ok $1 - $2"
    fi
}

pipeline() { # dataset, split that is evaluated, files
    cat <<END
name = "nlb";
data: { nlb = "$1"; bin_ms = 20.0; files = ( $3 ); };
tokenizer: { plugin = "bins"; };
backbone: { plugin = "vit"; width = 8; depth = 1; heads = 2; };
stages: ( { name = "learn"; objectives: ( { plugin = "mae"; hide_how = "zero"; } ); steps = 4; batch = 4; },
          { name = "evaluate"; from = "learn"; splits = ( $2 ); metrics = ( "co_bps", "fp_bps" ); bootstrap = 0; shuffles = 0; } );
END
}

train=\"$golden/nlb_made_mc_maze_small.nwb\"
pipeline mc_maze_small '"valid", "test"' "$train, \"$golden/nlb_made_mc_maze_small_test.nwb\"" >"$dir/pair.cfg"
"$LOOM_PROGRAM" run "$dir/pair.cfg" --quiet --threads 1 --out "$dir/pair" >"$dir/said" 2>&1 &&
    grep -c '"n": 0$' "$dir/pair/metrics.json" >"$dir/empty"
[ "$(cat "$dir/empty")" = 2 ]
result 1 "what the test file lacks is in no metric of the run" $?

"$LOOM_PROGRAM" export "$dir/pair" --nlb --out "$dir/s.h5" >"$dir/said" 2>&1 &&
    "$LOOM_PROGRAM" eval --nlb "$dir/s.h5" "$golden/nlb_made_mc_maze_small_test_20.h5" >"$dir/said" 2>&1 &&
    [ "$(grep -cE '\[100\] (co-bps|vel R2|psth R2|fp-bps) +-?[0-9]' "$dir/said")" -eq 4 ]
result 2 "a submission for the test file has all that is scored" $?

"$LOOM_PROGRAM" export "$dir/pair" --nlb --split valid --out "$dir/s.h5" >"$dir/said" 2>&1 &&
    "$LOOM_PROGRAM" eval --nlb "$dir/s.h5" "$golden/nlb_made_mc_maze_small_20.h5" >"$dir/said" 2>&1 &&
    [ "$(grep -cE '\[100\] (co-bps|vel R2|psth R2|fp-bps) +-?[0-9]' "$dir/said")" -eq 4 ]
result 3 "the same run has one for the validation" $?

# A set's training file with another's test file, and the two as recordings of their own.
"$LOOM_PROGRAM" run "$dir/pair.cfg" --quiet --threads 1 --out "$dir/apart" data.join=none \
    stages.evaluate.splits='("valid")' >"$dir/said" 2>&1
! "$LOOM_PROGRAM" export "$dir/apart" --nlb --out "$dir/x.h5" >"$dir/said" 2>&1 && grep -q 'data.join' "$dir/said"
result 4 "a test file that is not joined is refused, with the remedy" $?

"$LOOM_PROGRAM" run "$dir/pair.cfg" --quiet --threads 1 --out "$dir/wrong" data.held_out_file=false \
    data.held_out_names='("unit4")' >"$dir/said" 2>&1
! "$LOOM_PROGRAM" export "$dir/wrong" --nlb --out "$dir/x.h5" >"$dir/said" 2>&1 &&
    grep -q 'lacks unit unit1, which is not held out' "$dir/said"
result 5 "a file that lacks a unit which is seen is refused" $?

pipeline mc_rtt '"valid"' "\"$golden/nlb_made_mc_rtt.nwb\"" >"$dir/rtt.cfg"
"$LOOM_PROGRAM" run "$dir/rtt.cfg" --quiet --threads 1 --out "$dir/rtt" >"$dir/said" 2>&1 &&
    "$LOOM_PROGRAM" export "$dir/rtt" --nlb --out "$dir/r.h5" >"$dir/said" 2>&1 &&
    "$LOOM_PROGRAM" eval --nlb "$dir/r.h5" "$golden/nlb_made_mc_rtt_20.h5" >"$dir/said" 2>&1 &&
    grep -qE 'fp-bps +-?[0-9]' "$dir/said"
result 6 "segments without a gap between them have bins to come" $?

# A model of rates alone: what the run says of velocity is what nlb_tools' targets make of its submission.
value() { sed -n "s/^ *\"$2\": \([-0-9.e]*\).*/\1/p" "$1" | head -n 1; }
pipeline mc_maze_small '"valid"' "$train" >"$dir/velocity.cfg"
"$LOOM_PROGRAM" run "$dir/velocity.cfg" --quiet --threads 1 --out "$dir/velocity" data.resample_ms=20.0 \
    'stages.evaluate.metrics=("vel_r2")' stages.evaluate.behavior=hand_vel stages.evaluate.behavior_lag_ms=120.0 \
    'stages.evaluate.objectives=({plugin="all";shown=true;})' >"$dir/said" 2>&1 &&
    "$LOOM_PROGRAM" export "$dir/velocity" --nlb --out "$dir/v.h5" >"$dir/said" 2>&1 &&
    "$LOOM_PROGRAM" eval --nlb "$dir/v.h5" "$golden/nlb_made_mc_maze_small_20.h5" --json >"$dir/said" 2>&1 &&
    awk "BEGIN { away = $(value "$dir/velocity/metrics.json" mean) - $(value "$dir/said" '\[100\] vel R2');
                 exit !(away < 1e-6 && away > -1e-6) }"
result 7 "velocity decoded in a run is the benchmark's of its submission" $?
