/*
 * The kinds of profiles that the page has tabs for, and how each is known: by
 * the sample types of a profile, and by its path below the endpoint.
 */

import type { Profile } from "./profile";

export interface Kind {
    readonly id: string;
    readonly title: string;
    /* sample type of its time or size, and of its count */
    readonly value: string;
    readonly count: string;
    /* below the endpoint; "" where that has none */
    readonly path: string;
    /* a state, not what happened in a window: it is there at once */
    readonly instant: boolean;
}

export const KINDS: readonly Kind[] = [
    { id: "cpu", title: "CPU", value: "cpu", count: "samples",
      path: "profile", instant: false },
    { id: "wall", title: "Wall", value: "wall", count: "samples",
      path: "wall", instant: false },
    { id: "stall", title: "Stall", value: "delay", count: "stalls",
      path: "stall", instant: false },
    { id: "alloc", title: "Alloc", value: "alloc_space", count: "alloc_objects",
      path: "allocs", instant: false },
    { id: "inuse", title: "In use", value: "inuse_space", count: "inuse_objects",
      path: "heap", instant: true },
];

/* Of a file that none of KINDS fits: one kind, with what it has. */
export function otherKind(profile: Profile): Kind {
    const type = profile.types[profile.defaultType]!;
    const count = profile.types.find(t => t.unit === "count") ?? type;
    const title = type.name || "unnamed";
    return { id: title, title, value: type.name, count: count.name, path: "", instant: false };
}

/* The kinds that a profile can be shown as. */
export function kindsOf(profile: Profile): Kind[] {
    const fits = KINDS.filter(kind => typeIndex(profile, kind.value) >= 0
        && typeIndex(profile, kind.count) >= 0);
    return fits.length > 0 ? fits : [otherKind(profile)];
}

/* Index of the sample type to show. */
export function kindType(profile: Profile, kind: Kind, counts: boolean): number {
    const index = typeIndex(profile, counts ? kind.count : kind.value);
    return index >= 0 ? index : profile.defaultType;
}

function typeIndex(profile: Profile, name: string): number {
    return profile.types.findIndex(type => type.name === name);
}
