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

type Triple = readonly [number, number, number];

/* Without sRGB's gamma. */
function linear(colour: string): Triple {
    return rgb(colour).map(c =>
        (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)) as unknown as Triple;
}

function times(matrix: readonly Triple[], [x, y, z]: Triple): Triple {
    return matrix.map(([a, b, c]) => a * x + b * y + c * z) as unknown as Triple;
}

/* As WCAG 2 has it. */
function contrast(x: string, y: string): number {
    const [light, dark] = [x, y].map(colour =>
        times([[0.2126, 0.7152, 0.0722]], linear(colour))[0])
        .sort((p, q) => q - p) as [number, number];
    return (light + 0.05) / (dark + 0.05);
}

/* What linear RGB is to who lacks one of the cones: G. M. Machado, M. M. Oliveira,
   L. A. F. Fernandes, "A Physiologically-based Model for Simulation of Color Vision
   Deficiency", IEEE TVCG 15 (6), 2009, severity 1. */
const VISIONS: Readonly<Record<string, readonly Triple[]>> = {
    all: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                 [-0.003882, -0.048116, 1.051998]],
    deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                   [-0.011820, 0.042940, 0.968881]],
    tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                 [0.004733, 0.691367, 0.303900]],
};

/* sRGB's primaries under D65, over its white */
const XYZ: readonly Triple[] = [[0.4339, 0.3763, 0.1899], [0.2127, 0.7152, 0.0722],
                                [0.0178, 0.1095, 0.8727]];

/* CIE 1976 L*a*b* of a colour as it is seen. */
function lab(vision: readonly Triple[], colour: string): Triple {
    const seen = times(vision, linear(colour)).map(c =>
        Math.min(1, Math.max(0, c))) as unknown as Triple;
    const [x, y, z] = times(XYZ, seen).map(t => (t > 216 / 24389 ? Math.cbrt(t)
        : (24389 / 27 * t + 16) / 116)) as unknown as Triple;
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/* 2.3 is what can just be noticed, side by side. */
function difference(vision: readonly Triple[], x: string, y: string): number {
    const [p, q] = [lab(vision, x), lab(vision, y)];
    return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

function fillOf(a: number, b: number, verdict: Verdict, dark = false): string {
    return differencePaint({ a, b, delta: b - a, verdict }, dark).fill;
}

test("less, more and the same are told apart by any eyes", () => {
    const changes = [1.1, 3, 9];
    const less = [...changes.map(by => fillOf(by, 1, "less")), fillOf(1, 0, "gone")];
    const more = [...changes.map(by => fillOf(1, by, "more")), fillOf(0, 1, "new")];
    assert.equal(new Set([...less, ...more]).size, 8);
    for (const [name, vision] of Object.entries(VISIONS)) {
        const apart = (x: string, y: string, least: number) => {
            const found = difference(vision, x, y);
            assert.ok(found >= least, `${x} and ${y}: ${found.toFixed(1)}, ${name}`);
        };
        less.forEach(x => more.forEach(y => apart(x, y, 25)));
        for (const same of [fillOf(1, 1, "same"), fillOf(1, 1, "same", true)]) {
            [...less, ...more].forEach(x => apart(x, same, 13));
        }
        for (const scale of [less, more]) {
            scale.slice(1).forEach((x, i) => apart(x, scale[i]!, 13));
        }
    }
});

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
