import assert from "node:assert/strict";
import { test } from "node:test";
import { buildTree, type CallTree, type Direction, NONE, ROOT } from "../../src/model/call_tree";
import { FrameTable } from "../../src/model/frame_table";
import { boxAt, layOut } from "../../src/model/frame_layout";
import { functionValues } from "../../src/model/function_table";
import type { Selection } from "../../src/model/sample_selection";
import { finish } from "../../src/model/slices";
import { cpu } from "./made_profile";

const ONE = { a: 1, b: 0 };

/* "a(3)[b(1),c(2)]": names, samples of A, children in their order */
function drawn(tree: CallTree, frames: FrameTable, node = ROOT): string {
    const name = node === ROOT ? "*" : frames.frames[tree.frame[node]!]!.name;
    const children = tree.children(node).map(child => drawn(tree, frames, child));
    return `${name}(${tree.events[0][node]})${children.length ? `[${children.join(",")}]` : ""}`;
}

function tree(stacks: Record<string, number>, direction: Direction, focus = ""): string {
    const selection = cpu(stacks);
    const { frames } = selection.profile;
    const built = finish(buildTree([selection], direction, ONE, frames.find(focus, "") ?? NONE));
    return drawn(built, frames);
}

const STACKS = { "main;run;sort": 5, "main;run": 1, "main;read": 2, "thread": 1 };

test("stacks merge from the root down, the largest child first", () => {
    assert.equal(tree(STACKS, "callees"), "*(9)[main(8)[run(6)[sort(5)],read(2)],thread(1)]");
});

test("inverted, they merge from the innermost function up", () => {
    assert.equal(tree({ "a;x": 3, "b;x": 2, "a": 1 }, "callers"), "*(6)[x(5)[a(3),b(2)],a(1)]");
});

test("a sandwich has the callers above a function and what it calls below", () => {
    assert.equal(tree(STACKS, "above", "run"), "*(6)[main(6)]");
    assert.equal(tree(STACKS, "below", "run"), "*(6)[sort(5)]");
});

test("a recursive function counts each stack once, from its outermost call", () => {
    const stacks = { "m;r;r;r": 4, "m;r;x": 1 };
    assert.equal(tree(stacks, "above", "r"), "*(5)[m(5)]");
    assert.equal(tree(stacks, "below", "r"), "*(5)[r(4)[r(4)],x(1)]");
    const selection = cpu(stacks);
    const values = functionValues(selection);
    const of = (name: string): number[] => {
        const frame = selection.profile.frames.find(name, "")!;
        return [values.self[frame]! / 1e7, values.total[frame]! / 1e7];
    };
    assert.deepEqual([of("m"), of("r"), of("x")], [[0, 5], [4, 5], [1, 1]]);
});

test("two selections make one tree with the values of both", () => {
    const frames = new FrameTable();
    const a = cpu({ "m;old": 4, "m;kept": 1 }, {}, frames);
    const b = cpu({ "m;new": 6, "m;kept": 1 }, {}, frames);
    const both = finish(buildTree([a, b], "callees", { a: 1, b: 1 }));
    const m = both.children(ROOT)[0]!;
    assert.deepEqual([both.events[0][m], both.events[1][m]], [5, 7]);
    assert.equal(both.weight[m], 12e7);
    assert.equal(drawn(both, frames), "*(5)[m(5)[new(0),old(4),kept(1)]]");
});

function random(seed: number): () => number {
    let state = seed;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
    };
}

function randomSelection(next: () => number): Selection {
    const stacks: Record<string, number> = {};
    for (let i = 0; i < 400; i++) {
        const stack = Array.from({ length: 1 + Math.floor(12 * next()) },
                                 () => `f${Math.floor(9 * next())}`);
        stacks[stack.join(";")] = 1 + Math.floor(20 * next());
    }
    return cpu(stacks);
}

test("in any tree a node is the sum of its own and its children, and boxes nest", () => {
    for (let seed = 1; seed <= 20; seed++) {
        const selection = randomSelection(random(seed));
        for (const direction of ["callees", "callers"] as const) {
            const built = finish(buildTree([selection], direction, ONE));
            assert.equal(built.totals[0][ROOT], selection.total);
            for (let node = 0; node < built.size; node++) {
                let sum = built.self[0][node]!;
                for (const child of built.children(node)) {
                    sum += built.totals[0][child]!;
                }
                assert.equal(sum, built.totals[0][node]);
            }
            checkLayout(built, 1000);
        }
    }
});

function checkLayout(built: CallTree, width: number): void {
    const zoom = built.children(built.children(ROOT)[0]!)[0];
    for (const node of [ROOT, zoom ?? ROOT]) {
        const layout = layOut(built, node, width, 0.5);
        for (const row of layout.byRow) {
            let end = 0;
            for (const box of row) {
                assert.ok(box.x >= end - 1e-6 && box.x + box.width <= width + 1e-6);
                end = box.x + box.width;
                assert.equal(boxAt(layout, box.row, box.x + box.width / 2), box);
            }
        }
    }
}

test("a zoomed node is as wide as the whole, and so are those above it", () => {
    const built = finish(buildTree([cpu(STACKS)], "callees", ONE));
    const run = built.children(built.children(ROOT)[0]!)[0]!;
    const { boxes, rows } = layOut(built, run, 600, 1);
    assert.deepEqual(boxes.map(box => [box.row, Math.round(box.width), box.above]),
                     [[0, 600, true], [1, 600, true], [2, 600, false], [3, 500, false]]);
    assert.equal(rows, 4);
});

test("what is too narrow is left out with all below it", () => {
    const built = finish(buildTree([cpu({ "wide": 999, "thin;thinner": 1 })], "callees", ONE));
    assert.deepEqual(layOut(built, ROOT, 500, 1).boxes.length, 2);
    assert.equal(boxAt(layOut(built, ROOT, 500, 1), 1, 499.9), undefined);
});

test("what is less than nothing has a value but no width, and the rest still nests", () => {
    const selection = cpu({ "main;kept": 5, "main;freed": -3, "main;freed;more": 2, "gone": -4 });
    const built = finish(buildTree([selection], "callees", ONE));
    const main = built.children(ROOT)[0]!;
    assert.equal(built.totals[0][ROOT], 0);
    assert.equal(built.totals[0][main], 4e7);
    assert.deepEqual([...built.weight].sort((x, y) => x - y), [0, 2e7, 2e7, 5e7, 7e7, 7e7]);
    checkLayout(built, 1000);
    assert.deepEqual(layOut(built, ROOT, 700, 1).boxes.map(({ x, width }) =>
        [Math.round(x), Math.round(width)]),
                     [[0, 700], [0, 700], [0, 500], [500, 200], [500, 200]]);
    const freed = selection.profile.frames.find("freed", "")!;
    assert.equal(functionValues(selection).self[freed], -3e7);
});

test("an empty profile has nothing to draw", () => {
    assert.deepEqual(layOut(finish(buildTree([cpu({})], "callees", ONE)), ROOT, 500, 1).boxes, []);
});
