#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on every plugin of the tree, required and strict.
: "${LOOM_PROGRAM:?}"
mapfile -t plugins < <("$LOOM_PROGRAM" plugins list --json | sed -nE 's/.*"id": *"([^"]*)", *"kind": *"([^"]*)".*/\2\/\1/p')
[ ${#plugins[@]} -gt 0 ] || { echo "Bail out! no plugins are listed"; exit 1; }
exec "$LOOM_PROGRAM" conform --tap "${plugins[@]}"
