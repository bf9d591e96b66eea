#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An ablation ends with the same table however often it is killed; cells that are tested on something else are refused; one
# that fails does not stop the others. KILLS (10) says how often it is killed.
: "${LOOM_PROGRAM:?}" "${top_srcdir:?}"
kills=${KILLS:-10}
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
cfg=$top_srcdir/tests/ablate.cfg
echo 1..26

check() { # what, status
    number=$((number + 1))
    if test "$2" -eq 0; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
}

try() { # CODE WORDS COMMAND...
    due=$1 words=$2
    shift 2
    "$LOOM_PROGRAM" "$@" >"$dir/said" 2>&1
    code=$?
    test $code -eq "$due" && grep -q -e "$words" "$dir/said"
    check "$due: $words" $?
    test $code -eq "$due" && grep -q -e "$words" "$dir/said" || sed 's/^/# /' "$dir/said"
}

# What must not depend on how the ablation was carried out: results without what they took.
same() { grep -v '"seconds"\|"flops"' "$1/results.json" | cmp - "$dir/due" && cmp "$1/table.csv" "$dir/one/table.csv"; }

began=$(date +%s%N)
"$LOOM_PROGRAM" ablate "$cfg" --out "$dir/one" --quiet >"$dir/table"
check "it runs" $?
length=$(($(date +%s%N) - began))
grep -v '"seconds"\|"flops"' "$dir/one/results.json" >"$dir/due"
grep -v "^  [nM].*e+" "$dir/table" >"$dir/bare" # without what it took
test "$(grep -c '"n": 2' "$dir/due")" -ge 12 && test "$(wc -l <"$dir/one/seeds.csv")" -eq 17 && grep -q '^\* none' "$dir/table" &&
    grep -q 'MAE .* 2/0 ' "$dir/table" && grep -q '<svg' "$dir/one/report.html" && ! grep -q nan "$dir/one/table.csv"
check "table, CSV and report hold both cells and seeds" $?
cp "$dir/one/report.html" "$dir/before.html" && rm "$dir/one/report.html" && "$LOOM_PROGRAM" report "$dir/one" >"$dir/said" &&
    test "$(grep -o "<[a-z]*" "$dir/one/report.html")" = "$(grep -o "<[a-z]*" "$dir/before.html")" && ! "$LOOM_PROGRAM" report "$dir/one" --out "$dir/x.html" 2>"$dir/said" && grep -q "is an ablation" "$dir/said"
check "its report is made anew" $?
"$LOOM_PROGRAM" run "$top_srcdir/tests/tiny.cfg" stages.pretrain.steps=0 seed=2 --out "$dir/by-hand" --quiet &&
    cmp "$dir/by-hand/metrics.json" "$dir/one/cells/01-none/seed-2/metrics.json"
check "a cell's run is the run that one makes by hand" $?
"$LOOM_PROGRAM" run "$top_srcdir/tests/tiny.cfg" stages.pretrain.steps=0 --seeds 1,2 --out "$dir/seeds" --quiet &&
    cmp "$dir/seeds/metrics.json" "$dir/one/cells/01-none/metrics.json"
check "a cell's folder is a run over seeds" $?
"$LOOM_PROGRAM" ablate "$cfg" --out "$dir/jobs" --jobs 1 --threads 3 --quiet >"$dir/said" && same "$dir/jobs"
check "one at a time with three threads: the same" $?
"$LOOM_PROGRAM" ablate --resume "$dir/jobs" --quiet >"$dir/said" && same "$dir/jobs" && sed "s|/jobs/|/one/|" "$dir/said" | grep -v "^  [nM].*e+" | cmp - "$dir/bare"
check "resumed when all is done: nothing changes" $?

# Killed with all that it started, at moments spread over its length, and resumed.
killed=0 failed=0 round=0
while test $killed -lt "$kills" && test $failed -eq 0; do
    round=$((round + 1))
    if test -e "$dir/k/ablation.cfg"; then
        setsid "$LOOM_PROGRAM" ablate --resume "$dir/k" --jobs $((round % 2 + 1)) >"$dir/said" 2>&1 &
    else
        setsid "$LOOM_PROGRAM" ablate "$cfg" --out "$dir/k" --jobs $((round % 2 + 1)) >"$dir/said" 2>&1 &
    fi
    pid=$!
    sleep "$(awk -v r=$round -v l="$length" 'BEGIN { srand(r); printf "%.3f", l * 1e-9 * (0.1 + 0.5 * rand()) }')"
    kill -9 -$pid 2>/dev/null || kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    case $? in
    137) killed=$((killed + 1)) ;;
    0)
        same "$dir/k" || failed=1
        rm -rf "$dir/k"
        ;;
    *) failed=1 && sed 's/^/# /' "$dir/said" ;;
    esac
done
if test -e "$dir/k/ablation.cfg"; then
    "$LOOM_PROGRAM" ablate --resume "$dir/k" --quiet >"$dir/said" 2>&1
else
    "$LOOM_PROGRAM" ablate "$cfg" --out "$dir/k" --quiet >"$dir/said" 2>&1
fi
test $? -eq 0 && test $failed -eq 0 && same "$dir/k"
check "killed $killed times and resumed, the same table" $?

