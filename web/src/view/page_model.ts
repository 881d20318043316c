/*
 * What follows from the state and the recordings: selections, trees, tables.
 * Each is computed when it is first asked for, and kept until what it is made
 * from changes.
 */

import { buildTree, type CallTree, type Direction, NONE, ROOT } from "../model/call_tree";
import {
    compare, type ComparedFunction, comparedFunctions, type Comparison, usableBasis,
} from "../model/comparison";
import { type Frame, FrameTable } from "../model/frame_table";
import { matchedFrames, matcher, matchedShare } from "../model/frame_search";
import { type FunctionValues, functionValues } from "../model/function_table";
import type { PageState, SideState } from "../model/page_state";
import { type Kind, kindType } from "../model/profile_kind";
import { type Loaded, offeredKinds, type Recording, Recordings } from "../model/recordings";
import { select, type Selection, shareOf } from "../model/sample_selection";
import { LibraryColours } from "./flame_colours";

export interface Search {
    /* for each frame 1 if it matches; null if nothing is searched for */
    readonly matched: Uint8Array | null;
    readonly invalid: boolean;
    /* of A and B */
    readonly shares: readonly number[];
}

export interface Side {
    readonly recording: Recording | undefined;
    readonly loaded: Loaded | undefined;
    readonly selection: Selection | null;
}

export class PageModel {
    readonly frames = new FrameTable();
    private readonly memory = new Map<string, { inputs: unknown[]; value: unknown }>();

    kind(state: PageState, recordings: Recordings): Kind {
        const kinds = offeredKinds(recordings.list);
        return kinds.find(kind => kind.id === state.kind) ?? kinds[0]!;
    }

    side(name: "a" | "b", state: PageState, recordings: Recordings): Side {
        const wanted: SideState = state[name];
        const kind = this.kind(state, recordings);
        const recording = recordings.find(wanted.source);
        const loaded = recording?.loaded.get(kind.id);
        const selection = loaded === undefined ? null
            : this.keep(`selection ${name}`,
                [loaded.profile, kind.id, state.counts, JSON.stringify(wanted.filters)],
                () => select(loaded.profile, kindType(loaded.profile, kind, state.counts),
                             wanted.filters));
        return { recording, loaded, selection };
    }

    comparison(state: PageState, a: Selection | null, b: Selection | null): Comparison | null {
        return a === null || b === null ? null
            : this.keep("comparison", [a, b, state.basis],
                () => compare(usableBasis(state.basis, a, b), a, b));
    }

    /* focus: the frame of a sandwich's half */
    tree(direction: Direction, a: Selection, comparison: Comparison | null,
         focus = NONE): CallTree {
        return this.keep(`tree ${direction}`, [a, comparison, focus], () =>
            buildTree([a, comparison?.b ?? null], direction,
                      comparison?.scale ?? { a: 1, b: 0 }, focus));
    }

    functions(selection: Selection): FunctionValues {
        return this.keep("functions", [selection], () => functionValues(selection));
    }

    compared(comparison: Comparison): ComparedFunction[] {
        return this.keep("compared", [comparison], () => comparedFunctions(comparison));
    }

    search(query: string, selections: readonly (Selection | null)[]): Search {
        return this.keep("search",
            [query, ...selections, this.frames.frames.length], () => {
                const matches = matcher(query);
                if (matches === null || matches === undefined) {
                    return { matched: null, invalid: matches === undefined, shares: [] };
                }
                const matched = matchedFrames(this.frames, matches);
                const shares = selections.flatMap(selection =>
                    (selection === null ? [] : [matchedShare(selection, matched)]));
                return { matched, invalid: false, shares };
            });
    }

    /* Libraries by their own value in A, the largest first. */
    libraries(selection: Selection): { name: string; share: number }[] {
        return this.keep("libraries", [selection], () => {
            const sums = new Map<string, number>();
            this.functions(selection).self.forEach((value, frame) => {
                const { library } = this.frames.frames[frame]!;
                sums.set(library, (sums.get(library) ?? 0) + value);
            });
            return [...sums].filter(([, sum]) => sum > 0).sort(([, x], [, y]) => y - x)
                .map(([name, sum]) => ({ name, share: shareOf(selection, sum) }));
        });
    }

    libraryColours(selection: Selection): LibraryColours {
        return this.keep("colours", [selection], () =>
            new LibraryColours(this.libraries(selection).map(({ name }) => name)));
    }

    frame(id: number): Frame {
        return this.frames.frames[id]!;
    }

    /* The node of a path of names; as far as the tree has it. */
    resolve(tree: CallTree, names: readonly string[]): number {
        let node = ROOT;
        for (const name of names) {
            const found = tree.children(node)
                .find(child => this.frame(tree.frame[child]!).name === name);
            if (found === undefined) {
                break;
            }
            node = found;
        }
        return node;
    }

    private keep<T>(key: string, inputs: unknown[], make: () => T): T {
        const known = this.memory.get(key);
        if (known !== undefined && known.inputs.length === inputs.length
            && known.inputs.every((input, i) => input === inputs[i])) {
            return known.value as T;
        }
        const value = make();
        this.memory.set(key, { inputs, value });
        return value;
    }
}
