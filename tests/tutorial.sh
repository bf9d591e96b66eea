#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/write-a-tokenizer.md as its reader does it, with what was installed: blocks that begin with a file's name become that
# file, "continued" ones are added to it, and blocks of `sh` are run in their order. Stages are cut to some steps, and
# seeds to two. Run by make installcheck.
: "${bindir:?}" "${top_srcdir:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
export LOOM_CACHE=$dir/cache PATH=$bindir:$PATH PKG_CONFIG_PATH MAKEFLAGS=
unset LOOM_PLUGIN_PATH LOOM_LIBEXEC
cd "$dir" || exit 99
mkdir blocks work
# Block N of the page: blocks/N, its first line the language.
awk '/^```[a-z]/ { n++; on = 1; file = sprintf("blocks/%02d", n); print substr($0, 4) > file; next }
     /^```$/ { on = 0 } on { print > file }' "$top_srcdir/docs/write-a-tokenizer.md"
cd work || exit 99
failures=0
for block in "$dir"/blocks/*; do
    what=$(sed -n 1p "$block") first=$(sed -n 2p "$block")
    case $what in
    sh)
        # A block may change folder for those behind it.
        tail -n +2 "$block" >"$dir/script"
        # shellcheck disable=SC2016
        echo 'pwd >"$OLDDIR/folder"' >>"$dir/script"
        if OLDDIR=$dir bash -eu "$dir/script" >"$dir/said" 2>&1; then
            echo "ok - $(sed -n 2p "$block")"
        else
            echo "not ok - $first"
            tail -n 20 "$dir/said" | sed 's/^/# /'
            failures=$((failures + 1))
        fi
        cd "$(cat "$dir/folder")" || exit 99
        ;;
    *)
        file=$(sed -nE '2s,^(/\* |# )([a-z.]+).*,\2,p' "$block")
        [ -n "$file" ] || { echo "not ok - a block of $what without the name of a file"; exit 1; }
        case $first in
        *continued*) tail -n +3 "$block" >>"$file" ;;
        *) tail -n +3 "$block" >"$file" ;;
        esac
        case $file in
        *.cfg) sed -Ei 's/\bsteps = [0-9]+/steps = 20/; s/^seeds = .*/seeds = ( 1, 2 );/' "$file" ;;
        esac
        ;;
    esac
done
if grep -q '"wiener"' patches.run/metrics.json && grep -q patches tokens.run/table.csv; then
    echo "ok - the table shows the tokenizer"
else
    echo "not ok - the table shows the tokenizer"
    failures=$((failures + 1))
fi
# The mistake that the page proposes is seen by the check that it names.
sed -i 's/r \* p->bins + (i - ask->first_elem\[r\])/r * p->bins/' patches.c
if make >"$dir/said" 2>&1 && ! loom conform --only tok-answers ./patches.so >"$dir/said" 2>&1 && grep -q 'failed  *tok-answers' "$dir/said"; then
    echo "ok - the proposed mistake is caught"
else
    echo "not ok - the proposed mistake is caught"
    tail -n 20 "$dir/said" | sed 's/^/# /'
    failures=$((failures + 1))
fi
exit $failures
