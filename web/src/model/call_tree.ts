/*
 * Stacks merged into a tree. With two selections each node has the values of
 * both, A and B. The nodes are columns of numbers; 0 is the root, and a parent
 * comes before its children.
 *
 * The paths are sorted first, so that each shares its beginning with the one
 * before it: what is left of it is new nodes. That takes no table of children.
 */

import type { Selection } from "./sample_selection";
import type { Sum } from "./sampling_noise";
import { sorted, type Steps } from "./slices";

/*
 * What of a stack makes a path from the root:
 *   callees     all of it, from its outermost function on
 *   callers     all of it, from its innermost function on
 *   above/below with a function, which is then the root: from its outermost
 *               call to its callers, or to what it calls; stacks without it
 *               are left out
 */
export type Direction = "callees" | "callers" | "above" | "below";

export const ROOT = 0;
export const NONE = -1;

/* What a node is sorted and drawn by: values of A and B times these. */
export interface Scale {
    readonly a: number;
    readonly b: number;
}

/* A column for A and one for B. */
export type Columns = readonly [Float64Array, Float64Array];

export class CallTree {
    readonly frame: Int32Array;
    readonly parent: Int32Array;
    readonly depth: Int32Array;
    /* of the node and all below it, and how many events were seen of that */
    readonly totals: Columns;
    readonly events: Columns;
    /* of the events' values, see Selection */
    readonly squares: Columns;
    /* of the node alone: paths that end here */
    readonly self: Columns;
    /* as wide as it is drawn: paths of less than nothing have no width */
    readonly weight: Float64Array;
    private readonly firstChild: Int32Array;
    private readonly nextSibling: Int32Array;

    constructor(readonly size: number) {
        const columns = (): Columns => [new Float64Array(size), new Float64Array(size)];
        this.frame = new Int32Array(size).fill(NONE);
        this.parent = new Int32Array(size).fill(NONE);
        this.depth = new Int32Array(size);
        this.firstChild = new Int32Array(size).fill(NONE);
        this.nextSibling = new Int32Array(size).fill(NONE);
        this.totals = columns();
        this.events = columns();
        this.squares = columns();
        this.self = columns();
        this.weight = new Float64Array(size);
    }

    /* The largest first; those of less weight are left out. */
    children(node: number, weight = 0): number[] {
        const found: number[] = [];
        for (let c = this.firstChild[node]!; c !== NONE; c = this.nextSibling[c]!) {
            if (this.weight[c]! >= weight) {
                found.push(c);
            }
        }
        return found.sort((x, y) => this.weight[y]! - this.weight[x]!
            || this.frame[x]! - this.frame[y]!);
    }

    /* What one side has of a node and all below it. */
    sum(side: 0 | 1, node: number): Sum {
        return { value: this.totals[side][node]!, squares: this.squares[side][node]! };
    }

    /* For whoever builds the tree: nodes in order, values of paths' ends. */
    put(node: number, parent: number, frame: number): void {
        this.frame[node] = frame;
        this.parent[node] = parent;
        this.depth[node] = this.depth[parent]! + 1;
        this.nextSibling[node] = this.firstChild[parent]!;
        this.firstChild[parent] = node;
    }

    *addUp(scale: Scale): Steps<void> {
        for (const side of [0, 1] as const) {
            this.totals[side].set(this.self[side]);
            const by = side === 0 ? scale.a : scale.b;
            for (let node = 0; node < this.size; node++) {
                this.weight[node]! += Math.max(0, this.self[side][node]! * by);
            }
            yield;
            for (let node = this.size - 1; node > ROOT; node--) {
                const parent = this.parent[node]!;
                this.totals[side][parent]! += this.totals[side][node]!;
                this.events[side][parent]! += this.events[side][node]!;
                this.squares[side][parent]! += this.squares[side][node]!;
            }
            yield;
        }
        for (let node = this.size - 1; node > ROOT; node--) {
            this.weight[this.parent[node]!]! += this.weight[node]!;
        }
    }
}

/* The frames of one sample, from stacks[from] on, `length` of them, in steps
   of `step`. */
interface Path {
    readonly stacks: Int32Array;
    readonly from: number;
    readonly step: 1 | -1;
    readonly length: number;
    readonly side: 0 | 1;
    readonly value: number;
    readonly events: number;
    readonly squares: number;
}

/* Paths between two yields. */
const SOME = 1024;

export function* buildTree(selections: readonly (Selection | null)[],
                           direction: Direction, scale: Scale,
                           focus = NONE): Steps<CallTree> {
    const found: Path[] = [];
    for (const [side, selection] of selections.entries()) {
        if (selection !== null) {
            yield* addPaths(found, selection, side as 0 | 1, direction, focus);
        }
    }
    const paths = yield* sorted(found, comparePaths);
    /* how many frames a path has in common with the one before it */
    const shared = new Int32Array(paths.length);
    let size = 1;
    for (const [i, path] of paths.entries()) {
        shared[i] = i === 0 ? 0 : sharedLength(paths[i - 1]!, path);
        size += path.length - shared[i]!;
        if (i % SOME === 0) {
            yield;
        }
    }
    const tree = new CallTree(size);
    yield* putPaths(tree, paths, shared);
    yield* tree.addUp(scale);
    return tree;
}

function* putPaths(tree: CallTree, paths: readonly Path[], shared: Int32Array): Steps<void> {
    /* the nodes of the path before, by depth */
    const nodes = [ROOT];
    let next = 1;
    for (const [i, path] of paths.entries()) {
        for (let at = shared[i]!; at < path.length; at++) {
            tree.put(next, nodes[at]!, frameAt(path, at));
            nodes[at + 1] = next++;
        }
        const end = nodes[path.length]!;
        tree.self[path.side][end]! += path.value;
        tree.events[path.side][end]! += path.events;
        tree.squares[path.side][end]! += path.squares;
        if (i % SOME === 0) {
            yield;
        }
    }
}

function* addPaths(paths: Path[], { profile, values, events, squares }: Selection, side: 0 | 1,
                   direction: Direction, focus: number): Steps<void> {
    const { stacks, starts } = profile;
    for (let i = 0; i < profile.size; i++) {
        const start = starts[i]!;
        const end = starts[i + 1]!;
        const add = (from: number, step: 1 | -1, length: number): void => {
            paths.push({ stacks, from, step, length, side, value: values[i]!,
                         events: events[i]!, squares: squares[i]! });
        };
        if (i % SOME === 0) {
            yield;
        }
        if (values[i] === 0) {
            continue;
        }
        if (direction === "callees") {
            add(start, 1, end - start);
        } else if (direction === "callers") {
            add(end - 1, -1, end - start);
        } else {
            const found = stacks.subarray(start, end).indexOf(focus);
            if (found >= 0 && direction === "above") {
                add(start + found - 1, -1, found);
            } else if (found >= 0) {
                add(start + found + 1, 1, end - start - found - 1);
            }
        }
    }
}

function frameAt({ stacks, from, step }: Path, at: number): number {
    return stacks[from + at * step]!;
}

function sharedLength(x: Path, y: Path): number {
    const least = Math.min(x.length, y.length);
    let at = 0;
    while (at < least && frameAt(x, at) === frameAt(y, at)) {
        at++;
    }
    return at;
}

function comparePaths(x: Path, y: Path): number {
    const at = sharedLength(x, y);
    return at < x.length && at < y.length ? frameAt(x, at) - frameAt(y, at)
        : x.length - y.length;
}
