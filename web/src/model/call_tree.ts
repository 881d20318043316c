/*
 * Stacks merged into a tree. With two selections each node has the values of
 * both, A and B. The nodes are columns of numbers, the root is 0; children of
 * a node form a list, the largest first.
 */

import type { Selection } from "./sample_selection";

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

export class CallTree {
    readonly frame: number[] = [NONE];
    readonly parent: number[] = [NONE];
    readonly firstChild: number[] = [NONE];
    readonly nextSibling: number[] = [NONE];
    readonly depth: number[] = [0];
    /* of the node and all below it; [0] is A's, [1] is B's */
    readonly totals: [number[], number[]] = [[0], [0]];
    readonly events: [number[], number[]] = [[0], [0]];
    /* of the node alone: paths that end here */
    readonly self: [number[], number[]] = [[0], [0]];
    /* after order(): what a node is drawn by */
    readonly weight: number[] = [];
    maxDepth = 0;

    private readonly children = new Map<number, number>();

    get size(): number {
        return this.frame.length;
    }

    /* The frames from the root to a node, that of the root left out. */
    path(node: number): number[] {
        const frames: number[] = [];
        for (let n = node; n !== ROOT; n = this.parent[n]!) {
            frames.push(this.frame[n]!);
        }
        return frames.reverse();
    }

    /* The child of a node with that frame, or NONE. */
    child(node: number, frame: number): number {
        return this.children.get(childKey(node, frame)) ?? NONE;
    }

    add(side: 0 | 1, selection: Selection, direction: Direction,
        focus: number): void {
        const { stacks, starts } = selection.profile;
        for (let i = 0; i < selection.profile.size; i++) {
            const value = selection.values[i]!;
            if (value === 0) {
                continue;
            }
            const [from, to, step] = pathOf(stacks, starts[i]!, starts[i + 1]!,
                                            direction, focus);
            if (step === 0) {
                continue;
            }
            let node = ROOT;
            this.count(side, node, value, selection.events[i]!);
            for (let at = from; at !== to; at += step) {
                node = this.childOf(node, stacks[at]!);
                this.count(side, node, value, selection.events[i]!);
            }
            this.self[side][node]! += value;
        }
    }

    /* Sorts children, the largest first, and sets weight. */
    order(scale: Scale): void {
        const { frame, weight, parent, firstChild, nextSibling, totals } = this;
        for (let node = 0; node < frame.length; node++) {
            weight[node] = totals[0][node]! * scale.a + totals[1][node]! * scale.b;
            firstChild[node] = NONE;
        }
        const nodes = Array.from(frame.keys()).slice(1);
        nodes.sort((x, y) => weight[x]! - weight[y]! || frame[y]! - frame[x]!);
        for (const node of nodes) {
            nextSibling[node] = firstChild[parent[node]!]!;
            firstChild[parent[node]!] = node;
        }
    }

    private count(side: 0 | 1, node: number, value: number, events: number): void {
        this.totals[side][node]! += value;
        this.events[side][node]! += events;
    }

    private childOf(parent: number, frame: number): number {
        const key = childKey(parent, frame);
        let node = this.children.get(key);
        if (node === undefined) {
            node = this.frame.length;
            this.children.set(key, node);
            this.frame.push(frame);
            this.parent.push(parent);
            this.firstChild.push(NONE);
            this.nextSibling.push(NONE);
            this.depth.push(this.depth[parent]! + 1);
            this.maxDepth = Math.max(this.maxDepth, this.depth[node]!);
            for (const column of [this.totals, this.events, this.self]) {
                column[0].push(0);
                column[1].push(0);
            }
        }
        return node;
    }
}

export function buildTree(selections: readonly (Selection | null)[],
                          direction: Direction, scale: Scale,
                          focus = NONE): CallTree {
    const tree = new CallTree();
    selections.forEach((selection, side) => {
        if (selection !== null) {
            tree.add(side as 0 | 1, selection, direction, focus);
        }
    });
    tree.order(scale);
    return tree;
}

/* Exact below 2^53: memory bounds nodes below 2^27 and frames below 2^26. */
function childKey(parent: number, frame: number): number {
    return parent * 0x4000000 + frame;
}

/* [first, end, step] in stacks; step 0 for a stack that is left out. */
function pathOf(stacks: Int32Array, start: number, end: number,
                direction: Direction, focus: number): [number, number, number] {
    if (direction === "callees") {
        return [start, end, 1];
    }
    if (direction === "callers") {
        return [end - 1, start - 1, -1];
    }
    const found = stacks.subarray(start, end).indexOf(focus);
    if (found < 0) {
        return [0, 0, 0];
    }
    return direction === "above"
        ? [start + found - 1, start - 1, -1] : [start + found + 1, end, 1];
}
