import assert from "node:assert/strict";
import { test } from "node:test";
import { finish, inSlices, slice, sorted, type Steps } from "../../src/model/slices";

function* endless(counted: { steps: number }): Steps<void> {
    for (;;) {
        counted.steps++;
        yield;
    }
}

test("a slice goes on for some milliseconds, and ends", () => {
    const counted = { steps: 0 };
    assert.equal(slice(endless(counted)), undefined);
    assert.ok(counted.steps > 1);
});

test("other tasks have their turn between two slices", async () => {
    let ended = false;
    function* until(): Steps<string> {
        while (!ended) {
            yield;
        }
        return "done";
    }
    setTimeout(() => { ended = true; });
    assert.equal(await inSlices(until()), "done");
});

test("what fails in a later slice fails as a whole", async () => {
    function* failing(): Steps<void> {
        const end = performance.now() + 40;
        while (performance.now() < end) {
            yield;
        }
        throw new Error("late");
    }
    await assert.rejects(inSlices(failing()), /late/);
});

test("a list of any length is sorted as sort() does it, and stable", () => {
    const byKey = (x: [number, number], y: [number, number]): number => x[0] - y[0];
    for (const length of [0, 1, 2, 511, 512, 513, 1024, 1537, 5000]) {
        const items = Array.from({ length }, (_, i): [number, number] => [i * 7919 % 97, i]);
        assert.deepEqual(finish(sorted(items, byKey)), [...items].sort(byKey), String(length));
    }
});
