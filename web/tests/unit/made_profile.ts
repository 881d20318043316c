/*
 * Profiles for tests: from stacks written as "root;middle;leaf".
 */

import { gzipSync } from "node:zlib";
import {
    Function, Label, Line, Location, Mapping, Profile as Message, Sample, StringTable, ValueType,
} from "pprof-format";
import { FrameTable } from "../../src/model/frame_table";
import type { Profile } from "../../src/model/profile";
import { decodeProfile } from "../../src/model/profile_decode";
import { select, type Selection } from "../../src/model/sample_selection";
import { finish } from "../../src/model/slices";

export interface MadeSample {
    /* "library:name" or "name", joined by ";", the root first; "outer>inner" is
       one place of two functions, the inner inlined into the outer */
    readonly stack: string;
    readonly values: readonly number[];
    readonly labels?: Readonly<Record<string, string | number>>;
}

export interface MadeOptions {
    readonly types?: readonly (readonly [string, string])[];
    readonly period?: number;
    readonly periodType?: readonly [string, string];
    readonly seconds?: number;
    /* of its start, Unix seconds */
    readonly time?: number;
    readonly comments?: readonly string[];
    readonly defaultType?: string;
}

export const CPU_TYPES = [["samples", "count"], ["cpu", "nanoseconds"]] as const;

export function encoded(samples: readonly MadeSample[], options: MadeOptions = {}): Uint8Array {
    const strings = new StringTable();
    const functions: Function[] = [];
    const locations: Location[] = [];
    const mappings: Mapping[] = [];
    const known = new Map<string, number>();
    const mappingOf = new Map<string, number>();
    const valueType = ([type, unit]: readonly [string, string]): ValueType =>
        new ValueType({ type: strings.dedup(type), unit: strings.dedup(unit) });

    const mapping = (library: string): number => {
        if (!mappingOf.has(library)) {
            mappings.push(new Mapping({ id: mappings.length + 1,
                                        filename: strings.dedup(library) }));
            mappingOf.set(library, mappings.length);
        }
        return mappingOf.get(library)!;
    };
    const location = (text: string): number => {
        const id = known.get(text);
        if (id !== undefined) {
            return id;
        }
        const [, library, name] = /^(?:([^:]*):)?(.*)$/s.exec(text)!;
        const next = locations.length + 1;
        const inlined = name!.split(">").reverse().map(part => {
            functions.push(new Function({
                id: functions.length + 1, name: strings.dedup(part) }));
            return new Line({ functionId: functions.length, line: 1 });
        });
        locations.push(new Location({
            id: next, line: inlined,
            ...(library === undefined ? {} : { mappingId: mapping(library) }),
        }));
        known.set(text, next);
        return next;
    };
    const message = new Message({
        sampleType: (options.types ?? CPU_TYPES).map(valueType),
        sample: samples.map(({ stack, values, labels }) => new Sample({
            locationId: stack === "" ? [] : stack.split(";").reverse().map(location),
            value: [...values],
            label: Object.entries(labels ?? {}).map(([key, value]) => new Label({
                key: strings.dedup(key),
                ...(typeof value === "string" ? { str: strings.dedup(value) } : { num: value }),
            })),
        })),
        mapping: mappings, location: locations, function: functions, stringTable: strings,
        period: options.period ?? 1e7,
        periodType: valueType(options.periodType ?? ["cpu", "nanoseconds"]),
        durationNanos: 1e9 * (options.seconds ?? 10), timeNanos: 1e9 * (options.time ?? 1.7e9),
        comment: (options.comments ?? []).map(text => strings.dedup(text)),
        defaultSampleType: strings.dedup(options.defaultType ?? ""),
    });
    return message.encode();
}

export function zipped(samples: readonly MadeSample[],
                       options: MadeOptions = {}): Uint8Array<ArrayBuffer> {
    return new Uint8Array(gzipSync(encoded(samples, options)));
}

export function made(samples: readonly MadeSample[], options: MadeOptions = {},
                     frames = new FrameTable()): Profile {
    return finish(decodeProfile(encoded(samples, options), frames));
}

/* A CPU profile: "stack" -> samples, of 10 ms each. */
export function cpu(stacks: Readonly<Record<string, number>>, options: MadeOptions = {},
                    frames = new FrameTable()): Selection {
    const samples = Object.entries(stacks).map(([stack, n]) =>
        ({ stack, values: [n, n * 1e7] }));
    return select(made(samples, options, frames), 1, []);
}
