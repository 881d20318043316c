/*
 * Reads profile.proto, gzipped or not. What comes in may be anybody's file: a
 * reference to what is not there, or a size beyond the bounds, is refused with
 * a message for the user.
 */

import { Profile as Message } from "pprof-format";
import { FrameTable, libraryName } from "./frame_table";
import type { LabelSet, Profile, ValueType } from "./profile";
import { requestCounts } from "./request_counts";

const MAX_INFLATED = 512 * 1024 * 1024;

export class ProfileError extends Error {}

export async function readProfile(bytes: Uint8Array<ArrayBuffer>,
                                  frames: FrameTable): Promise<Profile> {
    if (bytes.length === 0) {
        throw new ProfileError("the file is empty");
    }
    const plain = isGzip(bytes) ? await inflate(bytes) : bytes;
    await nextTask();
    const message = parse(plain);
    await nextTask();
    return new Decoder(message, frames).decode();
}

export function decodeProfile(bytes: Uint8Array, frames: FrameTable): Profile {
    return new Decoder(parse(bytes), frames).decode();
}

/* Lets the browser draw and listen between two pieces of work. */
export function nextTask(): Promise<void> {
    return new Promise(resolve => { setTimeout(resolve); });
}

function parse(bytes: Uint8Array): Message {
    let message: Message;
    try {
        message = Message.decode(bytes);
    } catch {
        throw new ProfileError("this is not a profile in pprof's format");
    }
    if (message.sampleType.length === 0) {
        throw new ProfileError("this is not a profile in pprof's format: "
            + "it has no sample types");
    }
    return message;
}

function isGzip(bytes: Uint8Array): boolean {
    return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
        const stream = new Blob([bytes]).stream()
            .pipeThrough(new DecompressionStream("gzip"));
        const reader = stream.getReader();
        for (;;) {
            const { done, value } = await reader.read();
            if (done) {
                break;
            }
            size += value.length;
            if (size > MAX_INFLATED) {
                await reader.cancel();
                break;
            }
            chunks.push(value);
        }
    } catch {
        throw new ProfileError("the file is damaged: it does not unzip");
    }
    if (size > MAX_INFLATED) {
        throw new ProfileError("the profile is larger than 512 MiB");
    }
    return joined(chunks, size);
}

function joined(chunks: Uint8Array[], size: number): Uint8Array {
    const all = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
    }
    return all;
}

/* An int64 of the message, which the parser gives as if it had no sign. */
function signed(value: number | bigint): number {
    return Number(typeof value === "bigint" ? BigInt.asIntN(64, value) : value);
}

class Decoder {
    private readonly strings: string[];
    /* location id -> its frames, the outermost inlined call first */
    private readonly locations = new Map<number, number[]>();
    private readonly labelIds = new Map<string, number>();
    private readonly labelSets: LabelSet[] = [];

    constructor(private readonly message: Message,
                private readonly frames: FrameTable) {
        this.strings = message.stringTable.strings;
    }

    decode(): Profile {
        const { message } = this;
        this.readLocations();
        const samples = message.sample;
        const starts = new Int32Array(samples.length + 1);
        samples.forEach((sample, i) => {
            const depth = sample.locationId.reduce<number>(
                (sum, id) => sum + this.location(id).length, 0);
            starts[i + 1] = starts[i]! + depth;
        });
        const types = message.sampleType.map(type => this.valueType(type));
        const comments = message.comment.map(index => this.text(index));
        return {
            frames: this.frames,
            types,
            defaultType: this.defaultType(types),
            size: samples.length,
            starts,
            stacks: this.stacks(starts),
            values: types.map((_, type) => this.values(type)),
            labels: this.labels(),
            labelSets: this.labelSets,
            period: Number(message.period),
            periodType: message.periodType
                ? this.valueType(message.periodType) : { name: "", unit: "" },
            time: Number(message.timeNanos) / 1e6,
            duration: Number(message.durationNanos) / 1e9,
            requests: requestCounts(comments),
            comments,
        };
    }

    private text(index: number | bigint): string {
        const text = this.strings[Number(index)];
        if (text === undefined) {
            throw new ProfileError("the profile is damaged: it refers to a "
                + "string that it does not have");
        }
        return text;
    }

    private valueType(type: { type: number | bigint; unit: number | bigint }): ValueType {
        return { name: this.text(type.type), unit: this.text(type.unit) };
    }

    private defaultType(types: ValueType[]): number {
        const name = this.text(this.message.defaultSampleType);
        const index = types.findIndex(type => type.name === name);
        return index >= 0 ? index : types.length - 1;
    }

    private readLocations(): void {
        const functions = new Map(this.message.function.map(f => [Number(f.id), f]));
        const mappings = new Map(this.message.mapping.map(m =>
            [Number(m.id), libraryName(this.text(m.filename))]));
        for (const location of this.message.location) {
            const library = mappings.get(Number(location.mappingId)) ?? "";
            const frames = location.line.map(line => {
                const called = functions.get(Number(line.functionId));
                if (called === undefined) {
                    throw new ProfileError("the profile is damaged: it refers "
                        + "to a function that it does not have");
                }
                return this.frames.intern(
                    this.text(called.name) || "[unnamed]", library,
                    this.text(called.filename));
            });
            if (frames.length === 0) {
                frames.push(this.frames.intern(
                    `0x${location.address.toString(16)}`, library, ""));
            }
            this.locations.set(Number(location.id), frames.reverse());
        }
    }

    private location(id: number | bigint): number[] {
        const frames = this.locations.get(Number(id));
        if (frames === undefined) {
            throw new ProfileError("the profile is damaged: it refers to a "
                + "location that it does not have");
        }
        return frames;
    }

    private stacks(starts: Int32Array): Int32Array {
        const stacks = new Int32Array(starts[starts.length - 1]!);
        this.message.sample.forEach((sample, i) => {
            let at = starts[i]!;
            for (let l = sample.locationId.length - 1; l >= 0; l--) {
                for (const frame of this.location(sample.locationId[l]!)) {
                    stacks[at++] = frame;
                }
            }
        });
        return stacks;
    }

    private values(type: number): Float64Array {
        return Float64Array.from(this.message.sample,
            sample => signed(sample.value[type] ?? 0));
    }

    private labels(): Int32Array {
        return Int32Array.from(this.message.sample, sample => {
            const set = sample.label.map((label): [string, string] =>
                [this.text(label.key), this.labelText(label)])
                .sort(([a], [b]) => (a < b ? -1 : 1));
            const key = JSON.stringify(set);
            let id = this.labelIds.get(key);
            if (id === undefined) {
                id = this.labelSets.length;
                this.labelSets.push(new Map(set));
                this.labelIds.set(key, id);
            }
            return id;
        });
    }

    private labelText(label: { str: number | bigint; num: number | bigint;
                               numUnit: number | bigint }): string {
        if (Number(label.str) !== 0) {
            return this.text(label.str);
        }
        return `${signed(label.num)} ${this.text(label.numUnit)}`.trim();
    }
}
