#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/pipelines.md from the option tables: tools/docs.sh LOOM > docs/pipelines.md
set -euo pipefail
loom=${1:-loom}
cat "$(dirname "$0")/pipelines.head.md"
"$loom" check --keys
printf '\n## Plugins\n\n'
for id in sim mat nwb npz edf brainvision brainset lfads; do "$loom" plugins describe "source/$id" --markdown; echo; done
for id in ndt2 poyo vq vq-signal bins series label; do "$loom" plugins describe "tokenizer/$id" --markdown; echo; done
"$loom" plugins describe backbone/cae --markdown
echo
"$loom" plugins describe backbone/perceiver --markdown
echo
"$loom" plugins describe backbone/vit --markdown
for id in mae cd cae contrastive quantize code decode; do echo; "$loom" plugins describe "objective/$id" --markdown; done
# baselines
for id in wiener wiener-cascade smooth kalman glm gpfa lds csp lda; do echo; "$loom" plugins describe "baseline/$id" --markdown; done
