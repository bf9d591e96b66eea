#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each public header compiles alone, in C and in C++.
set -- "$top_srcdir"/core/loom/*.h
echo "1..$(($# * 2))"
n=0
try() { # LANGUAGE HEADER COMPILER...
    language=$1 header=$2
    shift 2
    n=$((n + 1))
    if ! command -v "${1%% *}" >/dev/null 2>&1; then
        echo "ok $n - $header in $language # SKIP no compiler $1"
    elif echo "#include <loom/$header>" | "$@" -x "$language" -fsyntax-only -Wall -Wextra -Werror -I "$top_srcdir/core" - >&2; then
        echo "ok $n - $header in $language"
    else
        echo "not ok $n - $header in $language"
    fi
}
for path; do
    header=$(basename "$path")
    try c "$header" ${CC:-cc} -std=c11
    try c++ "$header" ${CXX:-c++} -std=c++17
done
