/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/rng.h>

#include <string.h>

#include "suite.h"

#include <math.h>

static void check_philox(uint32_t k0, uint32_t k1, const uint32_t counter[4], const uint32_t want[4])
{
    const uint32_t key[2] = {k0, k1};
    uint32_t out[4];
    loom_philox(key, counter, out);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(out[i], want[i]);
}

/* Known answers of the authors' Random123 distribution. */
START_TEST(philox_vectors)
{
    check_philox(0, 0, (uint32_t[4]){0}, (uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_philox(0xffffffff, 0xffffffff, (uint32_t[4]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                 (uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_philox(0xa4093822, 0x299f31d0, (uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                 (uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}
END_TEST

/* Checkpoints hang on these: they never change. */
START_TEST(names_are_for_ever)
{
    struct loom_rng r;
    ck_assert_uint_eq(loom_hash("", 0, 0), 0xf52a15e9a9b5e89bu);
    ck_assert_uint_eq(loom_hash("mask", 4, 1), 0x4aa71d2acbeb074du);
    loom_rng_init(&r, 1, "mask", 2, 3);
    ck_assert_uint_eq(loom_rng_u32(&r), 0xf79f0ac5u);
}
END_TEST

START_TEST(streams_differ_by_each_name)
{
    struct loom_rng base, other[5];
    loom_rng_init(&base, 1, "mask", 2, 3);
    loom_rng_init(&other[0], 2, "mask", 2, 3);
    loom_rng_init(&other[1], 1, "mask2", 2, 3);
    loom_rng_init(&other[2], 1, "mask", 3, 3);
    loom_rng_init(&other[3], 1, "mask", 2 + ((uint64_t)1 << 32), 3);
    loom_rng_init(&other[4], 1, "mask", 2, 3 + ((uint64_t)1 << 32));
    uint32_t word = loom_rng_u32(&base);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_ne(loom_rng_u32(&other[i]), word);
}
END_TEST

/* Mean and variance of n draws, tested at five standard errors. */
struct moments {
    double mean, variance;
};

enum { DRAWS = 200000 };

static struct moments moments_of(double (*draw)(struct loom_rng *, double), double argument)
{
    struct loom_rng r;
    struct moments m = {0, 0};
    loom_rng_init(&r, 11, "moments", 0, 0);
    for (int i = 1; i <= DRAWS; i++) {
        double x = draw(&r, argument), gap = x - m.mean;
        m.mean += gap / i;
        m.variance += gap * (x - m.mean);
    }
    m.variance /= DRAWS - 1;
    return m;
}

static double draw_uniform(struct loom_rng *r, double argument)
{
    double u = loom_rng_uniform(r);
    ck_assert(u >= 0.0 && u < 1.0);
    return u + argument;
}

static double draw_normal(struct loom_rng *r, double argument)
{
    return loom_rng_normal(r) + argument;
}

static double draw_poisson(struct loom_rng *r, double mean)
{
    return (double)loom_rng_poisson(r, mean);
}

START_TEST(distributions)
{
    struct moments m = moments_of(draw_uniform, 0.0);
    ck_near(m.mean, 0.5, 5 * sqrt(1.0 / 12 / DRAWS));
    ck_near(m.variance, 1.0 / 12, 5 * sqrt(1.0 / 180 / DRAWS));
    m = moments_of(draw_normal, 0.0);
    ck_near(m.mean, 0.0, 5 * sqrt(1.0 / DRAWS));
    ck_near(m.variance, 1.0, 5 * sqrt(2.0 / DRAWS));
    static const double means[] = {0.01, 0.7, 29.9, 30.1, 1000.0, 1e6};
    for (size_t i = 0; i < sizeof means / sizeof *means; i++) {
        m = moments_of(draw_poisson, means[i]);
        ck_near(m.mean, means[i], 5 * sqrt(means[i] / DRAWS));
        ck_near(m.variance, means[i], 5 * sqrt((2 * means[i] * means[i] + means[i]) / DRAWS));
    }
}
END_TEST

START_TEST(poisson_at_the_edges)
{
    struct loom_rng r;
    loom_rng_init(&r, 1, "edges", 0, 0);
    ck_assert_int_eq(loom_rng_poisson(&r, 0.0), 0);
    ck_assert_int_eq(loom_rng_poisson(&r, -1.0), 0);
    ck_assert_int_eq(loom_rng_poisson(&r, (double)NAN), 0);
    ck_assert(loom_rng_poisson(&r, (double)INFINITY) > 0);
}
END_TEST

START_TEST(below_and_shuffle)
{
    struct loom_rng r;
    int32_t seen[6] = {0}, cards[52];
    loom_rng_init(&r, 5, "below", 0, 0);
    for (int i = 0; i < 60000; i++)
        seen[loom_rng_below(&r, 6)]++;
    for (int i = 0; i < 6; i++)
        ck_near(seen[i], 10000, 5 * sqrt(10000 * 5.0 / 6));
    ck_assert_uint_eq(loom_rng_below(&r, 1), 0);
    uint64_t all = 0;
    int moved = 0;
    for (int i = 0; i < 52; i++)
        cards[i] = i;
    loom_rng_shuffle(&r, cards, 52);
    for (int i = 0; i < 52; i++) {
        all |= (uint64_t)1 << cards[i];
        moved += cards[i] != i;
    }
    ck_assert_uint_eq(all, ((uint64_t)1 << 52) - 1);
    ck_assert_int_gt(moved, 40);
    loom_rng_shuffle(&r, cards, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {philox_vectors, names_are_for_ever,   streams_differ_by_each_name,
                                  distributions,  poisson_at_the_edges, below_and_shuffle};
    return run_suite("rng", sizeof tests / sizeof *tests, tests, 20);
}
