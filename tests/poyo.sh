#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# POYO's course on simulated spikes: one session is learned, another is identified by its units with all else frozen, and
# thaws. What was frozen is the first stage's to the bit until then, and not afterwards.
: "${LOOM_PROGRAM:?}"
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
LOOM_CACHE=$dir/cache
export LOOM_CACHE
echo 1..3

check() { # what, status
    number=$((number + 1))
    if test "$2" -eq 0; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
}

cat >"$dir/poyo.cfg" <<'END'
name = "poyo"; shards = 2; shard_mib = 64;
data: { source = "sim"; kind = "reach"; sessions = 2; units = 8; trials = 12; bin_ms = 50.0; window_ms = 500.0;
        unit_keep_min = 3; unit_keep_mode = 5; unit_keep_max = 9;
        split: { by = "trial"; train = 0.6; valid = 0.2; test = 0.2; }; };
tokenizer: { plugin = "poyo"; };
modalities: { handVel: { plugin = "series"; query = "session"; }; };
backbone: { plugin = "perceiver"; width = 16; depth = 1; latents = 2; head_width = 8; self_heads = 2; };
stages: (
    { name = "learn"; objectives: ( { plugin = "decode"; target = "handVel"; } ); steps = 4; batch = 6;
      optimizer: { kind = "sparse_lamb"; }; },
    { name = "identify"; from = "learn"; take = "last"; objectives: ( { plugin = "decode"; target = "handVel"; } );
      steps = 3; batch = 6; optimizer: { kind = "sparse_lamb"; };
      freeze = ( "backbone.*", "head.*", "tokenizer.spikes.type" ); },
    { name = "evaluate"; metrics = ( "r2" ); }
);
END

# Bytes of one tensor of a stage's last checkpoint: the header says where they stand.
tensor() { # folder, stage, name
    f=$1/checkpoints/$2/last.safetensors
    header=$(od -An -tu8 -N8 "$f" | tr -d ' ')
    at=$(tail -c +9 "$f" | head -c "$header" | sed -n "s/.*\"$3\":{[^}]*\"data_offsets\": *\[\([0-9]*\), *\([0-9]*\)\].*/\1 \2/p")
    test -n "$at" || return 1
    first=${at% *} last=${at#* }
    tail -c +$((header + 9 + first)) "$f" | head -c $((last - first)) | cksum
}

"$LOOM_PROGRAM" run "$dir/poyo.cfg" --quiet --out "$dir/frozen" && grep -q '"r2"' "$dir/frozen/metrics.json" &&
    ! grep -q ": null" "$dir/frozen/metrics.json"
check "learned, identified, evaluated" $?

weight=backbone.block0.attention.qkv.weight unit=tokenizer.spikes.unit
test -n "$(tensor "$dir/frozen" learn $weight)" &&
    test "$(tensor "$dir/frozen" learn $weight)" = "$(tensor "$dir/frozen" identify $weight)" &&
    test "$(tensor "$dir/frozen" learn $unit)" != "$(tensor "$dir/frozen" identify $unit)"
check "identification moves units and leaves the rest" $?

"$LOOM_PROGRAM" run "$dir/poyo.cfg" --quiet --out "$dir/thawed" stages.identify.unfreeze_after=2 &&
    test "$(tensor "$dir/thawed" learn $weight)" = "$(tensor "$dir/frozen" learn $weight)" &&
    test "$(tensor "$dir/thawed" learn $weight)" != "$(tensor "$dir/thawed" identify $weight)"
check "what was frozen thaws" $?
