/*
 * What follows from the state and the recordings: selections, trees, tables.
 * Each is computed when it is first asked for, and kept until what it is made
 * from changes.
 */

import { buildTree, type CallTree, type Direction, NONE, ROOT } from "../model/call_tree";
import {
    compare, type ComparedFunction, comparedFunctions, type Comparison, isMarker, usableBasis,
} from "../model/comparison";
import { type Frame, FrameTable } from "../model/frame_table";
import { matchedFrames, matcher, matchedShare } from "../model/frame_search";
import { type FunctionValues, functionValues } from "../model/function_table";
import { focusKey, type PageState, readFocus, type SideState } from "../model/page_state";
import { type Kind, kindType } from "../model/profile_kind";
import { type Loaded, offeredKinds, type Recording, Recordings } from "../model/recordings";
import { select, type Selection, shareOf } from "../model/sample_selection";
import { finish, step, type Steps } from "../model/slices";
import { LibraryColours } from "./flame_colours";

export interface Search {
    /* for each frame 1 if it matches; null if nothing is searched for */
    readonly matched: Uint8Array | null;
    /* why nothing is, though it was asked for, or "" */
    readonly refused: string;
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

    /* Computes what is shown of that state, in steps; what is asked for after it
       is there. */
    *prepare(state: PageState, recordings: Recordings): Steps<void> {
        const { selection: a } = yield* this.sideSteps("a", state, recordings);
        const { selection: b } = yield* this.sideSteps("b", state, recordings);
        yield* this.searchSteps(state.query, [a, b]);
        if (a === null || (b === null && state.b.source !== "")) {
            return;
        }
        const comparison = this.comparison(state, a, b);
        yield* this.functionSteps(a);
        if (comparison !== null) {
            yield* this.comparedSteps(comparison);
        }
        for (const [direction, focus] of this.trees(state, a, comparison)) {
            yield* this.treeSteps(direction, a, comparison, focus);
        }
    }

    private trees(state: PageState, a: Selection,
                  comparison: Comparison | null): [Direction, number][] {
        const { view } = state;
        if (view === "sandwich") {
            const focus = this.focus(state, a, comparison);
            return focus === NONE ? [] : [["above", focus], ["below", focus]];
        }
        return view === "top" ? [] : [[view === "inverted" ? "callers" : "callees", NONE]];
    }

    side(name: "a" | "b", state: PageState, recordings: Recordings): Side {
        return finish(this.sideSteps(name, state, recordings));
    }

    private *sideSteps(name: "a" | "b", state: PageState, recordings: Recordings): Steps<Side> {
        const wanted: SideState = state[name];
        const kind = this.kind(state, recordings);
        const recording = recordings.find(wanted.source);
        const loaded = recording?.loaded.get(kind.id);
        const selection = loaded === undefined ? null
            : yield* this.keep(`selection ${name}`,
                [loaded.profile, kind.id, state.counts, JSON.stringify(wanted.filters)],
                () => step(() => select(loaded.profile,
                                        kindType(loaded.profile, kind, state.counts),
                                        wanted.filters)));
        return { recording, loaded, selection };
    }

    comparison(state: PageState, a: Selection | null, b: Selection | null): Comparison | null {
        return a === null || b === null ? null
            : finish(this.keep("comparison", [a, b, state.basis],
                () => step(() => compare(usableBasis(state.basis, a, b), a, b))));
    }

    /* focus: the frame of a sandwich's half */
    tree(direction: Direction, a: Selection, comparison: Comparison | null,
         focus = NONE): CallTree {
        return finish(this.treeSteps(direction, a, comparison, focus));
    }

    private treeSteps(direction: Direction, a: Selection, comparison: Comparison | null,
                      focus: number): Steps<CallTree> {
        return this.keep(`tree ${direction}`, [a, comparison, focus], () =>
            buildTree([a, comparison?.b ?? null], direction,
                      comparison?.scale ?? { a: 1, b: 0 }, focus));
    }

    /* The function of the sandwich: what the state names, if these profiles have
       it, else that with the largest self value, or change of it; NONE if there
       is none. */
    focus(state: PageState, a: Selection, comparison: Comparison | null): number {
        const { library, name } = readFocus(state.focus);
        const named = this.frames.find(name, library) ?? NONE;
        const compared = comparison === null ? [] : this.compared(comparison);
        const { self, total } = this.functions(a);
        if (named !== NONE && ((total[named] ?? 0) !== 0
            || compared.some(({ frame }) => frame === named))) {
            return named;
        }
        if (comparison !== null) {
            return compared[0]?.frame ?? NONE;
        }
        let best = NONE;
        self.forEach((value, frame) => {
            if (value > (best === NONE ? 0 : self[best]!)
                && !isMarker(this.frame(frame).name)) {
                best = frame;
            }
        });
        return best;
    }

