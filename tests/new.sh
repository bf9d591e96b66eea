#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `loom plugins new` of what was installed: each kind is made, built, conforms at level strict and runs as it is; and what
# cannot be made is refused. Run by make installcheck; the source tree plays no part.
: "${bindir:?}" "${CC:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE PKG_CONFIG_PATH
unset LOOM_PLUGIN_PATH LOOM_LIBEXEC
cd "$dir" || exit 99
loom=$bindir/loom
failures=0

verdict() { # RESULT WHAT
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        sed 's/^/# /' said
        failures=$((failures + 1))
    fi
}

refused() { # WORDS WHAT ARGUMENTS...
    words=$1 what=$2
    shift 2
    ! "$loom" plugins new "$@" >said 2>&1 && grep -q -e "$words" said
    verdict $? "$what"
}

for kind in source tokenizer backbone objective baseline; do
    # What a shell of make's own says must not reach the make of the new folder.
    "$loom" plugins new $kind my_$kind --in . >said 2>&1 &&
        MAKEFLAGS='' make -C my_$kind CC="$CC" CFLAGS='-O2 -Wall -Wextra -Werror' LOOM="$loom" all check >said 2>&1
    verdict $? "$kind: made, built, conforms, runs"
    MAKEFLAGS='' make -C my_$kind DESTDIR="$dir/there" install >said 2>&1 && find there -name my_$kind.so | grep -q plugins-
    verdict $? "$kind: installed"
    ! grep -q '@NAME@\|@KIND@' my_$kind/*.c my_$kind/*.cfg my_$kind/Makefile my_$kind/README.md
    verdict $? "$kind: no word is left to replace"
done
refused "cannot be made" "a folder that is there" tokenizer my_tokenizer
refused "did you mean 'tokenizer'" "a kind of another spelling" tokeniser other
refused "small letter" "a name that no file could have" tokenizer ../other
refused "small letter" "a name with capitals" tokenizer Other
refused "cannot be made" "a folder that is not there" tokenizer other --in no/such/folder
refused "usage" "no name" tokenizer
refused "does not fit" "too many words" tokenizer a b
exit $failures
