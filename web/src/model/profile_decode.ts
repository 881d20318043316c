/*
 * Reads profile.proto, gzipped or not. What comes in may be anybody's file: a
 * reference to what is not there, or a size beyond the bounds, is refused with
 * a message for the user. It is read in pieces, so that neither does one task
 * take long, nor is all of it in memory as objects.
 */

import { type Location, Profile as Message, type Sample } from "pprof-format";
import { FrameTable, libraryName } from "./frame_table";
import { FIELD, joined, type MessageFields, ProfileError, splitMessage } from "./message_fields";
import type { LabelSet, Profile, ValueType } from "./profile";
import { requestCounts } from "./request_counts";
import { inSlices, type Steps } from "./slices";

/* Of a file, and of what is in it: a profile of real programs has some. */
const MAX_BYTES = 128 * 1024 * 1024;
const MAX_TYPES = 16;
const MAX_FRAMES = 32 * 1024 * 1024;

const NO_PROFILE = "this is not a profile in pprof's format";

export async function readProfile(bytes: Uint8Array<ArrayBuffer>,
                                  frames: FrameTable): Promise<Profile> {
    if (bytes.length === 0) {
        throw new ProfileError("the file is empty");
    }
    checkSize(bytes.length);
    return inSlices(decodeProfile(isGzip(bytes) ? await inflate(bytes) : bytes, frames));
}

export function* decodeProfile(bytes: Uint8Array, frames: FrameTable): Steps<Profile> {
    const fields = yield* splitMessage(bytes);
    return yield* new Decoder(fields, frames).decode();
}

export function checkSize(bytes: number): void {
    if (bytes > MAX_BYTES) {
        throw new ProfileError("the profile is larger than 128 MiB");
    }
}

function parse(bytes: Uint8Array): Message {
    try {
        return Message.decode(bytes);
    } catch {
        throw new ProfileError(NO_PROFILE);
    }
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
            if (size > MAX_BYTES) {
                await reader.cancel();
                break;
            }
            chunks.push(value);
        }
    } catch {
        throw new ProfileError("the file is damaged: it does not unzip");
    }
    checkSize(size);
    return joined(chunks);
}

/* An int64 of the message, which the parser gives as if it had no sign. */
function signed(value: number | bigint): number {
    return Number(typeof value === "bigint" ? BigInt.asIntN(64, value) : value);
}

/* An id as a key: as a number where that is exact, for the parser gives small
   ones as numbers or not as it finds them. */
function idOf(value: number | bigint): number | bigint {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
}

class Decoder {
    private readonly strings: string[] = [];
    private readonly message: Message;
    /* location id -> its frames, the outermost inlined call first */
    private readonly locations = new Map<number | bigint, readonly number[]>();
    private readonly labelIds = new Map<string, number>();
    private readonly labelSets: LabelSet[] = [];

    constructor(private readonly fields: MessageFields,
                private readonly frames: FrameTable) {
        this.message = parse(fields.rest);
        const types = this.message.sampleType.length;
        if (types === 0) {
            throw new ProfileError(`${NO_PROFILE}: it has no sample types`);
        }
        if (types > MAX_TYPES) {
            throw new ProfileError("the profile has more than 16 sample types");
        }
    }

    *decode(): Steps<Profile> {
        const { message } = this;
        yield* this.readStrings();
        yield* this.readLocations();
        const types = message.sampleType.map(type => this.valueType(type));
        const comments = message.comment.map(index => this.text(index));
        return {
            ...yield* this.readSamples(types.length),
            frames: this.frames,
            types,
            defaultType: this.defaultType(types),
            size: this.fields.samples,
            labelSets: this.labelSets,
            period: signed(message.period),
            periodType: message.periodType
                ? this.valueType(message.periodType) : { name: "", unit: "" },
            time: signed(message.timeNanos) / 1e6,
            duration: signed(message.durationNanos) / 1e9,
            requests: requestCounts(comments),
            comments,
        };
    }

