/*
 * The sentence on top of a comparison.
 */

import type { Basis, Comparison, Difference, Headline } from "./comparison";
import { formatFactor, formatShare, formatValue } from "./value_format";

const WHAT: ReadonlyMap<string, string> = new Map([
    ["cpu", "CPU"], ["wall", "wall time"], ["delay", "stall"],
    ["alloc_space", "allocation"], ["inuse_space", "memory in use"],
]);

const PER: Readonly<Record<Basis, string>> = {
    request: " per request", second: " per second", share: "", absolute: "",
};

/* The parts: before the function's name, the name, and what follows it. */
export interface Sentence {
    readonly before: string;
    readonly name: string;
    readonly after: string;
}

export function sentence(comparison: Comparison, headline: Headline): Sentence {
    const whole = wholeText(comparison, headline.whole);
    const empty = [comparison.a.totalEvents === 0 ? "A" : "",
                   comparison.b.totalEvents === 0 ? "B" : ""].filter(Boolean);
    if (empty.length > 0) {
        return { before: `${empty.join(" and ")} ${empty.length > 1 ? "have" : "has"} `
            + "no samples: there is nothing to compare.", name: "", after: "" };
    }
    const { function: changed } = headline;
    if (changed === undefined) {
        return { before: "No function changed by more than chance explains.",
                 name: "", after: whole };
    }
    return {
        before: "What changed most is ",
        name: changed.name,
        after: `: ${changeText(comparison, changed.self)}.${whole}`,
    };
}

function changeText(comparison: Comparison, { a, b, verdict }: Difference): string {
    const of = quantity(comparison);
    const [x, y] = [amount(comparison, a), amount(comparison, b)];
    switch (verdict) {
        case "gone": return `${x}${of} in A, nothing in B`;
        case "new": return `nothing in A, ${y}${of} in B`;
        default: return `${x}${of} in A, ${y} in B`;
    }
}

/* " of CPU per request" */
function quantity(comparison: Comparison): string {
    const { basis } = comparison;
    const what = WHAT.get(comparison.a.profile.types[comparison.a.type]!.name);
    return what === undefined ? PER[basis] : ` of ${what}${PER[basis]}`;
}

export function amount({ basis, a }: Comparison, value: number): string {
    return basis === "share" ? formatShare(value)
        : formatValue(value, a.profile.types[a.type]!.unit);
}

function wholeText(comparison: Comparison, { a, b, verdict }: Difference): string {
    if (comparison.basis === "share" || a === 0 || b === 0) {
        return "";
    }
    const subject = comparison.basis === "request" ? "A request"
        : comparison.basis === "second" ? "A second" : "The whole";
    const [x, y] = [amount(comparison, a), amount(comparison, b)];
    if (a < 0 || b < 0) {
        return ` ${subject} takes ${x} in A, ${y} in B.`;
    }
    if (verdict === "same") {
        return ` ${subject} takes as much as before, as far as can be told: ${x}, ${y}.`;
    }
    const [factor, word] = a > b ? [a / b, "less"] : [b / a, "more"];
    return ` ${subject} takes ${formatFactor(factor)} times ${word}: ${x} → ${y}.`;
}
