#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on every plugin of the tree, required and strict. CONFORM_ONLY: these checks alone.
: "${LOOM_PROGRAM:?}"
mapfile -t plugins < <("$LOOM_PROGRAM" plugins list --json | sed -nE 's/.*"id": *"([^"]*)", *"kind": *"([^"]*)".*/\2\/\1/p')
[ ${#plugins[@]} -gt 0 ] || { echo "Bail out! no plugins are listed"; exit 1; }
# A sanitizer makes everything slow; TEST_PATIENCE says so. Hundreds of steps and differences of
# losses show it nothing new.
words=()
[ "${CK_TIMEOUT_MULTIPLIER:-4}" -le 4 ] || words=(--timeout 240 --skip learn-overfit,grad-fd-dir)
[ -z "$CONFORM_ONLY" ] || words+=(--only "$CONFORM_ONLY")
exec "$LOOM_PROGRAM" conform --tap "${words[@]}" "${plugins[@]}"
