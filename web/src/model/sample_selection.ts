/*
 * What of a profile is looked at: one of its values, of the samples whose
 * labels pass the filters; and how many events that were really seen stand
 * behind each value, which is what chance acts on.
 */

import { type LabelFilter, passesFilters } from "./label_filter";
import type { Profile } from "./profile";
import { servedRequests } from "./request_counts";
import type { Sum } from "./sampling_noise";

export interface Selection {
    readonly profile: Profile;
    /* index of profile.types */
    readonly type: number;
    readonly filters: readonly LabelFilter[];
    /* for each sample; 0 where it is left out */
    readonly values: Float64Array;
    /* events seen, for each sample; see seenEvents() */
    readonly events: Float64Array;
    /* the events' values squared and summed, for each sample */
    readonly squares: Float64Array;
    readonly total: number;
    readonly totalEvents: number;
    readonly totalSquares: number;
    /* that were served for it; null if the profile does not say */
    readonly requests: number | null;
}

export function select(profile: Profile, type: number,
                       filters: readonly LabelFilter[]): Selection {
    const passes = profile.labelSets.map(set => passesFilters(set, filters));
    const values = profile.values[type]!.map(
        (value, i) => (passes[profile.labels[i]!] ? value : 0));
    const events = seenEvents(profile, type, values);
    const squares = values.map((value, i) => squaresOf(value, events[i]!));
    return {
        profile, type, filters, values, events, squares,
        total: sum(values), totalEvents: sum(events), totalSquares: sum(squares),
        requests: servedRequests(profile.requests, filters),
    };
}

export function unitOf({ profile, type }: Selection): string {
    return profile.types[type]!.unit;
}

export function wholeOf({ total, totalSquares }: Selection): Sum {
    return { value: total, squares: totalSquares };
}

/* The part of the whole; 0 where the whole is nothing, or less. */
export function shareOf({ total }: Selection, value: number): number {
    return total > 0 ? value / total : 0;
}

/* The events of a sample are one by one not known: they count as alike. */
function squaresOf(value: number, events: number): number {
    return events > 0 ? value * value / events : value * value;
}

/*
 * CPU, wall and stall profiles count events beside their time. The values of
 * heap profiles are scaled up from what was sampled: of objects of s bytes,
 * one in 1/(1 - exp(-s/period)) was. Where neither is known, value/period.
 * Less in use than before takes as many events as that much more.
 */
function seenEvents(profile: Profile, type: number,
                    values: Float64Array): Float64Array {
    const { types, period, periodType } = profile;
    const [objects, bytes] = heapPair(profile, type);
    if (objects !== undefined && bytes !== undefined && period > 0) {
        return values.map((value, i) => (value === 0 ? 0
            : sampledObjects(Math.abs(objects[i]!), Math.abs(bytes[i]!), period)));
    }
    const counted = types.findIndex(t => t.unit === "count");
    if (counted >= 0) {
        const counts = profile.values[counted]!;
        return values.map((value, i) => (value === 0 ? 0 : Math.abs(counts[i]!)));
    }
    const perEvent = period > 0 && periodType.unit === types[type]!.unit ? period : 1;
    return values.map(value => Math.abs(value) / perEvent);
}

function heapPair(profile: Profile, type: number): (Float64Array | undefined)[] {
    const found = /^(.*)_(space|objects)$/.exec(profile.types[type]!.name);
    return ["objects", "space"].map(what => {
        const index = profile.types.findIndex(
            t => found !== null && t.name === `${found[1]}_${what}`);
        return index < 0 ? undefined : profile.values[index];
    });
}

function sampledObjects(objects: number, bytes: number, period: number): number {
    return objects <= 0 ? 0 : objects * -Math.expm1(-bytes / objects / period);
}

function sum(values: Float64Array): number {
    let total = 0;
    for (const value of values) {
        total += value;
    }
    return total;
}
