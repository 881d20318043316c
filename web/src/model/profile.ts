/*
 * A profile in memory: samples as flat arrays of numbers, which is what makes
 * tens of thousands of stacks quick to go through.
 */

import type { FrameTable } from "./frame_table";
import type { RequestCounts } from "./request_counts";

export interface ValueType {
    readonly name: string;
    readonly unit: string;
}

export type LabelSet = ReadonlyMap<string, string>;

export interface Profile {
    readonly frames: FrameTable;
    readonly types: readonly ValueType[];
    /* index of types */
    readonly defaultType: number;
    /* one for each sample */
    readonly size: number;
    /* the frames of sample i, the root first: stacks[starts[i]..starts[i+1]) */
    readonly stacks: Int32Array;
    readonly starts: Int32Array;
    /* for each of types, a value for each sample */
    readonly values: readonly Float64Array[];
    /* of sample i: labelSets[labels[i]] */
    readonly labels: Int32Array;
    readonly labelSets: readonly LabelSet[];
    readonly period: number;
    readonly periodType: ValueType;
    /* milliseconds since the epoch, 0 if unknown */
    readonly time: number;
    /* seconds, 0 if unknown */
    readonly duration: number;
    readonly requests: RequestCounts;
    readonly comments: readonly string[];
}

type LabelValues = ReadonlyMap<string, ReadonlyMap<string, number>>;

const known = new WeakMap<Profile, LabelValues>();

/* Labels and their values, sorted, each with the number of its samples. */
export function labelValues(profile: Profile): LabelValues {
    const values = known.get(profile) ?? countLabels(profile);
    known.set(profile, values);
    return values;
}

/* Values of a label to choose from: all, or, where a list of them would be too
   long, those of most samples. */
export function offeredValues(values: ReadonlyMap<string, number>): string[] {
    const offered = values.size <= MAX_OFFERED ? [...values]
        : [...values].sort(([, x], [, y]) => y - x).slice(0, MAX_OFFERED);
    return offered.map(([value]) => value);
}

const MAX_OFFERED = 200;

function countLabels(profile: Profile): LabelValues {
    const samples = new Float64Array(profile.labelSets.length);
    for (const set of profile.labels) {
        samples[set]! += 1;
    }
    const found = new Map<string, Map<string, number>>();
    profile.labelSets.forEach((set, index) => {
        for (const [name, value] of set) {
            const values = found.get(name) ?? new Map<string, number>();
            values.set(value, (values.get(value) ?? 0) + samples[index]!);
            found.set(name, values);
        }
    });
    const sorted = [...found].sort(([a], [b]) => a.localeCompare(b));
    return new Map(sorted.map(([name, values]) =>
        [name, new Map([...values].sort(([a], [b]) => a.localeCompare(b)))]));
}
