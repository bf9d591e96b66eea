/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of predictions, held to what they say: their numbers stand in CSV, and what is drawn is what stands there. */
#include "folder.h"
#include "page.h"

#include "base/io.h"
#include "base/str.h"
#include "eval/metrics.h"
#include "eval/report_groups.h"

#include <loom/report.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TRIALS = 12, BINS = 10, UNITS = 8, CONDITIONS = 3, RECORDINGS = 2 };
static const double bin_s = 0.05;

static void setup(void)
{
    folder_make();
    put("pipeline.cfg", "seed = 1L;\n");
}

/* Numbers of the CSV's rows that begin with `begin`, from column `column` on; their number. */
static int numbers(const char *csv, const char *begin, int column, double *out, int most)
{
    int n = 0;
    for (const char *at = csv; at != NULL && *at != '\0'; at = strchr(at, '\n') != NULL ? strchr(at, '\n') + 1 : NULL) {
        const char *cell = at;
        if (strncmp(at, begin, strlen(begin)) != 0 || n == most)
            continue;
        for (int k = 0; k < column; k++)
            cell = strchr(cell, ',') + 1;
        out[n++] = strtod(cell, NULL);
    }
    return n;
}

/* ---- made predictions ---- */

static void name_all(struct loom_predictions *p, const char *modality, const char *likelihood, const char *unit)
{
    static const char *const condition[] = {"left", "mid \"dle\"", "right"}, *const id[] = {"b day", "a day"},
                             *const date[] = {"2013-12-19", "2013-10-03T10:00"};
    loom_predictions_init(p);
    snprintf(p->modality, sizeof p->modality, "%s", modality);
    snprintf(p->likelihood, sizeof p->likelihood, "%s", likelihood);
    snprintf(p->unit, sizeof p->unit, "%s", unit);
    snprintf(p->condition_name, sizeof p->condition_name, "way");
    p->bin_s = bin_s;
    p->recording = calloc(RECORDINGS, sizeof *p->recording);
    p->date = calloc(RECORDINGS, sizeof *p->date);
    p->condition = calloc(CONDITIONS, sizeof *p->condition);
    p->trial = calloc(RECORDINGS * TRIALS, sizeof *p->trial);
    for (int r = 0; r < RECORDINGS; r++) {
        p->recording[p->recordings] = strdup(id[r]);
        p->date[p->recordings++] = strdup(date[r]);
        for (int t = 0; t < TRIALS; t++)
            p->trial[p->trials++] = (struct loom_predicted_trial){r, t % CONDITIONS, t, t, t + BINS * bin_s, t};
    }
    for (int c = 0; c < CONDITIONS; c++)
        p->condition[p->conditions++] = strdup(condition[c]);
}

static int64_t middle_ns(int trial, int bin)
{
    return llround(1e9 * (trial + (bin + 0.5) * bin_s));
}

static void add(struct loom_predictions *p, int recording, int64_t time_ns, int element, double target,
                double predicted)
{
    const struct loom_predicted row = {.recording = recording,
                                       .time_ns = time_ns,
                                       .element = element,
                                       .trial = -1,
                                       .weight = 1,
                                       .target = target,
                                       .predicted = predicted};
    ck_ok(loom_predictions_add(p, &row, NULL, &error), &error);
}

/* Unit u counts u + condition in each bin and is modelled as half that: what the histograms must show. */
static void make_spikes(struct loom_predictions *p)
{
    name_all(p, "spikes", "poisson", "");
    for (int r = 0; r < RECORDINGS; r++)
        for (int t = 0; t < TRIALS; t++)
            for (int b = 0; b < BINS; b++)
                for (int u = 0; u < UNITS; u++)
                    add(p, r, middle_ns(t, b), u, u + t % CONDITIONS, 0.5 * (u + t % CONDITIONS));
}

