/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged NWB files by the hundred: each ends in data or in a message that names the file; the parent lives.
 * LOOM_FUZZ sets how many (default 100), half of a made file, half of a real one where $LOOM_DATA has it. */
#include "suite.h"

#include "made_nwb.h"
#include "reading.h"

#include "fuzzing.h"

#include <glob.h>

static int wanted(void)
{
    const char *n = getenv("LOOM_FUZZ");
    return n != NULL && atoi(n) > 1 ? atoi(n) : 100;
}

START_TEST(made_files)
{
    const char *path = scratch_path("sound.nwb");
    H5Fclose(made_nwb(path));
    fuzz("nwb", "", path, "fuzzed.nwb", '/', wanted() / 2, 1);
}
END_TEST

START_TEST(real_files)
{
    char pattern[512];
    glob_t g;
    snprintf(pattern, sizeof pattern, "%s/mc-maze/*.nwb", getenv("LOOM_DATA") != NULL ? getenv("LOOM_DATA") : "");
    if (glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc > 0)
        fuzz("nwb", "", g.gl_pathv[0], "fuzzed.nwb", '/', wanted() / 2, 1000003);
    else
        fprintf(stderr, "# no real file: set LOOM_DATA to the folder of recordings\n");
    globfree(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {made_files, real_files};
    scratch_make();
    int code = run_suite("fuzz", 2, tests, 60 + wanted());
    scratch_remove();
    return code;
}
