#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tests of the tensor engine on every set of kernels beside the one that this processor chooses, which all others use.
: "${LOOM_PROGRAM:?}" "${KERNEL_TESTS:?}"
read -ra programs <<<"$KERNEL_TESTS"
chosen=$(unset LOOM_KERNELS && "$LOOM_PROGRAM" --version | sed -n 's/^kernels: //p')
sets=()
for set in avx512 avx2 baseline reference; do
    [ "$set" = "$chosen" ] || sets+=("$set")
done
number=0

say() { # VERDICT WHAT
    number=$((number + 1))
    echo "$1 $number - $2"
}

echo "1..$((1 + ${#sets[@]} * ${#programs[@]}))"
if LOOM_KERNELS=avx3 "$LOOM_PROGRAM" --version | grep -q "take one of .*did you mean 'avx2'"; then
    say ok "a set that is not there is refused with those that are"
else
    say "not ok" "a set that is not there is refused with those that are"
fi
for set in "${sets[@]}"; do
    export LOOM_KERNELS=$set
    for program in "${programs[@]}"; do
        what="$set: ${program##*/}"
        if ! "$LOOM_PROGRAM" --version >/dev/null; then
            say ok "$what # SKIP this processor or this build has no such kernels"
        elif out=$("$program" 2>&1); then
            say ok "$what, $(grep -c '^ok' <<<"$out") tests"
        else
            grep -v '^ok' <<<"$out" | sed 's/^/# /'
            say "not ok" "$what"
        fi
    done
done