/* Velocity (3, 4 condition) cm/s on day 0, noisier on day 1, decoded 0.9 of it with noise; one value is missing. */
static void make_hand(struct loom_predictions *p, double *baseline)
{
    struct loom_rng g;
    int n = 0;
    loom_rng_init(&g, 1, "test", 0, 0);
    name_all(p, "handVel", "gaussian", "cm/s");
    for (int r = 0; r < RECORDINGS; r++)
        for (int t = 0; t < TRIALS; t++)
            for (int b = 0; b < BINS; b++)
                for (int d = 0; d < 2; d++) {
                    double target = d == 0 ? 3.0 : 4.0 * (t % CONDITIONS) + 0.01 * b;
                    double noise = (0.1 + r) * loom_rng_normal(&g);
                    target += r == 1 ? 5.0 * sin(b + d) : 0.0;
                    baseline[n++] = 0.5 * target;
                    add(p, r, middle_ns(t, b), d, t == 0 && b == 3 ? NAN : target, 0.9 * target + noise);
                }
}

static void write_both(void)
{
    struct loom_predictions p;
    double baseline[RECORDINGS * TRIALS * BINS * 2];
    const float x[4] = {1, 2, 3, 4}, y[4] = {2, 2, 3, 4};
    make_spikes(&p);
    p.latents.most = 1000;
    p.latents.width = 4;
    for (int t = 0; t < TRIALS; t++)
        for (int b = 0; b < BINS; b++) {
            loom_real z[4];
            for (int k = 0; k < 4; k++)
                z[k] = (loom_real)(x[k] * sinf((float)(b + t % CONDITIONS)) + y[k] * cosf((float)b));
            ck_ok(loom_latents_add(&p.latents, p.latents.n, 0, middle_ns(t, b), z, &error), &error);
        }
    ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
    loom_predictions_release(&p);
    make_hand(&p, baseline);
    const struct loom_predictions_baseline column = {"wiener", baseline};
    ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", &column, 1, &error), &error);
    loom_predictions_release(&p);
}

static const char metrics[] =
    "{\"evaluate\": {\"test\": {\"r2\": {\"mean\": 0.8, \"n\": 7}, \"baselines\": {\"wiener\": "
    "{\"r2\": {\"mean\": 0.7}}}}}}";

static char *page(void)
{
    const char *run[] = {folder};
    ck_ok(loom_file_write(in_folder("metrics.json"), metrics, sizeof metrics - 1, &error), &error);
    ck_ok(loom_report_write(&(struct loom_report_spec){.size = sizeof(struct loom_report_spec), .runs = 1, .run = run},
                            &error),
          &error);
    return get("report.html");
}

/* ---- tests ---- */

START_TEST(what_stands_beside_comes_back)
{
    struct loom_predictions p, q;
    if (!loom_predictions_supported())
        return;
    write_both();
    make_spikes(&p);
    ck_ok(loom_predictions_read(&q, in_folder("predictions.h5"), "evaluate", "test", "spikes", &error), &error);
    ck_assert_int_eq(q.trials, p.trials);
    for (int k = 0; k < p.trials; k++) {
        ck_assert_int_eq(q.trial[k].recording, p.trial[k].recording);
        ck_assert_int_eq(q.trial[k].condition, p.trial[k].condition);
        ck_near(q.trial[k].stop_s, p.trial[k].stop_s, 0);
        ck_near(q.trial[k].zero_s, p.trial[k].zero_s, 0);
    }
    ck_assert_str_eq(q.condition[1], "mid \"dle\"");
    ck_assert_str_eq(q.condition_name, "way");
    ck_assert_str_eq(q.date[0], "2013-12-19");
    ck_assert_int_eq(q.latents.n, TRIALS * BINS);
    ck_assert_int_eq(q.latents.width, 4);
    ck_assert_int_eq(q.latents.times[7], 1);
    ck_near(q.latents.value[4 * 13 + 2], 3 * sin(3 + 1) + 3 * cos(3), 1e-5);
    ck_assert_int_eq(loom_predictions_trial(&q, 1, middle_ns(3, 2)), TRIALS + 3);
    ck_assert_int_eq(loom_predictions_trial(&q, 1, middle_ns(3, BINS)), -1);
    ck_assert_int_eq(loom_predictions_trial(&q, 0, -1), -1);
    q.trial[TRIALS + 2].stop_s = q.trial[TRIALS + 4].stop_s; /* overlaps the two after it */
    struct loom_predicted row = {.recording = 1, .time_ns = middle_ns(3, 2), .trial = 2};
    ck_assert_int_eq(loom_predictions_trial_of(&q, &row), TRIALS + 2);
    row.trial = 3;
    ck_assert_int_eq(loom_predictions_trial_of(&q, &row), TRIALS + 3);
    row.trial = 4;
    ck_assert_int_eq(loom_predictions_trial_of(&q, &row), -1); /* has not begun */
    row.trial = -1;
    ck_assert_int_eq(loom_predictions_trial_of(&q, &row), TRIALS + 3);
    loom_predictions_release(&p);
    loom_predictions_release(&q);
}
END_TEST

