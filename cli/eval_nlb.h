/* SPDX-License-Identifier: Apache-2.0 */
/* `loom eval --nlb`. */
#ifndef LOOM_CLI_EVAL_NLB_H
#define LOOM_CLI_EVAL_NLB_H

/* Scores a submission against targets and prints the scores, as a table or as JSON. Exit status. */
int loom_eval_nlb(const char *submission, const char *targets, int as_json);

#endif
