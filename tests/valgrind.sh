#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The loader and a plugin of each kind under valgrind: no value that was never set, no memory that is not theirs, none lost.
# Sanitizers see more of what they were compiled into; valgrind sees every library too. Run by make check-valgrind.
: "${LOOM_PROGRAM:?}" "${top_builddir:?}"
if ! valgrind --version >/dev/null 2>&1; then
    echo "1..0 # SKIP valgrind is not installed"
    exit 0
fi
plugins=(source/sim tokenizer/bins tokenizer/ndt2 backbone/vit objective/mae baseline/wiener)
out=$(mktemp) || exit 99
trap 'rm -f "$out"' EXIT
echo "1..$((${#plugins[@]} + 1))"
if CK_FORK=no valgrind -q --error-exitcode=9 --child-silent-after-fork=yes "$top_builddir/tests/test_plugin" >"$out" 2>&1; then
    echo "ok 1 - the loader, $(grep -c '^ok' "$out") tests"
else
    grep -v '^ok' "$out" | sed 's/^/# /'
    echo "not ok 1 - the loader"
fi
"$LOOM_PROGRAM" conform --level pedantic --only leak-valgrind --timeout 120 --tap "${plugins[@]}" >"$out" 2>&1
grep -E '^(ok|not ok|#)' "$out" | awk '/^(ok|not ok)/ { sub(/ok [0-9]+/, "ok " ++n + 1) } { print }'