/* Rows of one time are averaged, and no more are kept than were wanted. */
START_TEST(latents_are_bounded)
{
    struct loom_predictions p;
    const loom_real a[2] = {1, 5}, b[2] = {3, 6};
    loom_predictions_init(&p);
    p.latents.most = 2;
    p.latents.width = 2;
    ck_ok(loom_latents_add(&p.latents, 0, 0, 10, a, &error), &error);
    ck_ok(loom_latents_add(&p.latents, 0, 0, 20, a, &error), &error);
    ck_ok(loom_latents_add(&p.latents, 0, 0, 10, b, &error), &error);
    ck_ok(loom_latents_add(&p.latents, 0, 0, 30, b, &error), &error);
    ck_ok(loom_predictions_settle(&p, &error), &error);
    ck_assert_int_eq(p.latents.n, 2);
    ck_assert_int_eq(p.latents.times[0], 2);
    ck_near(p.latents.value[0], 2, 0);
    ck_near(p.latents.value[1], 5.5, 0);
    ck_near(p.latents.value[2], 1, 0);
    loom_predictions_release(&p);
}
END_TEST

/* Two known directions of known variance in 40 dimensions. */
START_TEST(components_are_those_that_were_put_in)
{
    enum { N = 500, W = 40 };
    float *x = calloc(N * W, sizeof *x);
    double score[2 * N], share[2], ab = 0, aa = 0, bb = 0, s0 = 0, s1 = 0, s01 = 0, total = 0, mean[W] = {0};
    struct loom_rng g;
    loom_rng_init(&g, 3, "test", 0, 0);
    for (int i = 0; i < N; i++) {
        double a = 3 * loom_rng_normal(&g), b = 2 * loom_rng_normal(&g);
        for (int k = 0; k < W; k++)
            x[i * W + k] = (float)(7 + a * (k == 4) + b * (k % 2 ? 0.25 : 0) + 0.01 * loom_rng_normal(&g));
    }
    ck_assert_int_eq(loom_report_components(x, N, W, score, share), 1);
    for (int i = 0; i < N * W; i++)
        mean[i % W] += x[i] / N;
    for (int i = 0; i < N; i++) {
        double a = x[i * W + 4] - mean[4];
        for (int k = 0; k < W; k++)
            total += (x[i * W + k] - mean[k]) * (x[i * W + k] - mean[k]);
        ab += a * score[2 * i];
        aa += a * a;
        bb += score[2 * i] * score[2 * i];
        s0 += score[2 * i];
        s1 += score[2 * i + 1] * score[2 * i + 1];
        s01 += score[2 * i] * score[2 * i + 1];
    }
    ck_assert(ab / sqrt(aa * bb) > 0.99); /* the larger one, with its sign */
    ck_near(s0 / N, 0, 1e-6);
    ck_near(s01 / sqrt(bb * s1), 0, 1e-9);
    ck_near(bb / total, share[0], 1e-9);
    ck_near(s1 / total, share[1], 1e-9);
    ck_near(share[0] + share[1], 1, 1e-3);
    free(x);
}
END_TEST

START_TEST(histograms_show_the_means)
{
    double v[64], time[64];
    if (!loom_predictions_supported())
        return;
    write_both();
    char *html = page();
    page_sound(html);
    free(html);
    char *csv = get("report/psth-evaluate-test-spikes-unit7.csv");
    for (int c = 0; c < CONDITIONS; c++) {
        static const char *const name[] = {"\"way left", "\"way mid \"\"dle\"\"", "\"way right"};
        char begin[64];
        snprintf(begin, sizeof begin, "%s, recorded\"", name[c]);
        ck_assert_int_eq(numbers(csv, begin, 4, v, 64), BINS); /* the name has a comma */
        numbers(csv, begin, 3, time, 64);
        for (int b = 0; b < BINS; b++) {
            ck_near(v[b], (7 + c) / bin_s, 1e-6);
            ck_near(time[b], (b + 0.5) * bin_s, 1e-9);
        }
        snprintf(begin, sizeof begin, "%s, modelled\"", name[c]);
        ck_assert_int_eq(numbers(csv, begin, 4, v, 64), BINS);
        ck_near(v[3], 0.5 * (7 + c) / bin_s, 1e-6);
    }
    free(csv);
    ck_assert(!loom_file_exists(in_folder("report/psth-evaluate-test-spikes-unit0.csv"))); /* has fewest spikes */
}
END_TEST