    private *readStrings(): Steps<void> {
        for (const piece of this.fields.pieces(FIELD.string)) {
            for (const text of parse(piece).stringTable.strings) {
                this.strings.push(text);
            }
            yield;
        }
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

    private *readLocations(): Steps<void> {
        const functions = new Map<number | bigint, { name: string; file: string }>();
        for (const piece of this.fields.pieces(FIELD.function)) {
            for (const { id, name, filename } of parse(piece).function) {
                functions.set(idOf(id), { name: this.text(name) || "[unnamed]",
                                          file: this.text(filename) });
            }
            yield;
        }
        const libraries = new Map<number | bigint, string>();
        for (const piece of this.fields.pieces(FIELD.mapping)) {
            for (const { id, filename } of parse(piece).mapping) {
                libraries.set(idOf(id), libraryName(this.text(filename)));
            }
            yield;
        }
        for (const piece of this.fields.pieces(FIELD.location)) {
            for (const location of parse(piece).location) {
                const library = libraries.get(idOf(location.mappingId)) ?? "";
                this.locations.set(idOf(location.id),
                                   this.framesOf(location, library, functions));
            }
            yield;
        }
    }

    private framesOf({ line, address }: Location, library: string,
                     functions: ReadonlyMap<number | bigint, { name: string; file: string }>):
    number[] {
        if (line.length === 0) {
            return [this.frames.intern(`0x${address.toString(16)}`, library, "")];
        }
        return line.map(({ functionId }) => {
            const called = functions.get(idOf(functionId));
            if (called === undefined) {
                throw new ProfileError("the profile is damaged: it refers "
                    + "to a function that it does not have");
            }
            return this.frames.intern(called.name, library, called.file);
        }).reverse();
    }

    private *readSamples(types: number):
    Steps<Pick<Profile, "starts" | "stacks" | "values" | "labels">> {
        const { samples } = this.fields;
        const starts = new Int32Array(samples + 1);
        const labels = new Int32Array(samples);
        const values = Array.from({ length: types }, () => new Float64Array(samples));
        const stacks = new FrameList();
        let i = 0;
        for (const piece of this.fields.pieces(FIELD.sample)) {
            for (const sample of parse(piece).sample) {
                this.putStack(sample, stacks);
                labels[i] = this.labelSet(sample);
                values.forEach((column, type) => {
                    column[i] = signed(sample.value[type] ?? 0);
                });
                starts[++i] = stacks.length;
            }
            yield;
        }
        return { starts, labels, values, stacks: stacks.all() };
    }

    private putStack({ locationId }: Sample, stacks: FrameList): void {
        for (let l = locationId.length - 1; l >= 0; l--) {
            const frames = this.locations.get(idOf(locationId[l]!));
            if (frames === undefined) {
                throw new ProfileError("the profile is damaged: it refers to a "
                    + "location that it does not have");
            }
            for (const frame of frames) {
                stacks.push(frame);
            }
        }
    }

    /* Index of labelSets. */
    private labelSet({ label }: Sample): number {
        const set = label.map((one): [string, string] => [this.text(one.key), this.labelText(one)])
            .sort(([a], [b]) => (a < b ? -1 : 1));
        const key = JSON.stringify(set);
        let id = this.labelIds.get(key);
        if (id === undefined) {
            id = this.labelSets.length;
            this.labelSets.push(new Map(set));
            this.labelIds.set(key, id);
        }
        return id;
    }

    private labelText(label: { str: number | bigint; num: number | bigint;
                               numUnit: number | bigint }): string {
        if (Number(label.str) !== 0) {
            return this.text(label.str);
        }
        return `${signed(label.num)} ${this.text(label.numUnit)}`.trim();
    }
}

/* The frames of all stacks, one after another. */
class FrameList {
    length = 0;
    private frames = new Int32Array(4096);

    push(frame: number): void {
        if (this.length === this.frames.length) {
            this.grow();
        }
        this.frames[this.length++] = frame;
    }

    all(): Int32Array {
        return this.frames.slice(0, this.length);
    }

    private grow(): void {
        if (this.length >= MAX_FRAMES) {
            throw new ProfileError("the profile has more than 32 million frames");
        }
        const larger = new Int32Array(2 * this.length);
        larger.set(this.frames);
        this.frames = larger;
    }
}
