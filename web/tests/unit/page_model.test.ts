import assert from "node:assert/strict";
import { test } from "node:test";
import { ROOT } from "../../src/model/call_tree";
import { INITIAL, type PageState } from "../../src/model/page_state";
import { KINDS } from "../../src/model/profile_kind";
import { Recordings } from "../../src/model/recordings";
import { finish, type Steps } from "../../src/model/slices";
import { PageModel } from "../../src/view/page_model";
import { type MadeSample, zipped } from "./made_profile";

async function opened(...profiles: readonly (readonly MadeSample[])[]) {
    const model = new PageModel();
    const recordings = new Recordings(model.frames, null, () => undefined);
    for (const [i, samples] of profiles.entries()) {
        await recordings.addBytes(`file:${i}`, String(i), String(i), zipped(samples));
    }
    const state: PageState = {
        ...INITIAL, a: { source: "file:0", filters: [] },
        b: { source: profiles.length > 1 ? "file:1" : "", filters: [] } };
    return { model, recordings, state };
}

function countSteps(steps: Steps<void>): number {
    let n = 0;
    while (steps.next().done !== true) {
        n++;
    }
    return n;
}

const STACKS = [{ stack: "nginx:main;a.so:init", values: [9, 9] },
                { stack: "nginx:main;b.so:init;leaf", values: [5, 5] },
                { stack: "nginx:main;last", values: [1, 1] }];

test("each frame can be zoomed to, and brought back by its names", async () => {
    const { model, recordings, state } = await opened(STACKS);
    const { selection } = model.side("a", state, recordings);
    const tree = model.tree("callees", selection!, null);
    for (let node = ROOT; node < tree.size; node++) {
        assert.equal(model.resolve(tree, model.zoomOf(tree, node)), node);
    }
    assert.deepEqual(model.zoomOf(tree, model.resolve(tree, ["main", "b.so\tinit", "leaf"])),
                     ["main", "b.so\tinit", "leaf"]);
    assert.deepEqual(model.zoomOf(tree, model.resolve(tree, ["main", "init"])), ["main", "init"]);
    /* as far as it goes */
    assert.deepEqual(model.zoomOf(tree, model.resolve(tree, ["main", "none", "x"])), ["main"]);
});

test("the sandwich offers the functions of both sides, each by a text of its own", async () => {
    const { model, recordings, state } = await opened(
        STACKS, [{ stack: "nginx:main;b.so:new", values: [50, 50] },
                 { stack: "nginx:main;b.so:init", values: [5, 5] }],
        [{ stack: "other", values: [1, 1] }]);
    const [a, b] = (["a", "b"] as const).map(side => model.side(side, state, recordings).selection);
    const offered = (...sides: Parameters<typeof model.offered>) =>
        [...model.offered(...sides)].map(([text, frame]) => {
            const { library, name } = model.frame(frame);
            assert.equal(model.frames.find(name, library), frame);
            return `${text} = ${library}:${name}`;
        }).sort();
    const alone = ["init  (a.so) = a.so:init", "init  (b.so) = b.so:init", "last = :last",
                   "leaf = :leaf", "main = nginx:main"];
    assert.deepEqual(offered(a!, null), alone);
    const comparison = model.comparison(state, a!, b!)!;
    assert.equal([...model.offered(a!, comparison).keys()][0], "new");
    assert.deepEqual(offered(a!, comparison).filter(text => !alone.includes(text)),
                     ["new = b.so:new"]);
});

test("what is shown is computed in steps, once", async () => {
    const more = STACKS.map(sample => ({ ...sample, values: [2, 2] }));
    const { model, recordings, state } = await opened(STACKS, more);
    for (const view of ["flame", "inverted", "sandwich", "top"] as const) {
        const shown = { ...state, view, query: "init" };
        assert.ok(countSteps(model.prepare(shown, recordings)) > 0 || view === "top", view);
        assert.equal(countSteps(model.prepare(shown, recordings)), 0, view);
    }
    assert.equal(model.kind(state, recordings), KINDS[0]);
    /* one side that is not there is no reason to fail */
    finish(model.prepare({ ...state, b: { source: "file:9", filters: [] } }, recordings));
});