/* Windows around an event half of the trial late: its time is 0 in every figure, and what lies before is negative. */
START_TEST(time_is_told_from_the_event)
{
    struct loom_predictions p;
    double v[4000], first = INFINITY, last = -INFINITY;
    const double late = 0.5 * BINS * bin_s;
    if (!loom_predictions_supported())
        return;
    make_spikes(&p);
    for (int k = 0; k < p.trials; k++)
        p.trial[k].zero_s += late;
    snprintf(p.zero_name, sizeof p.zero_name, "go");
    for (int64_t i = 0; i < p.n; i++) {
        p.row[i].held = p.row[i].element == 7 ? LOOM_HELD_UNIT : LOOM_HELD_NOT;
        if (i / UNITS % BINS >= BINS - 2)
            p.row[i].held = LOOM_HELD_FORWARD;
    }
    ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
    loom_predictions_release(&p);
    char *html = page(), *csv = get("report/psth-evaluate-test-spikes-unit7.csv");
    page_sound(html);
    ck_assert_int_eq(numbers(csv, "\"way left, recorded\"", 3, v, 64), BINS);
    ck_near(v[0], 0.5 * bin_s - late, 1e-9);
    ck_assert_ptr_nonnull(strstr(html, "time from go, s"));
    ck_assert_ptr_nonnull(strstr(html, "Unit 7, held out"));
    free(csv);
    csv = get("report/raster-evaluate-test-spikes.csv");
    int rows = numbers(csv, "", 1, v, 4000);
    ck_assert_int_eq(rows, 1 + LOOM_REPORT_SPANS * BINS * UNITS); /* and the names of the columns */
    for (int i = 1; i < rows; i++) {
        first = fmin(first, v[i]);
        last = fmax(last, v[i]);
    }
    ck_near(first, 0.5 * bin_s - late, 1e-9);
    ck_near(last, late - 0.5 * bin_s, 1e-9);
    /* both rasters: a picture for each trial and one of the colours, a line at 0 and one where bins to come begin */
    char *raster = strstr(html, "spikes counted");
    *strstr(raster, "Calibration") = '\0';
    ck_assert_int_eq(page_count(raster, "<image"), 2 * (LOOM_REPORT_SPANS + 1));
    ck_assert_int_eq(page_count(raster, "<path class=z"), 2 * LOOM_REPORT_SPANS);
    ck_assert_int_eq(page_count(raster, "<path class=u"), 2 * LOOM_REPORT_SPANS);
    ck_assert_int_eq(page_count(raster, "<path class=m"), 2 * (1 + 1)); /* a key, and a dash for the held-out unit */
    free(html);
    free(csv);
}
END_TEST

/* Under a mask means would be of other trials from bin to bin: there are none, and no heading above nothing. */
START_TEST(masked_units_have_no_histogram)
{
    struct loom_predictions p;
    if (!loom_predictions_supported())
        return;
    make_spikes(&p);
    for (int64_t i = 0; i < p.n; i++) /* of each condition's four trials one is asked in each bin */
        p.row[i].weight = (i / UNITS / BINS + i / UNITS % BINS) % 4 == 0;
    ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
    loom_predictions_release(&p);
    char *html = page();
    page_sound(html);
    ck_assert_ptr_null(strstr(html, "Mean responses"));
    ck_assert_ptr_nonnull(strstr(html, "Calibration"));
    free(html);
}
END_TEST

/* Counts are smoothed by a Gaussian of 50 ms, here of one bin, whose weights sum to 1 at the edges too; rates are not.
 */
