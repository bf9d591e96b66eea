/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer vq-signal: spectra by hand, codes that bring samples back, channels of several recordings. */
#include "folder.h"

#include "simworld.h"

#include "../tokenizers/vq_ops.h"

/* A cosine of three turns and a constant, by hand: amplitudes at 0 and 3, the cosine's phase, and nothing elsewhere. */
START_TEST(spectrum_of_a_cosine)
{
    enum { N = 20, BINS = N / 2 + 1 };
    loom_real x[2 * N];
    struct loom_graph *g;
    struct loom_error e = {0};
    for (int i = 0; i < N; i++) {
        x[i] = (loom_real)(0.5 + 2.0 * cos(2.0 * M_PI * 3.0 * i / N + 0.7));
        x[N + i] = 0;
    }
    ck_ok(loom_graph_new(&g, (size_t)16 << 20, &e), &e);
    struct loom_node *in = loom_input(g, LOOM_REAL, 2, (const int64_t[]){2, N}, x);
    struct loom_node *wrapped = vq_spectrum(g, in, VQ_WRAPPED), *both = vq_spectrum(g, in, VQ_SINCOS);
    loom_graph_forward(g);
    const loom_real *w = loom_node_host(wrapped), *s = loom_node_host(both);
    for (int k = 0; k < BINS; k++) {
        ck_near(w[k], (k == 0 ? 0.5 * N : k == 3 ? N : 0.0) / sqrt(N), 1e-5);
        ck_near(s[k], (double)w[k], 1e-6);
    }
    ck_near(w[BINS + 3], 0.7 * sqrt(3.0) / M_PI, 1e-5);
    ck_near(s[BINS + 3], cos(0.7), 1e-5);
    ck_near(s[2 * BINS + 3], sin(0.7), 1e-5);
    for (int k = 0; k < 2 * BINS; k++)
        ck_assert(w[2 * BINS + k] == 0);
    loom_graph_free(g);
}
END_TEST

#define SIGNAL_OF(series)                                                                                              \
    "modalities: { " series ": { plugin = \"vq-signal\"; patch_samples = 6; codes = 16; code_width = 6; hidden = 24;"  \
    " dropout = 0.0; }; }; backbone: { plugin = \"vit\"; width = 16; depth = 1; heads = 2; };"                         \
    " objectives: ( { plugin = \"quantize\"; modality = \"" series "\"; } );"

/* Patches hold the recording's samples; deviations are the train split's; codes bring samples and spectra back. */
START_TEST(signals_have_codes)
{
    struct simworld w;
    simworld_open(&w, SIM_DATA SIGNAL_OF("handVel"));
    ck_assert(simworld_fit(&w) >= 3);
    const struct loom_rows *full = loom_shard_rows(w.shard), *ask = &loom_shard_view(w.shard, 0)->ask[0];
    double n = 0, sum = 0, square = 0, first = 0, last = 0, further = 0;
    for (int32_t r = 0; r < full->rows; r++) {
        ck_assert(full->axis[1][r] == r % 2 && full->first_elem[r + 1] - full->first_elem[r] <= 6);
        for (int32_t i = full->first_elem[r]; i < full->first_elem[r + 1] && r % 2 == 0; i++) {
            n += ask->weight[i] != 0;
            sum += ask->weight[i] == 0 ? 0 : (double)full->value[i];
            square += ask->weight[i] == 0 ? 0 : (double)full->value[i] * (double)full->value[i];
        }
    }
    sum /= n;
    square /= n;
    ck_near(simworld_state(&w, "tokenizer.handVel.mean", NULL)[0], sum, 1e-4 * sqrt(square));
    ck_near(simworld_state(&w, "tokenizer.handVel.deviation", NULL)[0], sqrt(square - sum * sum), 1e-4 * sqrt(square));
    for (int i = 0; i < 150; i++) {
        simworld_pass(&w, w.windows.sample, w.windows.n, LOOM_STEP, (uint64_t)i);
        last = simworld_term(&w, "quantize.rebuild");
        first = i == 0 ? last : first;
        further = i == 0 ? simworld_term(&w, "quantize.further") : further;
        for (int64_t k = 0; k < w.store->size[LOOM_LIFE_PARAM]; k++)
            w.store->param[k] -= (loom_real)0.02 * w.block.grad[k] / (loom_real)(1e-3 + fabs((double)w.block.grad[k]));
        ck_ok(loom_model_update(w.model, w.block.sum, 0, 0, &w.e), &w.e);
    }
    ck_assert_msg(first > 0.7 && first < 1.5 && last < 0.35 * first, "%g, %g", first, last);
    ck_assert(simworld_term(&w, "quantize.further") < 0.9 * further);
    ck_assert(simworld_state(&w, "tokenizer.handVel.vq.health", NULL)[1] > 4);
    simworld_close(&w);
}
END_TEST

/* Two recordings name the same channels in other orders and spellings: what is known of a channel is one number. */
START_TEST(channels_meet_by_name)
{
    static const char *const spelt[2][2] = {{"Fc5.", "Cz"}, {"CZ..", "FC5"}};
    char text[1024];
    struct simworld w;
    folder_make();
    setenv("LOOM_CACHE", folder, 1);
    for (int k = 0; k < 2; k++) {
        float x[240][2];
        for (int i = 0; i < 240; i++)
            for (int d = 0; d < 2; d++)
                x[i][d] = (float)((d == k ? 10 : -3) + sin(0.3 * i + k));
        ck_ok(loom_file_write(in_folder(k ? "b.eeg" : "a.eeg"), x, sizeof x, &error), &error);
        snprintf(text, sizeof text,
                 "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=$b.eeg\n"
                 "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=2\nSamplingInterval=20000\n"
                 "[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\nCh1=%s,,1\nCh2=%s,,1\n",
                 spelt[k][0], spelt[k][1]);
        put(k ? "b.vhdr" : "a.vhdr", text);
    }
    snprintf(
        text, sizeof text,
        "data: { source = \"brainvision\"; files = ( \"%s/*.vhdr\" ); bin_ms = 50.0; window_ms = 600.0; split: { by = "
        "\"time\"; train = 0.8; valid = 0.1; test = 0.1; }; };" SIGNAL_OF("eeg"),
        folder);
    simworld_open(&w, text);
    simworld_fit(&w);
    int64_t n;
    const loom_real *mean = simworld_state(&w, "tokenizer.eeg.mean", &n);
    ck_assert_int_eq(n, 2);
    ck_near(mean[0], 10, 0.1);
    ck_near(mean[1], -3, 0.1);
    simworld_close(&w);
    folder_remove();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {spectrum_of_a_cosine, signals_have_codes, channels_meet_by_name};
    return run_suite("vq_signal", (int)(sizeof tests / sizeof *tests), tests, 60);
}
