/*
 * Whether a difference is more than chance.
 *
 * A profile counts events: samples of CPU or wall time, stalls, sampled
 * allocations. Seen at random, the number of them in a function over a window
 * is Poisson with mean rate * exposure, where the exposure is what the
 * comparison divides by: requests, seconds, or the profile's whole. If
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
 *
 * What is shown are sums of the events' values: times, bytes. If nothing
 * changed, each event, of whatever value x, is of A with that p, so that the
 * sum of A has mean p * sum(x) and variance p * (1 - p) * sum(x^2). That is as
 * of n = sum(x)^2 / sum(x^2) events of one value, shared between A and B as the
 * value is; where all x are alike, as in CPU profiles, they are the events.
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
    const tail = n < NORMAL_FROM ? exactTail(first, n, p) : normalTail(first, n, p);
    return Math.min(1, 2 * tail);
}

/* A sum of events' values. */
export interface Sum {
    readonly value: number;
    /* the sum of their squares, an estimate of its variance */
    readonly squares: number;
}

const NOTHING: Sum = { value: 0, squares: 0 };

/* Two-sided p-value of two sums at these exposures. */
export function chanceOfSums(a: Sum, b: Sum, exposureA: number,
                             exposureB: number): number {
    /* -3 to 5 is more than 0 to 5, and more than -3 to 0 */
    if (a.value * b.value < 0) {
        return Math.min(chanceOfSums(a, NOTHING, exposureA, exposureB),
                        chanceOfSums(NOTHING, b, exposureA, exposureB));
    }
    const squares = a.squares + b.squares;
    if (squares === 0) {
        return 1;
    }
    const [x, y] = [Math.abs(a.value), Math.abs(b.value)];
    const perValue = (x + y) / squares;
    return chance(x * perValue, y * perValue, exposureA, exposureB);
}

export function isSignificant(a: Sum, b: Sum, exposureA: number,
                              exposureB: number): boolean {
    return chanceOfSums(a, b, exposureA, exposureB) < SIGNIFICANT;
}

/*
 * P(X <= a) of X ~ Bin(n, p) if a is below the mean, else P(X >= a): from a
 * outwards terms only get smaller.
 */
function exactTail(a: number, n: number, p: number): number {
    const odds = p / (1 - p);
    let term = Math.exp(logBinomial(n, a) + a * Math.log(p) + (n - a) * Math.log1p(-p));
    let sum = 0;
    if (a < n * p) {
        for (let k = a; k >= 0 && term > sum * Number.EPSILON; k--) {
            sum += term;
            term *= k / (n - k + 1) / odds;
        }
    } else {
        for (let k = a; k <= n && term > sum * Number.EPSILON; k++) {
            sum += term;
            term *= (n - k) / (k + 1) * odds;
        }
    }
    return sum;
}

/*
 * The same of the normal distribution. Abramowitz and Stegun 26.2.17, error
 * below 7.5e-8.
 */
function normalTail(a: number, n: number, p: number): number {
    const deviation = Math.sqrt(n * p * (1 - p));
    const z = (Math.abs(a - n * p) - 0.5) / deviation;
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