    /* The functions of what is shown, those that changed most first, by a text
       that is each one's own: its name, with its library where another has it, too. */
    offered(a: Selection, comparison: Comparison | null): ReadonlyMap<string, number> {
        return finish(this.keep("offered", [a, comparison], () => step(() => {
            const { total } = this.functions(a);
            const shown = comparison === null
                ? [...total.keys()].filter(frame => total[frame] !== 0)
                : this.compared(comparison).map(({ frame }) => frame);
            const times = new Map<string, number>();
            for (const { name } of shown.map(frame => this.frame(frame))) {
                times.set(name, (times.get(name) ?? 0) + 1);
            }
            return new Map(shown.map(frame => {
                const { name, library } = this.frame(frame);
                return [times.get(name) === 1 ? name : `${name}  (${library || "no library"})`,
                        frame];
            }));
        })));
    }

    functions(selection: Selection): FunctionValues {
        return finish(this.functionSteps(selection));
    }

    private functionSteps(selection: Selection): Steps<FunctionValues> {
        return this.keep("functions", [selection], () => step(() => functionValues(selection)));
    }

    compared(comparison: Comparison): ComparedFunction[] {
        return finish(this.comparedSteps(comparison));
    }

    private comparedSteps(comparison: Comparison): Steps<ComparedFunction[]> {
        return this.keep("compared", [comparison], () => comparedFunctions(comparison));
    }

    search(query: string, selections: readonly (Selection | null)[]): Search {
        return finish(this.searchSteps(query, selections));
    }

    /* Frames of profiles that are loaded meanwhile are in neither selection. */
    private searchSteps(query: string, selections: readonly (Selection | null)[]): Steps<Search> {
        return this.keep("search", [query, ...selections], () => this.find(query, selections));
    }

    private *find(query: string, selections: readonly (Selection | null)[]): Steps<Search> {
        const matches = matcher(query);
        const matched = typeof matches === "function"
            ? yield* matchedFrames(this.frames, matches) : matches;
        if (!(matched instanceof Uint8Array)) {
            return { matched: null, refused: matched?.refused ?? "", shares: [] };
        }
        const shares: number[] = [];
        for (const selection of selections) {
            if (selection !== null) {
                shares.push(matchedShare(selection, matched));
                yield;
            }
        }
        return { matched, refused: "", shares };
    }

    /* Libraries by their own value in A, the largest first. */
    libraries(selection: Selection): { name: string; share: number }[] {
        return finish(this.keep("libraries", [selection], () => step(() => {
            const sums = new Map<string, number>();
            this.functions(selection).self.forEach((value, frame) => {
                const { library } = this.frames.frames[frame]!;
                sums.set(library, (sums.get(library) ?? 0) + value);
            });
            return [...sums].filter(([, sum]) => sum > 0).sort(([, x], [, y]) => y - x)
                .map(([name, sum]) => ({ name, share: shareOf(selection, sum) }));
        })));
    }

    libraryColours(selection: Selection): LibraryColours {
        return finish(this.keep("colours", [selection], () => step(() =>
            new LibraryColours(this.libraries(selection).map(({ name }) => name)))));
    }

    frame(id: number): Frame {
        return this.frames.frames[id]!;
    }

    /* The names from the root to a node, for the state; with its library where
       another beside it, of the same name, would be found first. */
    zoomOf(tree: CallTree, node: number): string[] {
        const names: string[] = [];
        for (let n = node; n !== ROOT; n = tree.parent[n]!) {
            const { name, library } = this.frame(tree.frame[n]!);
            const found = this.child(tree, tree.parent[n]!, name);
            names.push(found === n ? name : focusKey(library, name));
        }
        return names.reverse();
    }

    /* The node of zoomOf(), as far as the tree has it. */
    resolve(tree: CallTree, names: readonly string[]): number {
        let node = ROOT;
        for (const name of names) {
            const found = this.child(tree, node, name);
            if (found === undefined) {
                break;
            }
            node = found;
        }
        return node;
    }

    private child(tree: CallTree, parent: number, wanted: string): number | undefined {
        const children = tree.children(parent);
        const frame = (node: number): Frame => this.frame(tree.frame[node]!);
        return children.find(node => frame(node).name === wanted)
            ?? children.find(node => focusKey(frame(node).library, frame(node).name) === wanted);
    }

    /* What was made of the same before, or what make() makes. */
    private *keep<T>(key: string, inputs: unknown[], make: () => Steps<T>): Steps<T> {
        const known = this.memory.get(key);
        if (known !== undefined && known.inputs.length === inputs.length
            && known.inputs.every((input, i) => input === inputs[i])) {
            return known.value as T;
        }
        const value = yield* make();
        this.memory.set(key, { inputs, value });
        return value;
    }
}
