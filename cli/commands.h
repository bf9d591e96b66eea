/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `loom`. Each takes its own words, argv[0] being the command's name, and returns the exit code:
 * 0 done, 1 run failed, 2 usage or pipeline error, 3 data error, 4 plugin error. */
#ifndef LOOM_CLI_COMMANDS_H
#define LOOM_CLI_COMMANDS_H

int loom_cmd_ablate(int argc, char **argv);
int loom_cmd_bench(int argc, char **argv);
int loom_cmd_conform(int argc, char **argv);
int loom_cmd_check(int argc, char **argv);
int loom_cmd_data(int argc, char **argv);
int loom_cmd_eval(int argc, char **argv);
int loom_cmd_export(int argc, char **argv);
int loom_cmd_plugins(int argc, char **argv);
int loom_cmd_plugins_new(int argc, char **argv); /* what stands behind `loom plugins` */
int loom_cmd_report(int argc, char **argv);
int loom_cmd_run(int argc, char **argv);

#endif
