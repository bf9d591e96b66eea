#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Held-out units and forward bins are a convention of the core: whichever objective reconstructs, and a baseline too, is
# asked for the same held-out counts, sees none of them, and scores on the same spikes.
: "${LOOM_PROGRAM:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
echo 1..10

pipeline() { # objective, backbone
    cat <<END
name = "held";
data: { source = "sim"; kind = "lorenz"; trials = 16; units = 12; conditions = 4; bin_ms = 20.0; window = "trial";
        post_ms = 800.0; forward_ms = 200.0; held_out = 0.25;
        split: { by = "trial"; train = 0.5; valid = 0.25; test = 0.25; }; };
tokenizer: { plugin = "bins"; };
backbone: { plugin = "$2"; width = 8; depth = 1; heads = 2; };
stages: ( { name = "learn"; objectives: ( { plugin = "$1"; } ); steps = 2; batch = 4; },
          { name = "evaluate"; from = "learn"; metrics = ( "co_bps", "fp_bps" ); against = ( "glm" ); bootstrap = 50; shuffles = 20; } );
END
}

# The spikes that each metric is over, the model's and the baseline's.
counts() { sed -n 's/^ *"n": \([0-9]*\),*$/\1/p' "$1/metrics.json" | tr '\n' ' '; }

number=0
for pair in mae:vit cd:vit cae:cae; do
    objective=${pair%:*}
    pipeline "$objective" "${pair#*:}" >"$dir/$objective.cfg"
    "$LOOM_PROGRAM" run "$dir/$objective.cfg" --quiet --threads 1 --out "$dir/$objective" 2>"$dir/said"
    counts "$dir/$objective" >"$dir/$objective.n"
    number=$((number + 1))
    # co_bps, its shuffles, fp_bps, its shuffles, the baseline's two
    # shellcheck disable=SC2046
    set -- $(cat "$dir/$objective.n")
    if [ $# -eq 6 ] && [ "$1" -gt 0 ] && [ "$3" -gt 0 ] && [ "$5" -eq "$1" ] && [ "$6" -eq "$3" ] &&
        cmp -s "$dir/$objective.n" "$dir/mae.n"; then
        echo "ok $number - $objective is asked for what is held out"
    else
        sed 's/^/# /' "$dir/said" "$dir/$objective.n"
        echo "not ok $number - $objective is asked for what is held out"
    fi
    number=$((number + 1))
    if "$LOOM_PROGRAM" check "$dir/$objective.cfg" 2>&1 | grep -q '^ *held out *passed'; then
        echo "ok $number - $objective sees none of it"
    else
        echo "not ok $number - $objective sees none of it"
    fi
done

# Velocity decoded from rates of a model that is asked for nothing else: of the model with an interval and shuffles, of a
# baseline and of the true rates. Refused before training where no behaviour is named or there is none, and as what
# training watches.
velocity() { # options of the evaluation, option of the training stage
    cat <<END
name = "velocity";
data: { source = "sim"; kind = "reach"; truth = true; trials = 30; units = 12; turnover = 0.0; bin_ms = 20.0;
        window = "trial"; align = "go"; post_ms = 400.0; forward_ms = 100.0; held_out = 0.25;
        split: { by = "trial"; train = 0.6; valid = 0.1; test = 0.3; }; };
tokenizer: { plugin = "bins"; };
backbone: { plugin = "vit"; width = 8; depth = 1; heads = 2; };
stages: ( { name = "learn"; objectives: ( { plugin = "cd"; over = "hidden"; evaluate = "seen"; } ); steps = 2; batch = 4; $2 },
          { name = "evaluate"; from = "learn"; truth = "rates"; metrics = ( "vel_r2" ); against = ( "glm" ); bootstrap = 50; shuffles = 20; $1 } );
END
}
velocity 'behavior = "handVel";' "" >"$dir/velocity.cfg"
velocity "" "" >"$dir/unnamed.cfg"
velocity 'behavior = "pupil";' "" >"$dir/absent.cfg"
velocity 'behavior = "handVel";' 'monitor = "vel_r2";' >"$dir/watch.cfg"
"$LOOM_PROGRAM" run "$dir/velocity.cfg" --quiet --threads 1 --out "$dir/velocity" >"$dir/said" 2>&1
# Means of the model, its shuffles, the baseline and the truth: two steps teach nothing, and the truth knows.
# shellcheck disable=SC2046
set -- $(sed -n 's/^ *"mean": \([-0-9.e]*\),*$/\1/p' "$dir/velocity/metrics.json")
if [ $# -eq 4 ] && echo "$1 $3 $4" | awk '{ exit !($1 < 0.2 && $2 < 0.2 && $3 > 0.3 && $3 < 1) }' &&
    grep -c '"variance_weighted"' "$dir/velocity/metrics.json" | grep -qx 3 &&
    grep -c '"interval"' "$dir/velocity/metrics.json" | grep -qx 4 &&
    grep -c '"units": 12' "$dir/velocity/metrics.json" | grep -qx 3; then
    echo "ok 7 - velocity is decoded from rates"
else
    sed 's/^/# /' "$dir/said" "$dir/velocity/metrics.json"
    echo "not ok 7 - velocity is decoded from rates"
fi
number=7
refuses() { # pipeline, what is said, name
    number=$((number + 1))
    if "$LOOM_PROGRAM" run "$dir/$1.cfg" --quiet --threads 1 --out "$dir/$1" >"$dir/said" 2>&1 ||
        ! grep -q "$2" "$dir/said" || [ -e "$dir/$1/checkpoints" ]; then
        sed 's/^/# /' "$dir/said"
        echo "not ok $number - $3"
    else
        echo "ok $number - $3"
    fi
}
refuses unnamed 'vel_r2 decodes a behaviour from rates: say which' "a behaviour to decode is named"
refuses absent 'no series "pupil"; it has' "and there is one before anything is trained"
refuses watch 'an evaluation stage alone' "training does not watch it"
