#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite catches what it claims to catch: every plugin in tests/broken is wrong in one way, and a line
# near the top of its source says which check must see that, how, and which others may see it too:
#     breaks: CHECK-ID [(failed|crashed|hung|warned)] [; may break: CHECK-ID, CHECK-ID]
# `may break: *` runs the named check alone: for plugins that crash or hang wherever they are used. leak-valgrind, which
# takes long, is run where it is named alone. With NAMED_ALONE set no plugin sees other checks than its own. BREAKS: the
# plugins that break this check alone. Two checks are of one kind of build: leak-asan of those with AddressSanitizer,
# grad-fd-elem of those in double precision; what breaks them is skipped elsewhere.
: "${LOOM_PROGRAM:?}" "${top_srcdir:?}" "${top_builddir:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
export LOOM_CACHE=$dir/cache TMPDIR=$dir/tmp
mkdir "$TMPDIR"
built=$top_builddir/tests/broken/.libs
# A sanitizer makes everything slow; TEST_PATIENCE says so.
limit=$((${CK_TIMEOUT_MULTIPLIER:-4} > 4 ? 20 : 5))
shopt -s nullglob

# conform FILE WORDS...: verdicts as "CHECK OUTCOME", one a line; reasons in $dir/said.
conform() {
    "$LOOM_PROGRAM" conform --level pedantic --timeout $limit --json "$@" >"$dir/said" 2>&1
    sed -nE 's/.*"check": "([^"]*)".*"outcome": "([^"]*)".*/\1 \2/p' "$dir/said"
}

number=0
verdict() { # WHAT FAULTS [SKIPPED]
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1${3:+ # SKIP $3}"
    else
        echo "not ok $number - $1"
        { echo "$2" && head -c 2000 "$dir/said"; } | sed 's/^/# /'
        echo
    fi
}

# The source of module NAME: NAME.c, or the longest beginning of NAME that is one (block_max_rank is of block.c).
source_of() {
    local stem=$1
    while [ ! -e "$top_srcdir/tests/broken/$stem.c" ] && [ "$stem" != "${stem%_*}" ]; do stem=${stem%_*}; done
    echo "$top_srcdir/tests/broken/$stem.c"
}

# look FILE CHECK OUTCOME OTHERS: what is wrong with the suite's findings; nothing if they are as due.
look() {
    local file=$1 check=$2 outcome=$3 others=${NAMED_ALONE:+*} id found verdicts
    others=${others:-$4}
    case $others in
    '*') verdicts=$([ "$check" != leak-valgrind ] || limit=60; conform --only "$check" "$file") ;;
    *) verdicts=$(conform --skip leak-valgrind "$file") ;;
    esac
    found=$(awk -v id="$check" '$1 == id { print $2 }' <<<"$verdicts")
    [ "$check $found" != "leak-valgrind skipped" ] || return # valgrind is not installed
    # A sanitizer ends the process where the check would have said why; what it makes impossible is not run.
    case " $outcome ${NAMED_ALONE:+crashed nothing} " in
    *" ${found:-nothing} "*) ;;
    *) echo "$check says '${found:-nothing}', due is one of: $outcome" ;;
    esac
    while read -r id found; do
        case $found in failed | crashed | hung) ;; *) continue ;; esac
        case ",$check,$others," in *",$id,"*) ;; *) echo "$id $found, which has nothing to do with it" ;; esac
    done <<<"$verdicts"
}

# Why the build of this program has no such check; nothing where it has it, or must.
missing() { # CHECK FILE
    case "$1 $BREAKS$NAMED_ALONE" in
    "leak-asan ") [ -n "$(conform --only "$1" "$2")" ] || echo "needs a build with --enable-sanitizers=address" ;;
    "grad-fd-elem "*) [ -n "$BREAKS$(conform --only "$1" "$2")" ] || echo "needs a build with --enable-double" ;;
    esac
}

broken=()
for so in "$built"/*.so; do
    name=$(basename "$so" .so)
    head -n 12 "$(source_of "$name")" | grep -q "breaks: ${BREAKS:+$BREAKS\\b}" && broken+=("$name")
done
least=${BREAKS:+1}
[ ${#broken[@]} -ge "${least:-11}" ] || { echo "Bail out! only ${#broken[@]} broken plugins in $built"; exit 1; }
files=${BREAKS:+0}
echo "1..$((${#broken[@]} + ${files:-9}))"

for name in "${broken[@]}"; do
    line=$(head -n 12 "$(source_of "$name")" | sed -n 's/^.*breaks: //p' | sed 's| *\*/ *$||' | head -n 1)
    check=${line%%[ ;]*}
    outcome=$(sed -nE 's/^[^;]*\(([a-z]+)\).*/\1/p' <<<"$line")
    others=$(sed -nE 's/.*may break: (.*)/\1/p' <<<"$line" | tr -d ' ')
    lacks=$(missing "$check" "$built/$name.so")
    due=${outcome:-failed}
    [ -z "$lacks" ] || due=nothing # and no other check sees it
    # A sanitizer is slow with every number.
    [ "$check ${NAMED_ALONE:-0}" != "denormal-time 1" ] || due+=" passed"
    verdict "$name: $check ${outcome:-failed}" "$(look "$built/$name.so" "$check" "$due" "$others")" "$lacks"
done
[ -z "$BREAKS" ] || exit 0

# ---- files that no compiler made ----

says() { # WHAT FILE WORDS [CHECK]: refused by abi-build-block, or that check, and the reason holds the words
    local faults
    faults=$(look "$2" "${4:-abi-build-block}" failed "")
    grep -q -e "$3" "$dir/said" || faults+=" the reason does not say '$3'"
    verdict "$1" "$faults"
}

sound=$built/sound.so
echo 'int main(void) { return 0; }' >"$dir/text.so"
says "a text" "$dir/text.so" "not a shared object"
: >"$dir/nothing.so"
says "an empty file" "$dir/nothing.so" "not a shared object"
mkdir "$dir/folder.so"
says "a folder" "$dir/folder.so" "is a folder"
size=$(wc -c <"$sound")
head -c $((size / 2)) "$sound" >"$dir/short.so"
says "half a file" "$dir/short.so" "cut short"
cp "$sound" "$dir/foreign.so"
printf '\x15\x00' | dd of="$dir/foreign.so" bs=1 seek=18 conv=notrunc 2>/dev/null # EM_PPC64
says "another architecture" "$dir/foreign.so" "another kind of processor"
mkfifo "$dir/pipe.so"
says "a pipe" "$dir/pipe.so" "not a regular file"
LC_ALL=C sed 's/libloom\.so/libgone.so/' "$sound" >"$dir/sound.so"
says "a library that is not there" "$dir/sound.so" "libgone.so" load-now-local
verdict "a file that is not there" "$(
    conform "$dir/absent.so" >/dev/null
    grep -q "there is no such file" "$dir/said" || echo "is not said to be absent")"

verdict "those that died left no files" "$(ls "$TMPDIR" | grep loom-conform)"
