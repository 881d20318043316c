/*
 * What a search finds, and how much of a profile that is.
 */

import { RE2JS } from "re2js";
import type { Frame, FrameTable } from "./frame_table";
import { type Selection, shareOf } from "./sample_selection";
import type { Steps } from "./slices";

export type Matcher = (frame: Frame) => boolean;

/* Why nothing is searched for. */
export interface Refusal {
    readonly refused: string;
}

/*
 * What a regular expression may be. A search may come with somebody's link, and
 * RE2's time grows with the instructions of the program times the characters of
 * a name, each some tenths of a microsecond at worst: with these, one name is
 * tens of milliseconds. The pattern's length bounds what compiling takes; only
 * counted repetitions, "{0,300}", make a short pattern a large program.
 */
export const LONGEST_PATTERN = 100;
export const LARGEST_PROGRAM = 300;
/* Of a name; nobody wants to find what begins after it. */
const LOOKED_AT = 1000;

/* Milliseconds that all names together may take. */
const PATIENCE = 2000;

/*
 * "text" is looked for as it is, in function and library, with capitals and
 * small letters alike; "/text/" is a regular expression of RE2's syntax, which is
 * Go's. null if there is nothing to look for.
 */
export function matcher(query: string): Matcher | Refusal | null {
    const text = query.trim();
    if (text === "") {
        return null;
    }
    if (text.length > 2 && text.startsWith("/") && text.endsWith("/")) {
        return expression(text.slice(1, -1));
    }
    const lower = text.toLowerCase();
    return frame => frame.name.toLowerCase().includes(lower)
        || frame.library.toLowerCase().includes(lower);
}

function expression(source: string): Matcher | Refusal {
    if (source.length > LONGEST_PATTERN) {
        return { refused: `a regular expression of more than ${LONGEST_PATTERN} characters` };
    }
    let pattern: RE2JS;
    try {
        pattern = RE2JS.compile(source, RE2JS.CASE_INSENSITIVE);
    } catch {
        return { refused: "not a regular expression of Go's syntax" };
    }
    if (pattern.programSize() > LARGEST_PROGRAM) {
        return { refused: "too large a regular expression: repeat less" };
    }
    const found = (text: string): boolean => pattern.test(text.slice(0, LOOKED_AT));
    return frame => found(frame.name) || found(frame.library);
}

/* For each frame of the table, 1 if it matches; a step is one frame, as a regular
   expression may be slow. */
export function* matchedFrames({ frames }: FrameTable, matches: Matcher,
                               patience = PATIENCE): Steps<Uint8Array | Refusal> {
    const matched = new Uint8Array(frames.length);
    let spent = 0;
    for (let i = 0; i < matched.length; i++) {
        const started = performance.now();
        matched[i] = matches(frames[i]!) ? 1 : 0;
        spent += performance.now() - started;
        if (spent > patience) {
            return { refused: "this search takes too long" };
        }
        yield;
    }
    return matched;
}

/* The part of a selection whose stacks have a matched frame, 0 to 1. */
export function matchedShare(selection: Selection, matched: Uint8Array): number {
    const { stacks, starts } = selection.profile;
    let found = 0;
    selection.values.forEach((value, i) => {
        for (let at = starts[i]!; value !== 0 && at < starts[i + 1]!; at++) {
            if (matched[stacks[at]!]) {
                found += value;
                break;
            }
        }
    });
    return shareOf(selection, found);
}
