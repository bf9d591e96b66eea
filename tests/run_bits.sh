#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A run's bits do not depend on the number of workers, on whether plans are made ahead, on the kernels that OpenBLAS picks, or on being killed and resumed.
# KILLS (20) says how often the run is killed.
: "${LOOM_PROGRAM:?}" "${top_srcdir:?}"
kills=${KILLS:-20}
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
echo 1..8

check() { # what, status
    number=$((number + 1))
    if test "$2" -eq 0; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
}

# Tensor bytes of a checkpoint: what stands behind its header, which holds the time that training took.
bytes() {
    for f in "$1"/checkpoints/*/last.safetensors "$1"/checkpoints/*/best.safetensors; do
        tail -c +$(($(od -An -tu8 -N8 "$f" | tr -d ' ') + 9)) "$f" | cksum
    done
    cat "$1/metrics.json"
    sed -n 's/.*"stage":"\([^"]*\)","step":\([0-9]*\),"\(loss\|r2\)":\([^,]*\),.*/\1 \2 \3 \4/p' "$1/log.jsonl"
}

run() { "$LOOM_PROGRAM" run "$top_srcdir/tests/tiny.cfg" --quiet "$@"; }

run --out "$dir/one" --threads 1 && bytes "$dir/one" >"$dir/one.txt" && test "$(wc -l <"$dir/one.txt")" -gt 40 &&
    grep -q wiener "$dir/one/metrics.json" && ! grep -q ": null" "$dir/one/metrics.json"
check "one worker; every metric is a number, the baseline's too" $?
for n in 2 4; do
    run --out "$dir/t$n" --threads $n && bytes "$dir/t$n" | cmp - "$dir/one.txt"
    check "$n workers, the same bits" $?
done
LOOM_PREFETCH=0 run --out "$dir/p0" --threads 2 && bytes "$dir/p0" | cmp - "$dir/one.txt"
check "plans made in turn, the same bits" $?

OPENBLAS_CORETYPE=Haswell run --out "$dir/h1" --threads 1 && OPENBLAS_CORETYPE=Haswell run --out "$dir/h3" --threads 3 &&
    bytes "$dir/h1" >"$dir/h1.txt" && bytes "$dir/h3" | cmp - "$dir/h1.txt"
check "OpenBLAS's AVX2 kernels: one and three workers, the same bits" $?

# Killed at moments spread over a run's length, whatever it is doing then, and resumed with changing numbers of workers.
# Enough of the resumed runs must have found a checkpoint for the test to mean anything, so on a machine that is busier
# or idler by now the moments come later or earlier.
began=$(date +%s%N)
run --out "$dir/length"
length=$(($(date +%s%N) - began))
killed=0 failed=0 round=0 found=0
: >"$dir/said"
while test $failed -eq 0 && { test $killed -lt "$kills" || { test "$found" -le $((kills / 5)) && test $killed -lt $((4 * kills)); }; }; do
    round=$((round + 1))
    threads=$((round % 3 + 1))
    if test -e "$dir/k/pipeline.cfg"; then
        exec "$LOOM_PROGRAM" run --resume "$dir/k" --threads $threads
    else
        exec "$LOOM_PROGRAM" run "$top_srcdir/tests/tiny.cfg" --out "$dir/k" --threads $threads
    fi >>"$dir/said" &
    pid=$!
    sleep "$(awk -v r=$round -v l="$length" 'BEGIN { srand(r); printf "%.3f", l * 1e-9 * (0.15 + 0.6 * rand()) }')"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    case $? in
    137)
        killed=$((killed + 1))
        before=$found
        found=$(grep -c "goes on from step" "$dir/said")
        test "$found" -gt "$before" || length=$((length * 5 / 4))
        ;;
    0)
        bytes "$dir/k" | cmp - "$dir/one.txt" || failed=1
        rm -rf "$dir/k"
        length=$((length * 4 / 5))
        ;;
    *) failed=1 ;;
    esac
done
if test -e "$dir/k/pipeline.cfg"; then "$LOOM_PROGRAM" run --resume "$dir/k" --quiet; else run --out "$dir/k"; fi
test $? -eq 0 && test $failed -eq 0 && bytes "$dir/k" | cmp - "$dir/one.txt"
check "killed $killed times and resumed, the same bits" $?
found=$(grep -c "goes on from step" "$dir/said")
test "$found" -gt $((kills / 5))
check "stages went on from a checkpoint $found times" $?

# Enough checkpoints that a kill leaves one behind.
LOOM_KERNELS=baseline "$LOOM_PROGRAM" run "$top_srcdir/tests/tiny.cfg" --out "$dir/other" stages.pretrain.steps=100000 \
    stages.pretrain.checkpoint_every=5 >"$dir/said" &
pid=$!
while test ! -e "$dir/other/checkpoints/pretrain/last.safetensors" && kill -0 $pid; do sleep 0.1; done
kill -9 $pid
wait $pid 2>/dev/null
"$LOOM_PROGRAM" run --resume "$dir/other" >"$dir/said" &
pid=$!
while ! grep -q "goes on from step" "$dir/said" && kill -0 $pid; do sleep 0.1; done
kill -9 $pid
wait $pid 2>/dev/null
grep -q "with kernels 'baseline' so far, goes on with" "$dir/said"
check "kernels of another kind do not go on unnoticed" $?
