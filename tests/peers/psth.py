#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""R² of mean responses, what it is over resampled trials and when conditions are dealt anew, by NumPy, for
tests/test_trust.c:

    python3 tests/peers/psth.py > tests/golden/psth.json
    python3 tests/peers/psth.py --coverage      # how often intervals hold what they are intervals of (minutes)
"""
import json
import sys

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(77)

BIN_S, KERNEL_S, DRAWS = 0.02, 0.05, 20000


def smoothed(x, sd=KERNEL_S / BIN_S):
    """x [bins, units] by a Gaussian of int(6 sd) taps, without counts beyond the edges."""
    taps = int(6 * sd)
    window = np.exp(-0.5 * ((np.arange(taps) - (taps - 1) / 2) / sd) ** 2)
    window /= window.sum()
    return np.stack([np.convolve(u, window)[(taps - 1) // 2:][:len(u)] for u in x.T], 1)


def r2(y, guess):
    """Mean over units of y, guess [rows, units]."""
    return np.mean(1 - ((y - guess) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0))


def mean_response(trials, span):
    """Of each bin, over the trials that have it; as far as any has."""
    if min(len(x) for x in trials) >= span:
        return np.mean([x[:span] for x in trials], 0)
    stack = np.full((len(trials), span, trials[0].shape[1]), np.nan)
    for i, x in enumerate(trials):
        stack[i, :len(x)] = x[:span]
    stack = stack[:, ~np.isnan(stack[:, :, 0]).all(0)]
    return np.nanmean(stack, 0)


class Recording:
    def __init__(self, counts, rates, condition):
        y = [smoothed(x) for x in counts]
        length = np.array([len(x) for x in y])
        self.group = []
        for c in range(max(condition) + 1):
            own = np.flatnonzero(np.array(condition) == c)
            self.group.append(own[length[own] >= 0.8 * length[own].mean()])
        self.span = [length[g].min() for g in self.group]
        self.y, self.rates = y, rates

    def score(self, groups, others):
        pairs = []
        for own, other, span in zip(groups, others, self.span):
            y, guess = mean_response([self.y[i] for i in own], span), mean_response([self.rates[i] for i in other], span)
            pairs.append((y[:len(guess)], guess))
        return r2(np.concatenate([y for y, _ in pairs]), np.concatenate([guess for _, guess in pairs]))

    def resampled(self, rng):
        """Each condition's mean response, off by what the mean of n drawn trials is off, times sqrt(n / (n - 1)); a
        condition of one trial is off by what a trial of another is."""
        sides = [], []
        donors = [(k, i) for k, g in enumerate(self.group) if len(g) > 1 for i in g]
        for k, g in enumerate(self.group):
            of, drawn = k, rng.choice(g, len(g))
            if len(g) == 1:
                of, trial = donors[rng.integers(len(donors))]
                drawn = [trial]
            n, span = len(self.group[of]), min(self.span[of], self.span[k])
            for side, trials in zip(sides, (self.y, self.rates)):
                x = mean_response([trials[i] for i in g], self.span[k])
                x[:span] += np.sqrt(n / (n - 1)) * (mean_response([trials[i] for i in drawn], span) -
                                                    mean_response([trials[i] for i in self.group[of]], span))
                side.append(x)
        return r2(*map(np.concatenate, sides))

    def shuffled(self, rng):
        dealt = rng.permutation(np.concatenate(self.group))
        return self.score(self.group, np.split(dealt, np.cumsum([len(g) for g in self.group])[:-1]))


def of_all(recordings, draw):
    return np.mean([draw(r) for r in recordings])


def case(rng):
    conditions, units = 3, 3
    made = []
    for lone in range(2):
        condition = np.append(np.arange(15) % conditions, [conditions] * lone).astype(int)
        phase = rng.uniform(0, 6, (conditions + 1, units))
        bins = rng.integers(8, 11, len(condition))
        bins[4] = 5
        rates, counts = [], []
        for c, n in zip(condition, bins):
            gain = np.exp(rng.normal(0, 0.3))
            rate = gain * np.exp(1.0 + np.sin(phase[c] + 0.7 * np.arange(n)[:, None]))
            counts.append(rng.poisson(rate))
            rates.append(np.round(smoothed(rate) * np.exp(rng.normal(0, 0.1)), 3))
        made.append({"condition": condition.tolist(), "counts": counts, "rates": rates})
    recordings = [Recording(m["counts"], m["rates"], m["condition"]) for m in made]
    own = of_all(recordings, lambda r: r.score(r.group, r.group))
    draws = np.array([of_all(recordings, lambda r: r.resampled(rng)) for _ in range(DRAWS)])
    dealt = np.array([of_all(recordings, lambda r: r.shuffled(rng)) for _ in range(DRAWS)])
    shift = own - draws.mean()
    for m in made:
        m["counts"], m["rates"] = [x.tolist() for x in m["counts"]], [x.tolist() for x in m["rates"]]
    return {"made_with": {"numpy": np.__version__}, "bin_s": BIN_S, "recordings": made, "mean": own, "shift": shift,
            "trials": int(sum(len(g) for r in recordings for g in r.group)),
            "interval": (np.percentile(draws, [2.5, 97.5]) + shift).tolist(),
            "shuffle": {"mean": dealt.mean(), "interval": np.percentile(dealt, [2.5, 97.5]).tolist()}}


def coverage():
    """A model that stays, spikes and gains of trials that are drawn anew: is the mean of R² over such data sets in the
    percentiles, and in the percentiles shifted back?"""
    rng = np.random.default_rng(0)
    conditions, bins, units, sets = 8, 30, 20, 80
    rate = 0.15 * np.exp(rng.normal(0, 0.5, (conditions, 1, units)) + 0.8 * rng.normal(0, 1, (conditions, 1, units)) *
                         np.sin(6 * np.linspace(0, 1, bins))[None, :, None])
    wrong = np.exp(rng.normal(0, 1, (conditions, 1, units)) * np.cos(4 * np.linspace(0, 1, bins))[None, :, None])

    def data(trials, error):
        condition = np.repeat(np.arange(conditions), trials)
        gain = np.exp(rng.normal(0, 0.3, (len(condition), 1, 1)))
        known = gain ** 0.7 * np.exp(rng.normal(0, 0.15, gain.shape))
        return Recording(rng.poisson(rate[condition] * gain).astype(float),
                         (rate * wrong ** error)[condition] * known, condition)

    for error in (0.1, 0.5):
        for trials in ([2] * 8, [3] * 8, [5] * 8, [10] * 8, [1, 3, 4, 5, 6, 6, 7, 8]):
            expected = np.mean([x.score(x.group, x.group) for x in (data(trials, error) for _ in range(400))])
            hits = np.zeros(2)
            for _ in range(sets):
                x = data(trials, error)
                draws = [x.resampled(rng) for _ in range(200)]
                low, high = np.percentile(draws, [2.5, 97.5])
                shift = x.score(x.group, x.group) - np.mean(draws)
                hits += [low <= expected <= high, low + shift <= expected <= high + shift]
            print(f"error {error}, trials of conditions {trials}, R² {expected:.2f}: percentiles hold it in "
                  f"{100 * hits[0] / sets:.0f} %, shifted in {100 * hits[1] / sets:.0f} %", flush=True)


if __name__ == "__main__":
    if "--coverage" in sys.argv:
        coverage()
    else:
        print(json.dumps(case(np.random.default_rng(1)), separators=(",", ":")))
