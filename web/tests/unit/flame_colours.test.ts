import assert from "node:assert/strict";
import { test } from "node:test";
import type { Verdict } from "../../src/model/comparison";
import { differencePaint, framePaint, LibraryColours } from "../../src/view/flame_colours";

/* Red, green and blue, 0 to 1, of "#rrggbb" or "hsl(h s% l%)". */
function rgb(colour: string): number[] {
    const [, hue, saturation, lightness] = /^hsl\((\d+) (\d+)% (\d+)%\)$/.exec(colour) ?? [];
    if (hue === undefined) {
        return [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16) / 255);
    }
    const [s, l] = [Number(saturation) / 100, Number(lightness) / 100];
    return [0, 8, 4].map(n => {
        const k = (n + Number(hue) / 30) % 12;
        return l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    });
}

/* As WCAG 2 has it. */
function contrast(x: string, y: string): number {
    const [light, dark] = [x, y].map(colour => {
        const [r, g, b] = rgb(colour).map(c =>
            (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)) as [number, number, number];
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    }).sort((p, q) => q - p) as [number, number];
    return (light + 0.05) / (dark + 0.05);
}

const AA = 4.5;

test("names are read on the colour of any library and of any function", () => {
    const names = Array.from({ length: 20 }, (_, i) => `lib${i}.so`);
    const libraries = new LibraryColours(names);
    for (const library of ["nginx", "", ...names]) {
        for (const name of ["main", "[lost]", ...names]) {
            for (const mode of ["library", "function"] as const) {
                const { fill, text } = framePaint({ name, library, file: "" }, mode, libraries);
                assert.ok(contrast(fill, text) >= AA, `${text} on ${fill}`);
            }
        }
    }
});

test("names are read on the colour of any difference, in light and dark", () => {
    for (const dark of [false, true]) {
        for (const [a, b, verdict] of [[1, 1, "same"], [0, 1, "new"], [1, 0, "gone"], [1, 1.1, "more"],
                                       [1, 3, "more"], [1, 9, "more"], [9, 1, "less"],
                                       [3, 1, "less"], [1.1, 1, "less"]] as [number, number, Verdict][]) {
            const { fill, text, hatched } = differencePaint({ a, b, delta: b - a, verdict }, dark);
            assert.ok(contrast(fill, text) >= AA, `${text} on ${fill}: ${verdict}`);
            /* not by colour alone */
            assert.equal(hatched, verdict === "new" || verdict === "gone");
        }
    }
});
