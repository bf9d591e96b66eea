#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TensorBoard's own reader finds in a run's events what its log says, each step once, also after a kill and a resume.
# LOOM_PYTHON: a Python that has tensorboard.
: "${LOOM_PROGRAM:?}" "${top_srcdir:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
echo 1..5

run() { "$LOOM_PROGRAM" run "$@" --quiet; }
check() { # what, status
    number=$((number + 1))
    if test "$2" -eq 0; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
}
read_back() { # run, what
    "${LOOM_PYTHON:-python3}" "$top_srcdir/tests/peers/events.py" "$1" >"$dir/said" 2>&1
    status=$?
    if test $status -eq 77; then
        number=$((number + 1))
        echo "ok $number - $2 # SKIP $(tail -n 1 "$dir/said")"
    else
        test $status -eq 0 || sed 's/^/# /' "$dir/said"
        check "$2" $status
    fi
}

run "$top_srcdir/tests/tiny.cfg" --out "$dir/off" && ! ls "$dir"/off/events* 2>/dev/null
check "no events unless they are asked for" $?

run "$top_srcdir/tests/tiny.cfg" events=true --out "$dir/whole"
read_back "$dir/whole" "a run's events are its log"

# A run as a kill leaves it: behind its last checkpoint both files went on, the events' last record is torn.
cp -r "$dir/whole" "$dir/killed"
rm -rf "$dir/killed/checkpoints/decode" "$dir/killed/metrics.json"
mkdir "$dir/killed/checkpoints/decode"
printf 'torn' >>"$dir/killed/events.out.tfevents.loom"
steps() { grep -c '"step":12,' "$1/log.jsonl"; }
run --resume "$dir/killed" && test "$(steps "$dir/whole")" -gt 0 && test "$(steps "$dir/killed")" -eq "$(steps "$dir/whole")"
check "a run that was killed goes on" $?
# Records of one tag are of one length: a lost or a second one shows without a reader.
test "$(wc -c <"$dir/whole/events.out.tfevents.loom")" -eq "$(wc -c <"$dir/killed/events.out.tfevents.loom")"
check "its events are as many bytes as those of a run that was not" $?
read_back "$dir/killed" "and says no step twice"
