/* SPDX-License-Identifier: Apache-2.0 */
/* Every check by the name of its variable, in the order in which they run: first what the file is, then how it lives,
 * then what it computes, then what it claims. */
#ifndef LOOM_CONFORM_FAMILIES_H
#define LOOM_CONFORM_FAMILIES_H

#include "conform/conform.h"

/* Differences of single elements mean something in double precision alone. */
#ifdef LOOM_DOUBLE
#define LOOM_CHECKS_ELEMENT(X) X(grad_fd_elem)
#else
#define LOOM_CHECKS_ELEMENT(X)
#endif

/* clang-format off */
#define LOOM_CHECKS(X) \
    /* abi.c */ \
    X(abi_symbols) X(abi_build_block) X(abi_needed) X(load_now_local) X(load_time) X(desc_complete) X(desc_stable) \
    /* options.c */ \
    X(opt_schema) X(opt_unknown) X(opt_range_fuzz) X(opt_random_fuzz) \
    /* life.c */ \
    X(abi_newer_host) X(life_create_destroy) X(life_order) X(life_two_instances) X(life_reload) \
    /* effects.c */ \
    X(no_global_side_effects) \
    /* memory.c */ \
    X(oom_sweep) X(leak_asan) X(leak_valgrind) \
    /* shapes.c */ \
    X(shape_contract) X(shape_reject) X(empty_input) X(bare_recording) X(nan_input) \
    /* gradients.c */ \
    LOOM_CHECKS_ELEMENT(X) X(grad_fd_dir) X(grad_accumulate) X(grad_coverage) \
    /* leaks.c */ \
    X(batch_independence) X(padding_invariance) X(unit_permutation) X(causal_leak) X(mask_leak_finite) \
    X(mask_leak_nan) X(heldout_leak) \
    /* determinism.c */ \
    X(det_seed) X(det_seed_differs) X(det_threads) X(thread_instances) X(denormal_time) \
    /* state.c */ \
    X(state_roundtrip) X(state_bytes) X(state_corrupt) \
    /* tokenizer.c */ \
    X(tok_roundtrip) X(tok_time_unit_map) X(tok_answers) \
    /* objective.c */ \
    X(obj_reduction) X(obj_extremes) \
    /* learn.c */ \
    X(learn_overfit) X(doc_example_runs) \
    /* sources.c */ \
    X(source_bad_file) X(source_deterministic)
/* clang-format on */

#define LOOM_CHECK_DECLARE(name) extern const struct loom_check loom_check_##name;
LOOM_CHECKS(LOOM_CHECK_DECLARE)

#endif
