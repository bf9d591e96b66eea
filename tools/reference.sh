#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# docs/plugin-reference.md from the comments of the public headers: tools/reference.sh > docs/plugin-reference.md
# shellcheck disable=SC2016
# The comment on top of a header and its declarations stand as they are; lines of dashes become headings.
set -eu
cd "$(dirname "$0")/.."
cat tools/reference.head.md
for header in plugin model rows mask codes options graph nn encoder estimator; do
    printf '\n## `<loom/%s.h>`\n' "$header"
    awk '
        function open(kind) { if (!inside) printf "\n```%s\n", kind; inside = 1; empty = 0 }
        function shut() { if (inside) print "```"; inside = 0; empty = 0 }
        /SPDX-License-Identifier/ || /^#(ifndef|define) LOOM_[A-Z]*_H$/ || /^#include/ { next }
        { line[++n] = $0 }
        END {
            while (n > 0 && line[n] != "#endif") n--
            for (i = 1; i < n; i++) {
                text = line[i]
                sub(/^LOOM_(API|EXTERN) /, "", text)
                if (!top && text ~ /^\/\* /) { top = 1; open("text") }
                if (top == 1) { # the comment on top, without its stars
                    done = sub(/ *\*\/$/, "", text)
                    sub(/^(\/\*| \*) ?/, "", text)
                    if (!done || text != "") print text
                    if (done) { shut(); top = 2 }
                } else if (text ~ /^\/\* ---- .* ---- \*\/$/) {
                    shut()
                    gsub(/^\/\* ---- | ---- \*\/$/, "", text)
                    printf "\n### %s\n", text
                } else if (text == "") {
                    empty = inside
                } else {
                    if (empty) print ""
                    open("c")
                    empty = 0
                    print text
                }
            }
            shut()
        }' "core/loom/$header.h"
done
