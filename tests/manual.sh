#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The manual page and the completion of the shell know the program as it is: each command and word of its help, and no other.
: "${LOOM_PROGRAM:?}" "${top_srcdir:?}"
page=$top_srcdir/docs/loom.1
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
export LOOM_CACHE=$dir/cache
number=0

verdict() { # WHAT FAULTS
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        while IFS= read -r line; do echo "# $line"; done <<<"$2"
        echo "not ok $number - $1"
    fi
}

words_of() { "$LOOM_PROGRAM" "$1" --help | grep -oE -e '--[a-z][a-z-]*' | sort -u; }

# What the page says of a command, and its words there.
section() { awk -v name="$1" '/^\.S[sh] / { on = ($0 == ".Ss " name) } on' "$page"; }
words_in() { section "$1" | grep -oE 'Fl -[a-z][a-z-]*' | sed 's/^Fl /-/' | sort -u; }

mapfile -t commands < <("$LOOM_PROGRAM" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')
echo "1..$((2 * ${#commands[@]} + 11))"
verdict "there are commands" "$([ "${#commands[@]}" -ge 7 ] || echo "${commands[*]}")"
for command in "${commands[@]}"; do
    verdict "the page on $command" "$(
        [ -n "$(section "$command")" ] || echo "has no section .Ss $command"
        diff <(words_of "$command") <(words_in "$command"))"
done
verdict "the page has no other command" "$(
    diff <(printf '%s\n' "${commands[@]}" | sort) <(awk '/^\.Sh/ { on = ($2 == "COMMANDS") } on && /^\.Ss/ { print $2 }' "$page" | sort))"
verdict "the page names each variable of the environment" "$(
    diff <(grep -rhoE 'getenv\("LOOM_[A-Z_]+"\)' "$top_srcdir/core" "$top_srcdir/cli" | sed 's/.*"\(.*\)".*/\1/' | sort -u) \
        <(awk '/^\.Sh/ { on = ($2 == "ENVIRONMENT") } on && /^\.It Ev/ { print $3 }' "$page" | sort -u))"
verdict "the page can be set" "$(! command -v groff >/dev/null || groff -mdoc -ww -Tascii "$page" 2>&1 >/dev/null)"

# complete WORDS...: what is offered for the last of them.
# shellcheck source=/dev/null
. "$top_srcdir/tools/loom.bash-completion"
complete_words() {
    COMP_WORDS=("$LOOM_PROGRAM" "$@")
    COMP_CWORD=$#
    _loom 2>"$dir/said"
    printf '%s\n' "${COMPREPLY[@]}" | sort -u
    cat "$dir/said"
}
offers() { # DUE WORDS...
    diff <(printf '%s\n' "$1" | tr ' ' '\n') <(complete_words "${@:2}")
}

verdict "the shell is told how to complete" "$(complete -p loom >/dev/null 2>&1 || echo "no completion for loom")"
verdict "commands are completed" "$(offers "$(printf '%s\n' "${commands[@]}" --help --version | sort)" "")"
for command in "${commands[@]}"; do
    verdict "words of $command are completed" "$(
        diff <(words_of "$command" | cat - <(echo --help) | sort -u) <(complete_words "$command" --))"
done
cd "$dir" && mkdir runs && touch one.cfg one.txt day.nwb || exit 99
verdict "pipelines and folders are completed" "$(offers "one.cfg runs" run "")"
verdict "recordings are completed" "$(offers "day.nwb" data info d)"
verdict "splits are completed" "$(offers "test train" eval runs --split t)"
verdict "ids of plugins are completed" "$(offers "backbone/vit" plugins describe backbone/v; offers "vit" plugins describe vi)"
verdict "kinds of plugins are completed" "$(offers "backbone baseline" plugins new ba)"