START_TEST(counts_are_smoothed_and_rates_are_not)
{
    struct loom_predictions p;
    double v[64], weights[2] = {0, 0};
    if (!loom_predictions_supported())
        return;
    make_spikes(&p);
    for (int64_t i = 0; i < p.n; i++) {
        p.row[i].target = i / UNITS % BINS == 2;
        p.row[i].predicted = i / UNITS % BINS == 2;
    }
    ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
    loom_predictions_release(&p);
    free(page());
    for (int b = 0; b < BINS; b++) {
        weights[0] += exp(-0.5 * b * b);
        weights[1] += exp(-0.5 * (b - 2) * (b - 2));
    }
    char *csv = get("report/psth-evaluate-test-spikes-unit0.csv");
    ck_assert_int_eq(numbers(csv, "\"way right, recorded\"", 4, v, 64), BINS);
    ck_near(v[0], exp(-2.0) / weights[0] / bin_s, 1e-6);
    ck_near(v[2], 1 / weights[1] / bin_s, 1e-6);
    ck_assert_int_eq(numbers(csv, "\"way right, modelled\"", 4, v, 64), BINS);
    ck_near(v[2], 1 / bin_s, 1e-6);
    ck_near(v[3], 0, 0);
    free(csv);
}
END_TEST

/* The recorded mean's band is its standard error over trials. */
START_TEST(bands_are_standard_errors)
{
    struct loom_predictions p;
    double v[64];
    if (!loom_predictions_supported())
        return;
    make_spikes(&p);
    for (int64_t i = 0; i < p.n; i++) {
        int trial = (int)floor(1e-9 * (double)p.row[i].time_ns);
        p.row[i].target = trial / CONDITIONS; /* 0, 1, 2, 3 in the trials of each condition */
    }
    ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
    loom_predictions_release(&p);
    free(page());
    char *csv = get("report/psth-evaluate-test-spikes-unit0.csv");
    ck_assert_int_eq(numbers(csv, "\"way right, recorded\"", 4, v, 64), BINS);
    ck_near(v[5], 1.5 / bin_s, 1e-6);
    ck_assert_int_eq(numbers(csv, "\"way right, recorded\"", 5, v, 64), BINS);
    ck_near(v[5], sqrt(5.0 / 3.0 / 4.0) / bin_s, 1e-6); /* squares around 1.5: 5 in all, of 4 trials */
    free(csv);
}
END_TEST

/* Samples that have times of their own, two of them close together, are one stretch; a pause parts it. */
START_TEST(pauses_part_what_is_shown)
{
    struct loom_report_spans s;
    struct loom_predictions p;
    loom_predictions_init(&p);
    snprintf(p.likelihood, sizeof p.likelihood, "gaussian");
    p.bin_s = 0.05;
    for (int i = 0; i < 100; i++)
        add(&p, 0, i == 51 ? 2501000000 : 50000000ll * i + (i >= 80 ? 3000000000ll : 0), 0, 1, 1);
    loom_report_spans(&s, &p, 10);
    ck_assert_int_eq(s.n, 2);
    ck_near(s.step_s, 0.05, 1e-9);
    ck_near(s.at[0].from_s, 2.475, 1e-9); /* the middle */
    ck_near(s.at[0].to_s, 3.975, 1e-9);
    ck_near(s.at[1].from_s, 6.975, 1e-9);
    ck_near(s.panel[1].reads, 6.975, 1e-9);
    ck_assert(s.panel[1].from > s.panel[0].to && s.panel[1].from < s.panel[0].to + 0.5);
    ck_assert_int_eq(loom_report_span_of(&s, &p, 49), -1);
    ck_assert_int_eq(loom_report_span_of(&s, &p, 51), 0);
    ck_assert_int_eq(loom_report_span_of(&s, &p, 99), 1);
    loom_report_spans(&s, &p, 1);
    ck_assert_int_eq(s.n, 1);
    ck_near(s.at[0].to_s - s.at[0].from_s, 1, 0.051);
    loom_predictions_release(&p);
}
END_TEST

