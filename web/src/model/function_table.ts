/*
 * Each function's own and total value, in one selection.
 */

import type { Selection } from "./sample_selection";

export interface FunctionValues {
    /* by frame; a frame that is not there has 0 */
    readonly self: Float64Array;
    readonly total: Float64Array;
    /* of the events' values, see Selection */
    readonly selfSquares: Float64Array;
    readonly totalSquares: Float64Array;
}

export function functionValues(selection: Selection): FunctionValues {
    const { profile, values, squares } = selection;
    const frames = profile.frames.frames.length;
    const found = {
        self: new Float64Array(frames),
        total: new Float64Array(frames),
        selfSquares: new Float64Array(frames),
        totalSquares: new Float64Array(frames),
    };
    /* by frame, the last sample that it was counted for: recursion counts once */
    const seen = new Int32Array(frames).fill(-1);
    for (let i = 0; i < profile.size; i++) {
        const value = values[i]!;
        const start = profile.starts[i]!;
        const end = profile.starts[i + 1]!;
        if (value === 0 || start === end) {
            continue;
        }
        for (let at = start; at < end; at++) {
            const frame = profile.stacks[at]!;
            if (seen[frame] !== i) {
                seen[frame] = i;
                found.total[frame]! += value;
                found.totalSquares[frame]! += squares[i]!;
            }
        }
        const leaf = profile.stacks[end - 1]!;
        found.self[leaf]! += value;
        found.selfSquares[leaf]! += squares[i]!;
    }
    return found;
}
