/*
 * The fields of a profile's message, found without reading what is in them: so
 * that they can be read in pieces, and that a file that ends too early, or that
 * would take more memory than there is, is refused before it is read.
 */

import type { Steps } from "./slices";

/* Why a file is no profile that can be shown, in words for the user. */
export class ProfileError extends Error {}

/* Fields of the message Profile in profile.proto. */
export const FIELD = { sample: 2, mapping: 3, location: 4, function: 5, string: 6 } as const;
type Piecewise = (typeof FIELD)[keyof typeof FIELD];

export interface MessageFields {
    /* fields of that kind, as messages that have some of them each */
    readonly pieces: (field: Piecewise) => readonly Uint8Array[];
    readonly samples: number;
    /* all other fields, as one message */
    readonly rest: Uint8Array;
}

/* Bytes that are read at once, about. */
const PIECE = 32 * 1024;
/* Real profiles stay far below these; what is beyond takes gigabytes as objects. */
const MAX_FIELDS = 2 * 1024 * 1024;
const MAX_FIELD = 1024 * 1024;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const HIGHEST = 15;

export function* splitMessage(bytes: Uint8Array): Steps<MessageFields> {
    const pieces = new Map<number, Uint8Array[]>(Object.values(FIELD).map(f => [f, []]));
    const rest: Uint8Array[] = [];
    const cursor = new Cursor(bytes);
    let samples = 0;
    let start = 0;
    let before = 0;
    const put = (end: number): void => {
        if (end > start) {
            (pieces.get(before) ?? rest).push(bytes.subarray(start, end));
        }
        start = end;
    };
    for (let n = 1; cursor.at < bytes.length; n++) {
        const { at } = cursor;
        const field = cursor.skipField();
        if (n > MAX_FIELDS) {
            throw new ProfileError("the profile has more than 2 million entries");
        }
        if (field !== before || at - start >= PIECE) {
            put(at);
            before = field;
        }
        /* a later version of the format may have more */
        if (field > HIGHEST) {
            start = cursor.at;
        }
        samples += field === FIELD.sample ? 1 : 0;
        if (n % 65536 === 0) {
            yield;
        }
    }
    put(bytes.length);
    return { pieces: field => pieces.get(field)!, samples, rest: joined(rest) };
}

class Cursor {
    at = 0;

    constructor(private readonly bytes: Uint8Array) {}

    /* The number of the field that begins here. */
    skipField(): number {
        const tag = this.varint();
        const type = tag % 8;
        const length = type === BYTES ? this.varint()
            : type === FIXED64 ? 8 : type === FIXED32 ? 4 : 0;
        if (type === VARINT) {
            this.varint();
        } else if (![BYTES, FIXED64, FIXED32].includes(type)) {
            throw new ProfileError("this is not a profile in pprof's format");
        }
        if (length > this.bytes.length - this.at) {
            throw new ProfileError("the file is damaged: it ends too early");
        }
        if (length > MAX_FIELD) {
            throw new ProfileError("the profile has an entry of more than 1 MiB");
        }
        this.at += length;
        return Math.floor(tag / 8);
    }

    private varint(): number {
        let value = 0;
        for (let i = 0; i < 10; i++) {
            const byte = this.bytes[this.at++];
            if (byte === undefined) {
                throw new ProfileError("the file is damaged: it ends too early");
            }
            value += (byte & 0x7f) * 2 ** (7 * i);
            if (byte < 0x80) {
                return value;
            }
        }
        throw new ProfileError("this is not a profile in pprof's format");
    }
}

export function joined(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
    }
    return all;
}
