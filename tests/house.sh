#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The rules of the house that a script can see: arrows point down, plugins include public headers alone, files stay short,
# and every file of the sources goes into a release.
# shellcheck disable=SC2013,SC2046,SC2086
cd "${top_srcdir:?}" || exit 1
echo 1..5
n=0
verdict() { # NAME FAULTS
    n=$((n + 1))
    if [ -z "$2" ]; then
        echo "ok $n - $1"
    else
        echo "$2" | sed 's/^/# /'
        echo "not ok $n - $1"
    fi
}
sources=$(find core cli tokenizers backbones objectives plugins bench tests \( -name '*.c' -o -name '*.h' \) 2>/dev/null | sort)

# Private headers of LAYER come from the layers named after it.
while read -r layer below; do
    for path in core/"$layer"/*.[ch] core/"$layer"/*/*.[ch]; do
        [ -e "$path" ] || continue
        for used in $(sed -n 's|^#include "\([a-z]*\)/.*|\1|p' "$path"); do
            case " $layer $below " in *" $used "*) ;; *) faults="$faults$path reaches up to $used
" ;; esac
        done
    done
done <<EOF
base
config base
plugin config base
data plugin config base
tensor config base
nn tensor config base
model nn tensor data plugin config base
train eval model nn tensor data plugin config base
eval model nn tensor data plugin config base
conform train eval model nn tensor data plugin config base
EOF
verdict "arrows point down" "$faults"
verdict "plugins include public headers alone" \
    "$(grep -nE '^#include "(base|config|plugin|data|tensor|nn|model|train|eval|conform)/' $(find tokenizers backbones objectives plugins -name '*.c' 2>/dev/null) /dev/null)"
verdict "files stay short (aim: 600 lines, limit: 700)" "$(wc -l $sources | awk '$1 >= 700 && $2 != "total" {print $2 " has " $1 " lines"}')"
verdict "each file names its licence" "$(for f in $sources; do head -n 1 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"; done)"
listed=" $(tr '\t\n' '  ' <Makefile.am) "
verdict "each file is named in Makefile.am" "$(for f in $sources; do
    case $listed in *" $f "* | *" ${f%.c} "* | *" ${f%.c}.la "*) ;; *) echo "$f" ;; esac; done)"
