/*
 * What a search finds, and how much of a profile that is.
 */

import { RE2JS } from "re2js";
import type { Frame, FrameTable } from "./frame_table";
import { type Selection, shareOf } from "./sample_selection";

export type Matcher = (frame: Frame) => boolean;

/*
 * "text" is looked for as it is, in function and library, with capitals and
 * small letters alike; "/text/" is a regular expression, with the syntax of Go's
 * and a time that grows with the name's length alone, as a search may come with
 * somebody's link. undefined if it is none, null if there is nothing to look for.
 */
export function matcher(query: string): Matcher | null | undefined {
    const text = query.trim();
    if (text === "") {
        return null;
    }
    if (text.length > 2 && text.startsWith("/") && text.endsWith("/")) {
        try {
            const pattern = RE2JS.compile(text.slice(1, -1), RE2JS.CASE_INSENSITIVE);
            return frame => pattern.test(frame.name) || pattern.test(frame.library);
        } catch {
            return undefined;
        }
    }
    const lower = text.toLowerCase();
    return frame => frame.name.toLowerCase().includes(lower)
        || frame.library.toLowerCase().includes(lower);
}

/* For each frame of the table, 1 if it matches. */
export function matchedFrames(frames: FrameTable, matches: Matcher): Uint8Array {
    return Uint8Array.from(frames.frames, frame => (matches(frame) ? 1 : 0));
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
