/*
 * A against B: what one value is of each, divided by what makes them compare,
 * and whether the difference is more than chance.
 */

import type { FrameTable } from "./frame_table";
import { type FunctionValues, functionValues } from "./function_table";
import { type Selection, unitOf, wholeOf } from "./sample_selection";
import { isSignificant, type Sum } from "./sampling_noise";
import type { Steps } from "./slices";

export const BASES = ["request", "second", "share", "absolute"] as const;
export type Basis = (typeof BASES)[number];

export type Verdict = "new" | "gone" | "more" | "less" | "same";

export interface Comparison {
    readonly basis: Basis;
    readonly a: Selection;
    readonly b: Selection;
    /* what values are multiplied by to compare */
    readonly scale: { readonly a: number; readonly b: number };
    /* what sampling_noise.ts calls exposures */
    readonly exposure: { readonly a: number; readonly b: number };
}

export interface ComparedFunction {
    readonly frame: number;
    readonly self: Difference;
    readonly total: Difference;
}

export interface Difference {
    /* scaled */
    readonly a: number;
    readonly b: number;
    readonly delta: number;
    readonly verdict: Verdict;
}

/* Why two selections can't be compared on that basis, or null if they can. */
export function obstacle(basis: Basis, a: Selection, b: Selection): string | null {
    if (basis !== "share" && unitOf(a) !== unitOf(b)) {
        return `A is in ${unitOf(a) || "no unit"}, B in ${unitOf(b) || "no unit"}`;
    }
    if (basis === "request") {
        if (a.requests === null || b.requests === null) {
            return a.profile.requests.all > 0 && b.profile.requests.all > 0
                ? "a label is filtered, and the profile counts requests of all together"
                : "the profiles do not say how many requests were served";
        }
        if (a.requests === 0 || b.requests === 0) {
            return "no request with these labels was counted";
        }
        if (isLevel(a) || isLevel(b)) {
            return "what is in use is not of some requests";
        }
    }
    if (basis === "second" && (!(a.profile.duration > 0) || !(b.profile.duration > 0))) {
        return "a profile has no duration";
    }
    if (basis === "share" && (a.total < 0 || b.total < 0)) {
        return "the whole of a profile is less than nothing";
    }
    return null;
}

/* The basis that is asked for, or the best that these two have. */
export function usableBasis(wanted: Basis | null, a: Selection, b: Selection): Basis {
    const order: Basis[] = wanted === null ? [...BASES] : [wanted, ...BASES];
    return order.find(basis => obstacle(basis, a, b) === null
        && (basis !== "second" || wanted === "second")) ?? "share";
}

export function compare(basis: Basis, a: Selection, b: Selection): Comparison {
    const [x, y] = [divisorOf(basis, a), divisorOf(basis, b)];
    return {
        basis, a, b,
        scale: { a: inverse(x), b: inverse(y) },
        exposure: { a: x, b: y },
    };
}

/* What there is at one time, whatever was served meanwhile. */
function isLevel({ profile, type }: Selection): boolean {
    return profile.types[type]!.name.startsWith("inuse_");
}

function divisorOf(basis: Basis, selection: Selection): number {
    switch (basis) {
        case "request": return selection.requests ?? 0;
        case "second": return selection.profile.duration;
        case "share": return selection.total;
        case "absolute": return 1;
    }
}

function inverse(value: number): number {
    return value > 0 ? 1 / value : 0;
}

export function difference({ scale, exposure }: Comparison, a: Sum, b: Sum): Difference {
    const [x, y] = [a.value * scale.a, b.value * scale.b];
    const changed = x !== y && isSignificant(a, b, exposure.a, exposure.b);
    return { a: x, b: y, delta: y - x, verdict: changed ? changeOf(x, y) : "same" };
}

function changeOf(a: number, b: number): Verdict {
    if (a === 0 || b === 0) {
        return a === 0 ? "new" : "gone";
    }
    return b > a ? "more" : "less";
}

/* Functions between two yields: chance takes microseconds to compute. */
const SOME = 64;

/* All functions that either has, the largest change of self first. */
export function* comparedFunctions(comparison: Comparison): Steps<ComparedFunction[]> {
    const a = functionValues(comparison.a);
    yield;
    const b = functionValues(comparison.b);
    yield;
    const found: ComparedFunction[] = [];
    const self = ({ self, selfSquares }: FunctionValues, frame: number): Sum =>
        ({ value: self[frame]!, squares: selfSquares[frame]! });
    const total = ({ total, totalSquares }: FunctionValues, frame: number): Sum =>
        ({ value: total[frame]!, squares: totalSquares[frame]! });
    for (let frame = 0; frame < a.total.length; frame++) {
        if (a.total[frame] === 0 && b.total[frame] === 0) {
            continue;
        }
        if (found.length % SOME === 0) {
            yield;
        }
        found.push({
            frame,
            self: difference(comparison, self(a, frame), self(b, frame)),
            total: difference(comparison, total(a, frame), total(b, frame)),
        });
    }
    return found.sort((x, y) => Math.abs(y.self.delta) - Math.abs(x.self.delta));
}

export interface Headline {
    /* what changed most, or undefined if nothing did beyond chance */
    readonly function?: {
        readonly frame: number; readonly name: string; readonly self: Difference;
    };
    readonly whole: Difference;
}

export function headline(comparison: Comparison, functions: ComparedFunction[],
                         frames: FrameTable): Headline {
    const { a, b } = comparison;
    const whole = difference(comparison, wholeOf(a), wholeOf(b));
    const top = functions.find(({ frame, self }) => self.verdict !== "same"
        && !isMarker(frames.frames[frame]!.name));
    if (top === undefined) {
        return { whole };
    }
    const { frame, self } = top;
    return { function: { frame, name: frames.frames[frame]!.name, self }, whole };
}

/* "[lost]", "[truncated]": what the profiler says of itself, no function. */
export function isMarker(name: string): boolean {
    return name.startsWith("[") && name.endsWith("]");
}
