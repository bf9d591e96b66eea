#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A model that is asked for what it sees scores below the true rates, which nothing honest can; under coordinated dropout it
# stays above them, and below what it began with.
set -u
: "${LOOM_PROGRAM:?}" "${top_srcdir:?}"
echo 1..4
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
export LOOM_CACHE=$dir/cache
if ! "$LOOM_PROGRAM" run "$top_srcdir/pipelines/cd.cfg" --out "$dir/run" data.trials=400 \
    stages.copy.steps=350 stages.cd.steps=250 stages.copy.batch=16 stages.cd.batch=16 stages.copied.predictions=false \
    stages.cured.predictions=false >"$dir/said" 2>&1; then
    sed 's/^/# /' "$dir/said"
    echo "Bail out! the pipeline did not run"
    exit 1
fi
# The last validation of a stage: its loss and that of the true rates.
last() { sed -nE "s/.*\"valid\",\"stage\":\"$1\".*\"loss\":([^,]*),.*\"truth\":([^}]*)}.*/\1 \2/p" "$dir/run/log.jsonl" | tail -1; }
holds() { # NUMBER WHAT CONDITION LOSS TRUTH
    if awk -v loss="${4:-nan}" -v truth="${5:-nan}" "BEGIN { exit !(loss > 0 && truth > 0 && $3) }"; then
        echo "ok $1 - $2"
    else
        echo "not ok $1 - $2: loss ${4:-none}, truth ${5:-none}"
    fi
}
read -r loss truth < <(last copy)
holds 1 "a model that sees what it is asked for looks better than the truth" "loss < 0.9 * truth" "$loss" "$truth"
read -r loss truth < <(last cd)
holds 2 "coordinated dropout stays above the truth" "loss >= truth" "$loss" "$truth"
holds 3 "and comes near it" "loss < 1.12 * truth" "$loss" "$truth"
if grep -q '"truth"' "$dir/run/metrics.json" && grep -q 'true rates, validation' "$dir/run/report.html"; then
    echo "ok 4 - the truth stands in metrics and report"
else
    echo "not ok 4 - the truth stands in metrics and report"
fi