/* Figures are of the first seed and say so, with the other's answers beside it; the other's own open below. */
START_TEST(every_seed_is_shown)
{
    struct loom_predictions p;
    double baseline[RECORDINGS * TRIALS * BINS * 2], a[400], b[400];
    if (!loom_predictions_supported())
        return;
    for (int seed = 1; seed <= 2; seed++) {
        mkdir(in_folder(seed == 1 ? "seed-1" : "seed-2"), 0700);
        make_hand(&p, baseline);
        for (int64_t i = 0; i < p.n; i++)
            p.row[i].predicted = 100 * seed + (double)i / 1000;
        ck_ok(loom_predictions_write(&p, in_folder(seed == 1 ? "seed-1/predictions.h5" : "seed-2/predictions.h5"),
                                     "evaluate", "test", NULL, 0, &error),
              &error);
        loom_predictions_release(&p);
    }
    char *html = page(), *csv = get("report/trace-evaluate-test-handVel-dim0.csv");
    page_sound(html);
    int n = numbers(csv, "\"decoded\"", 3, a, 400);
    ck_assert_int_eq(n, LOOM_REPORT_SPANS * BINS);
    ck_assert_int_eq(numbers(csv, "\"seed-2\"", 3, b, 400), n);
    for (int i = 0; i < n; i++) {
        ck_assert(a[i] >= 100 && a[i] < 101);
        ck_near(b[i] - a[i], 100, 1e-6);
    }
    free(csv);
    csv = get("report/seed-2-trace-evaluate-test-handVel-dim0.csv");
    ck_assert_int_eq(numbers(csv, "\"decoded\"", 3, b, 400), n);
    ck_near(b[n - 1] - a[n - 1], 100, 1e-6);
    char *other = strstr(html, "<summary>The same of seed-2");
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_nonnull(strstr(other, "seed-2 of 2 seeds"));
    *other = '\0';
    ck_assert_ptr_nonnull(strstr(html, "seed-1 of 2 seeds"));
    ck_assert_ptr_null(strstr(html, "seed-2 of 2 seeds"));
    ck_assert_ptr_nonnull(strstr(html, "the other seeds"));
    free(csv);
    free(html);
}
END_TEST

/* A velocity that does not change leads to velocity times time; a trial with a missing value is not shown. */
START_TEST(paths_add_velocity_up)
{
    double x[400], y[400], begin[400];
    if (!loom_predictions_supported())
        return;
    write_both();
    free(page());
    char *csv = get("report/paths-evaluate-test-handVel-recorded.csv");
    int n = numbers(csv, "\"way right\"", 2, x, 400);
    numbers(csv, "\"way right\"", 3, y, 400);
    ck_assert_int_eq(n, TRIALS / CONDITIONS * BINS);
    ck_near(x[BINS - 1], 3 * (BINS - 0.5) * bin_s, 1e-6);
    ck_near(y[0], 8 * 0.5 * bin_s, 1e-6);
    n = numbers(csv, "\"way left\"", 1, begin, 400);
    ck_assert_int_eq(n, (TRIALS / CONDITIONS - 1) * BINS);
    for (int i = 0; i < n; i++)
        ck_assert(begin[i] > 0.5);
    free(csv);
    free(get("report/paths-evaluate-test-handVel-decoded.csv"));
}
END_TEST

/* R² by day is the metric's own, in the order of dates; each value is drawn once. */
START_TEST(days_are_the_metric)
{
    struct loom_predictions p;
    double baseline[RECORDINGS * TRIALS * BINS * 2], v[8], x[8];
    json_t *j;
    if (!loom_predictions_supported())
        return;
    write_both();
    char *html = page(), *csv = get("report/days-evaluate-test-handVel.csv");
    ck_assert_int_eq(numbers(csv, "\"this model\"", 4, v, 8), 2);
    numbers(csv, "\"this model\"", 3, x, 8);
    make_hand(&p, baseline);
    ck_ok(loom_predictions_settle(&p, &error), &error);
    ck_ok(loom_metric("r2", &p, NULL, NULL, &j, &error), &error);
    ck_near(0.5 * (v[0] + v[1]), loom_metric_mean(j), 1e-8);
    ck_near(x[0], 0, 0);
    ck_near(x[1], 77, 0); /* from 3 October to 19 December */
    ck_assert_ptr_nonnull(strstr(csv, "\"this model\",\"a day\",2013-10-03,0,"));
    ck_assert_int_eq(numbers(csv, "\"wiener\"", 4, v, 8), 2);
    char *figure = strstr(html, "R² of handVel");
    ck_assert_ptr_nonnull(figure);
    *strstr(figure, "</figure>") = '\0';
    ck_assert_int_eq(page_count(figure, "r=3 "), 4 + 2); /* two lines of two points, and a key for each line */
    json_decref(j);
    loom_predictions_release(&p);
    free(html);
    free(csv);
}
END_TEST

