/*
 * Colours of frames. Those of a comparison are blue for less and orange for
 * more, which people tell apart whatever their colour vision; new and gone are
 * hatched too, so that no meaning is in colour alone.
 */

import type { Difference } from "../model/comparison";
import { isMarker } from "../model/comparison";
import type { Frame } from "../model/frame_table";
import type { Colour } from "../model/page_state";

export interface Paint {
    readonly fill: string;
    readonly text: string;
    readonly hatched: boolean;
}

const LIBRARIES = ["#8fcf9f", "#8db9e4", "#f2c57c", "#dca6cb", "#c3b4ec",
                   "#eea798", "#86d0ca", "#d2d27f", "#e2b48c", "#a9c4b0"];
const OTHER = "#c3c9d2";
const MARKER = "#b4b8bf";
const DARK_TEXT = "#14171c";
const LIGHT_TEXT = "#ffffff";

/* The last is of what is gone or new alone: it is what should be seen first. */
const LESS = ["#c2e0ff", "#8fbdea", "#4f97d6", "#1c67ad"];
const MORE = ["#fbe5cf", "#f6c288", "#ea8f37", "#b85500"];
const SAME = { light: "#d5d8dd", dark: "#565d68" };

/* The library of nginx's own code has one colour always, the others theirs in
   the order that they are given in: the largest first. */
export class LibraryColours {
    private readonly colours = new Map<string, string>([["nginx", LIBRARIES[0]!]]);

    constructor(libraries: readonly string[]) {
        for (const library of libraries) {
            if (library !== "" && !this.colours.has(library)
                && this.colours.size < LIBRARIES.length) {
                this.colours.set(library, LIBRARIES[this.colours.size]!);
            }
        }
    }

    of(library: string): string {
        return this.colours.get(library) ?? OTHER;
    }
}

export function framePaint(frame: Frame, mode: Colour, libraries: LibraryColours): Paint {
    if (isMarker(frame.name)) {
        return { fill: MARKER, text: DARK_TEXT, hatched: true };
    }
    const fill = mode === "library" ? libraries.of(frame.library)
        : `hsl(${hash(frame.name) % 360} 55% ${70 + hash(frame.library) % 9}%)`;
    return { fill, text: DARK_TEXT, hatched: false };
}

export function differencePaint({ a, b, verdict }: Difference, dark: boolean): Paint {
    if (verdict === "same") {
        return { fill: dark ? SAME.dark : SAME.light,
                 text: dark ? LIGHT_TEXT : DARK_TEXT, hatched: false };
    }
    /* 0 at equal values, 1 where one of them is nothing */
    const change = Math.abs(b - a) / (Math.abs(a) + Math.abs(b));
    const whole = verdict === "new" || verdict === "gone";
    const step = whole ? 3 : Math.min(2, Math.floor(change * 3));
    const scale = b > a ? MORE : LESS;
    return { fill: scale[step]!, text: whole ? LIGHT_TEXT : DARK_TEXT, hatched: whole };
}

/* FNV-1a */
function hash(text: string): number {
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) {
        h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    }
    return h >>> 0;
}
