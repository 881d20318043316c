/*
 * Whether a difference is more than chance.
 *
 * A profile counts events: samples of CPU or wall time, stalls, sampled
 * allocations. Seen at random, the number of them in a function over a window
 * is Poisson with mean rate * exposure, where the exposure is what the
 * comparison divides by: requests, seconds, or the profile's whole count. If
 * the rate is the same in A and B, then of the n = a + b events that both saw,
 * those of A are binomial (Przyborowski and Wilenski, 1940):
 *
 *     a ~ Bin(n, p)    p = exposureA / (exposureA + exposureB)
 *
 * The p-value is twice the smaller tail, at most 1. A difference counts where
 * it is under 0.001: of a thousand functions that did not change, one is shown
 * as changed. From n = 1000 on the tail is that of the normal distribution
 * with continuity correction, which then differs by less than 1 % of the
 * standard deviation.
 */

export const SIGNIFICANT = 0.001;

const NORMAL_FROM = 1000;

/* Two-sided p-value of a and b events at these exposures. */
export function chance(a: number, b: number, exposureA: number,
                       exposureB: number): number {
    const first = Math.round(a);
    const n = first + Math.round(b);
    if (n === 0 || !(exposureA > 0) || !(exposureB > 0)) {
        return 1;
    }
    const p = exposureA / (exposureA + exposureB);
    const tails = n < NORMAL_FROM ? exactTails(first, n, p) : normalTails(first, n, p);
    return Math.min(1, 2 * Math.min(...tails));
}

export function isSignificant(a: number, b: number, exposureA: number,
                              exposureB: number): boolean {
    return chance(a, b, exposureA, exposureB) < SIGNIFICANT;
}

/* [P(X <= a), P(X >= a)] of X ~ Bin(n, p). */
function exactTails(a: number, n: number, p: number): [number, number] {
    const logOdds = Math.log(p) - Math.log1p(-p);
    const logNone = n * Math.log1p(-p);
    const term = (k: number): number =>
        Math.exp(logBinomial(n, k) + k * logOdds + logNone);
    let below = 0;
    for (let k = 0; k < a; k++) {
        below += term(k);
    }
    const at = term(a);
    /* the difference is exact enough where it is not tiny; else add it up */
    let above = 1 - below;
    if (above < 1e-6) {
        above = 0;
        for (let k = a; k <= n; k++) {
            above += term(k);
        }
    }
    return [below + at, above];
}

function normalTails(a: number, n: number, p: number): [number, number] {
    const deviation = Math.sqrt(n * p * (1 - p));
    return [normalTail((n * p - a - 0.5) / deviation),
            normalTail((a - n * p - 0.5) / deviation)];
}

/*
 * P(Z > z) for z >= 0, else 1/2, which is as good: it is never the smaller
 * tail that counts. Abramowitz and Stegun 26.2.17, error below 7.5e-8.
 */
function normalTail(z: number): number {
    if (z <= 0) {
        return 0.5;
    }
    const t = 1 / (1 + 0.2316419 * z);
    const series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937
        + t * (-1.821255978 + t * 1.330274429))));
    return series * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
}

const logFactorials = [0];

function logFactorial(n: number): number {
    for (let k = logFactorials.length; k <= n; k++) {
        logFactorials.push(logFactorials[k - 1]! + Math.log(k));
    }
    return logFactorials[n]!;
}

function logBinomial(n: number, k: number): number {
    return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}
