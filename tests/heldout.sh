#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Held-out units and forward bins are a convention of the core: whichever objective reconstructs, and a baseline too, is
# asked for the same held-out counts, sees none of them, and scores on the same spikes.
: "${LOOM_PROGRAM:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
echo 1..6

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