/* Tenths hold every scored answer once, and their means are the means of all. */
START_TEST(calibration_keeps_the_means)
{
    double predicted[16], seen[16], of[16], sum = 0, hit = 0, n = 0;
    if (!loom_predictions_supported())
        return;
    write_both();
    char *html = page(), *csv = get("report/calibration-evaluate-test-spikes.csv");
    int rows = numbers(csv, "\"this model\"", 1, predicted, 16);
    numbers(csv, "\"this model\"", 2, seen, 16);
    numbers(csv, "\"this model\"", 3, of, 16);
    ck_assert_int_eq(rows, 10);
    for (int k = 0; k < rows; k++) {
        n += of[k];
        sum += of[k] * predicted[k];
        hit += of[k] * seen[k];
        ck_assert(k == 0 || predicted[k] >= predicted[k - 1]);
        ck_near(seen[k], 2 * predicted[k], 1e-6);
    }
    ck_near(n, RECORDINGS * TRIALS * BINS * UNITS, 0);
    ck_near(sum / n, 0.5 * (3.5 + 1) / bin_s, 1e-6);
    ck_near(hit / n, (3.5 + 1) / bin_s, 1e-6);
    free(html);
    free(csv);
}
END_TEST

/* Probabilities of classes that are right as often as they say. */
START_TEST(reliability_of_classes)
{
    struct loom_predictions p;
    double x[16], y[16];
    if (!loom_predictions_supported())
        return;
    name_all(&p, "choice", "categorical", "");
    p.params = p.class_names = 2;
    p.class_name = calloc(2, sizeof *p.class_name);
    p.class_name[0] = strdup("stay");
    p.class_name[1] = strdup("<go>");
    for (int i = 0; i < 100; i++) {
        const double param[2] = {0.75, 0.25};
        const struct loom_predicted row = {
            .time_ns = i, .weight = i != 7, .target = i % 4 == 0, .predicted = 0, .recording = 0};
        ck_ok(loom_predictions_add(&p, &row, param, &error), &error);
    }
    ck_ok(loom_predictions_write(&p, in_folder("predictions.h5"), "evaluate", "test", NULL, 0, &error), &error);
    loom_predictions_release(&p);
    free(page());
    char *csv = get("report/calibration-evaluate-test-choice.csv");
    ck_assert_int_eq(numbers(csv, "\"this model\"", 1, x, 16), 1);
    numbers(csv, "\"this model\"", 2, y, 16);
    ck_near(x[0], 0.75, 1e-9);
    ck_near(y[0], 74.0 / 99.0, 1e-8);
    free(csv);
    csv = get("report/confusion-evaluate-test-choice.csv");
    ck_assert_str_eq(csv, "recorded,named,count,share\n\"stay\",\"stay\",74,1\n\"stay\",\"<go>\",0,0\n"
                          "\"<go>\",\"stay\",25,1\n\"<go>\",\"<go>\",0,0\n");
    free(csv);
    char *html = get("report.html");
    page_sound(html);
    ck_assert_ptr_nonnull(strstr(html, "<th>&lt;go&gt;</th>"));
    free(html);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_stands_beside_comes_back,
                                  latents_are_bounded,
                                  components_are_those_that_were_put_in,
                                  histograms_show_the_means,
                                  time_is_told_from_the_event,
                                  pauses_part_what_is_shown,
                                  counts_are_smoothed_and_rates_are_not,
                                  masked_units_have_no_histogram,
                                  bands_are_standard_errors,
                                  every_seed_is_shown,
                                  paths_add_velocity_up,
                                  days_are_the_metric,
                                  calibration_keeps_the_means,
                                  reliability_of_classes};
    return run_between("figures", (int)(sizeof tests / sizeof *tests), tests, 60, setup, folder_remove);
}