# Interrupted: cells save, and nothing runs on.
"$LOOM_PROGRAM" ablate "$cfg" --out "$dir/i" 'set=("stages.pretrain.steps=100000")' >"$dir/said" 2>&1 &
pid=$!
while ! ls "$dir"/i/cells/*/seed-1/checkpoints/pretrain/last.safetensors >/dev/null 2>&1 && kill -0 $pid; do sleep 0.05; done
kill -INT $pid
wait $pid
test $? -eq 1 && grep -q "go on with --resume" "$dir/said" && grep -q stopped "$dir/i/status" &&
    grep -q stopped "$dir/i/cells/02-MAE/seed-1/status" && ! test -e "$dir/i/results.json"
check "interrupted: everything is saved" $?

# What runs were tested on goes by more than their keys: the spans of the split, and what the recordings hold.
tested() { grep -F "$2" "$1/identity.json"; }
for key in data.split.seed=2 data.units=13; do
    "$LOOM_PROGRAM" run "$top_srcdir/tests/tiny.cfg" stages.pretrain.steps=1 stages.decode.steps=1 $key --out "$dir/$key" --quiet
done
cell=$dir/one/cells/02-MAE
tested "$cell" "(its spans)" | grep -q '[1-9][0-9]* spans, checksum [0-9a-f]\{8\}"' &&
    tested "$cell" "(what they hold)" | grep -q '[1-9][0-9]* recordings, checksum [0-9a-f]\{8\}"' &&
    test "$(tested "$dir/data.split.seed=2" "(its spans)")" != "$(tested "$cell" "(its spans)")" &&
    test "$(tested "$dir/data.split.seed=2" "(what they hold)")" = "$(tested "$cell" "(what they hold)")" &&
    test "$(tested "$dir/data.units=13" "(what they hold)")" != "$(tested "$cell" "(what they hold)")"
check "a run says what it was tested on" $?
sed -i 's/"data.bin_ms": "50.0"/"data.bin_ms": "20.0"/; /data.crop_jitter/d' "$dir/one/cells/02-MAE/identity.json"
try 3 "cell 'MAE'.*changed since it was begun: data.bin_ms was 20.0 and is 50.0" ablate --resume "$dir/one"

# A failing cell, and what is wrong with a file.
axis() { printf 'name = "x"; pipeline = "%s/tests/tiny.cfg"; set = ( "stages.pretrain.steps=1", "stages.decode.steps=1" );\nseeds = ( 1 ); %s\naxes: ( { name = "a"; %s values: ( { label = "one"; }, { label = "two"; set = ( "%s" ); } ); } );\n' "$top_srcdir" "$3" "$2" "$1" >"$dir/x.cfg"; }
try 2 "ablate.cfg:6.*loom ablate runs it" run "$cfg" --out "$dir/a"
axis "stages.decode.monitor=bits_per_spike"
try 1 "FAILED two, seed 1: monitor = .bits_per_spike. does not fit" ablate "$dir/x.cfg" --out "$dir/f"
"$LOOM_PROGRAM" ablate --resume "$dir/f" >"$dir/said" 2>&1
test $? -eq 1 && grep -q '^\* one  *-*[0-9]' "$dir/said" && grep -q '"done": 1' "$dir/f/results.json"
check "the other cell has its row" $?
axis "data.bin_ms=25.0"
try 2 "cell 'two' is not tested like cell 'one': data.bin_ms is 25.0 here and 50.0 there.*varies_data" ablate "$dir/x.cfg" --out "$dir/a"
axis "data.bin_ms=25.0" "varies_data = true;"
try 0 "tested alike" ablate "$dir/x.cfg" --dry
axis "stages.evaluate.splits=valid"
try 2 "stages.evaluate.splits is .* there; make them equal" ablate "$dir/x.cfg" --out "$dir/a"
axis "stages.evaluate.splits=valid" "varies_test = true;"
sed -i 's/^axes: (/&  { name = "b"; values: ( { label = "i"; }, { label = "ii"; set = ( "seed=9" ); } ); },/' "$dir/x.cfg"
"$LOOM_PROGRAM" ablate "$dir/x.cfg" --out "$dir/g" --quiet >"$dir/said" 2>&1
test $? -eq 0 && test "$(sed -n '/^evaluate, test split: r2/,/^$/p' "$dir/said" | grep -c '^\* ')" -eq 2 &&
    grep -q '"a": 3' "$dir/g/results.json" && ! tr -d ' \n' <"$dir/g/results.json" | grep -q '"a":[0-9],"b":[^01],\|"a":3,"b":0,\|"a":2,"b":1,'
check "values of an axis that are tests of their own have references of their own" $?
axis "stages.decode.setps=1"
try 2 "cell 'two'.*setps.*steps" ablate "$dir/x.cfg" --out "$dir/a"
axis "seed=1" "vary_data = true;"
try 2 "x.cfg:3.*vary_data.*varies_data" ablate "$dir/x.cfg" --out "$dir/a"
axis "seed=1" "" 'reference = ( "tow" );'
try 2 "x.cfg:2.*axis 'a' has no value 'tow': write 'two'" ablate "$dir/x.cfg" --out "$dir/a"
axis "seed=1" "" 'metrics = ( "evaluate.test.r3" );'
try 2 "x.cfg:2.*does not measure evaluate.test.r3: write evaluate.test.r2" ablate "$dir/x.cfg" --out "$dir/a"
test ! -e "$dir/a"
check "nothing is made before all is checked" $?

for name in mae-cae pretraining matrix; do
    try 0 "tested alike" ablate "$top_srcdir/pipelines/ablate-$name.cfg" --dry
done
