/*
 * Which nodes of a tree are seen, and where: pure geometry. Time and memory
 * go with what can be seen, not with what the tree has.
 */

import { type CallTree, ROOT } from "./call_tree";

export interface Box {
    readonly node: number;
    readonly x: number;
    readonly width: number;
    readonly row: number;
    /* an ancestor of the node that is zoomed to */
    readonly above: boolean;
}

export interface Layout {
    readonly boxes: readonly Box[];
    readonly rows: number;
    /* the boxes of a row, by x */
    readonly byRow: readonly (readonly Box[])[];
}

/*
 * The node that is zoomed to, and its ancestors, are as wide as the whole;
 * what is narrower than minWidth is left out, with all below it.
 */
export function layOut(tree: CallTree, zoom: number, width: number,
                       minWidth: number): Layout {
    const boxes: Box[] = [];
    const byRow: Box[][] = [];
    const put = (box: Box): void => {
        boxes.push(box);
        (byRow[box.row] ??= []).push(box);
    };
    const total = tree.weight[zoom] ?? 0;
    if (total <= 0) {
        return { boxes, rows: 0, byRow };
    }
    for (const node of ancestors(tree, zoom)) {
        put({ node, x: 0, width, row: tree.depth[node]!, above: true });
    }
    const scale = width / total;
    const pending: [number, number][] = [[zoom, 0]];
    while (pending.length > 0) {
        const [node, x] = pending.pop()!;
        put({ node, x, width: tree.weight[node]! * scale,
              row: tree.depth[node]!, above: false });
        let childX = x;
        const children: [number, number][] = [];
        for (const child of tree.children(node, minWidth / scale)) {
            children.push([child, childX]);
            childX += tree.weight[child]! * scale;
        }
        pending.push(...children.reverse());
    }
    return { boxes, rows: byRow.length, byRow };
}

/* The box at a point of a row, or undefined. */
export function boxAt(layout: Layout, row: number, x: number): Box | undefined {
    const boxes = layout.byRow[row] ?? [];
    let low = 0;
    let high = boxes.length - 1;
    while (low <= high) {
        const middle = (low + high) >> 1;
        const box = boxes[middle]!;
        if (x < box.x) {
            high = middle - 1;
        } else if (x >= box.x + box.width) {
            low = middle + 1;
        } else {
            return box;
        }
    }
    return undefined;
}

/* From the root down, the node itself left out. */
function ancestors(tree: CallTree, node: number): number[] {
    const found: number[] = [];
    for (let n = node; n !== ROOT;) {
        n = tree.parent[n]!;
        found.push(n);
    }
    return found.reverse();
}
