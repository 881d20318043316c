import assert from "node:assert/strict";
import { test } from "node:test";
import {
    type Basis, compare, comparedFunctions, headline, obstacle, usableBasis,
} from "../../src/model/comparison";
import { FrameTable } from "../../src/model/frame_table";
import { sentence } from "../../src/model/headline_text";
import { passesFilters } from "../../src/model/label_filter";
import { select, type Selection } from "../../src/model/sample_selection";
import { chance, chanceOfSums, isSignificant } from "../../src/model/sampling_noise";
import { finish } from "../../src/model/slices";
import { cpu, made } from "./made_profile";

function compared(a: Record<string, number>, b: Record<string, number>, basis: Basis,
                  requests: readonly [number, number] = [100, 1000]) {
    const frames = new FrameTable();
    const [x, y] = [a, b].map((stacks, i) =>
        cpu(stacks, { comments: [`requests=${requests[i]}`] }, frames)) as
        [ReturnType<typeof cpu>, ReturnType<typeof cpu>];
    const comparison = compare(basis, x, y);
    const functions = finish(comparedFunctions(comparison));
    const found = headline(comparison, functions, frames);
    const of = (name: string) =>
        functions.find(f => frames.frames[f.frame]!.name === name)!;
    const { before, name, after } = sentence(comparison, found);
    return { of, found, frames, text: before + name + after };
}

test("per request: as many samples of ten times the requests are ten times less", () => {
    const { of } = compared({ "m;f": 200 }, { "m;f": 200 }, "request");
    assert.equal(of("f").self.a, 2e7);
    assert.equal(of("f").self.b, 2e6);
    assert.equal(of("f").self.verdict, "less");
});

test("what is in one profile alone is new or gone, if chance can't do that", () => {
    const { of } = compared({ "m;bubble": 600, "m;rare": 1 },
                            { "m;qsort": 400, "m;seldom": 2 }, "request");
    assert.equal(of("bubble").self.verdict, "gone");
    assert.equal(of("qsort").self.verdict, "new");
    assert.equal(of("seldom").self.verdict, "same");
});

test("a function that was seen twice in each is within chance", () => {
    assert.equal(compared({ f: 2, g: 100 }, { f: 4, g: 100 }, "absolute").of("f").self.verdict,
                 "same");
});

test("by share the sizes of the profiles do not matter", () => {
    const { of } = compared({ f: 900, g: 100 }, { f: 90, g: 10 }, "share");
    assert.equal(of("f").self.verdict, "same");
    assert.equal(of("f").self.a, of("f").self.b);
});

test("the headline names what changed most, and what a request takes", () => {
    const { text } = compared({ "m;bubble_sort": 600, "m;[lost]": 700, "m;io": 50 },
                              { "m;msort": 300, "m;io": 500 }, "request");
    assert.equal(text, "What changed most is bubble_sort: 60 ms of CPU per request in A, "
        + "nothing in B. A request takes 16.9 times less: 135 ms → 8 ms.");
});

test("the headline says so if nothing changed, and if a side is empty", () => {
    assert.match(compared({ f: 50 }, { f: 55 }, "absolute").text, /^No function changed/);
    assert.match(compared({ f: 50 }, {}, "absolute").text, /^B has no samples/);
    assert.match(compared({}, {}, "absolute").text, /^A and B have no samples/);
});

test("a profile without requests is not compared per request", () => {
    const [a, b] = [cpu({ f: 1 }), cpu({ f: 1 })];
    assert.match(obstacle("request", a, b)!, /how many requests/);
    assert.equal(usableBasis("request", a, b), "share");
    assert.equal(usableBasis(null, a, b), "share");
    assert.equal(usableBasis("second", a, b), "second");
});

test("a filtered profile is not compared per request if they are of all labels", () => {
    const profile = made([{ stack: "f", values: [1, 1], labels: { v: "1" } }],
                         { comments: ["requests=5"] });
    const [all, one] = [select(profile, 1, []), select(profile, 1, [{ name: "v", value: "1" }])];
    assert.equal(obstacle("request", all, all), null);
    assert.match(obstacle("request", all, one)!, /filtered/);
});

test("two versions of one profile are each divided by their own requests", () => {
    const profile = made(
        [{ stack: "m;f", values: [80, 8e8], labels: { version: "1" } },
         { stack: "m;f", values: [80, 8e8], labels: { version: "2" } }],
        { comments: ["requests=110", 'requests{location="/",version="1"}=10',
                     'requests{version="2",location="/"}=90', "requests{}=10"] });
    const [a, b] = ["1", "2"].map(value => select(profile, 1, [{ name: "version", value }])) as
        [Selection, Selection];
    assert.deepEqual([a.requests, b.requests], [10, 90]);
    const [f] = finish(comparedFunctions(compare("request", a, b)))
        .filter(({ frame }) => profile.frames.frames[frame]!.name === "f");
    assert.deepEqual([f!.self.a, Math.round(f!.self.b)], [8e7, 8888889]);
    assert.equal(f!.self.verdict, "less");
    /* threads serve all requests, and a label that none has is of none */
    const of = (name: string, value: string) => select(profile, 1, [{ name, value }]);
    assert.equal(of("thread", "main").requests, 110);
    assert.equal(obstacle("request", a, of("thread", "main")), null);
    assert.match(obstacle("request", a, of("state", "draining"))!, /no request/);
});

test("what is in use is not compared per request", () => {
    const heap = select(made([{ stack: "f", values: [1, 512] }], {
        types: [["inuse_objects", "count"], ["inuse_space", "bytes"]],
        comments: ["requests=5"] }), 1, []);
    assert.match(obstacle("request", heap, heap)!, /in use/);
    assert.equal(usableBasis(null, heap, heap), "share");
});

test("values of two units compare by share alone", () => {
    const frames = new FrameTable();
    const [a, b] = (["nanoseconds", "microseconds"] as const).map(unit =>
        select(made([{ stack: "f", values: [9, 90] }, { stack: "g", values: [1, 10] }], {
            types: [["samples", "count"], ["cpu", unit]],
            comments: ["requests=5"] }, frames), 1, [])) as [Selection, Selection];
    for (const basis of ["request", "second", "absolute"] as const) {
        assert.equal(obstacle(basis, a, b), "A is in nanoseconds, B in microseconds");
        assert.equal(obstacle(basis, a, a), null);
    }
    assert.equal(usableBasis("absolute", a, b), "share");
    assert.equal(obstacle("share", a, b), null);
});

test("a type of any name makes a sentence", () => {
    const frames = new FrameTable();
    const [a, b] = [500, 5].map(n => select(made([{ stack: "f", values: [n] }], {
        types: [["constructor", "toString"]] }, frames), 0, [])) as [Selection, Selection];
    const comparison = compare("absolute", a, b);
    const found = headline(comparison, finish(comparedFunctions(comparison)), frames);
    const { before, name, after } = sentence(comparison, found);
    assert.equal(before + name + after, "What changed most is f: 500 in A, 5 in B. "
        + "The whole takes 100 times less: 500 → 5.");
});

test("profiles without a sample compare on every basis", () => {
    const frames = new FrameTable();
    const none = cpu({}, { seconds: 0 }, frames);
    const some = cpu({ f: 9 }, { seconds: 0 }, frames);
    for (const [a, b] of [[none, none], [none, some], [some, none]] as const) {
        for (const basis of ["request", "second", "share", "absolute"] as const) {
            const comparison = compare(basis, a, b);
            for (const { self } of finish(comparedFunctions(comparison))) {
                assert.ok([self.a, self.b, self.delta].every(Number.isFinite), basis);
            }
            const found = headline(comparison, finish(comparedFunctions(comparison)), frames);
            assert.match(sentence(comparison, found).before, /no samples/);
        }
    }
});

test("filters of one label are alternatives, those of two must both agree", () => {
    const labels = new Map([["location", "/a"], ["thread", "main"]]);
    const passes = (...filters: [string, string][]): boolean =>
        passesFilters(labels, filters.map(([name, value]) => ({ name, value })));
    assert.ok(passes());
    assert.ok(passes(["location", "/b"], ["location", "/a"]));
    assert.ok(passes(["location", "/a"], ["location", "/b"]));
    assert.ok(!passes(["location", "/a"], ["thread", "pool"]));
    assert.ok(!passes(["none", "x"]));
});

test("what is filtered out has neither value nor events", () => {
    const profile = made([{ stack: "f", values: [3, 30], labels: { v: "1" } },
                          { stack: "f", values: [5, 50], labels: { v: "2" } }]);
    const { total, totalEvents } = select(profile, 1, [{ name: "v", value: "2" }]);
    assert.deepEqual([total, totalEvents], [50, 5]);
});

/* P(X <= a) of X ~ Bin(n, 1/2) by Pascal's triangle */
function halfTail(a: number, n: number): number {
    let row = [1];
    for (let i = 0; i < n; i++) {
        row = [1, ...row.slice(1).map((v, k) => v + row[k]!), 1];
    }
    return row.slice(0, a + 1).reduce((x, y) => x + y, 0) / 2 ** n;
}

test("the exact p-value is twice the smaller tail", () => {
    for (const [a, b] of [[0, 5], [3, 9], [10, 2], [20, 25]] as const) {
        const tail = halfTail(Math.min(a, b), a + b);
        assert.ok(Math.abs(chance(a, b, 1, 1) - Math.min(1, 2 * tail)) < 1e-12, `${a}, ${b}`);
    }
    assert.equal(chance(0, 0, 1, 1), 1);
    assert.equal(chance(5, 5, 0, 1), 1);
});

test("a tail that is tiny is still a number above 0", () => {
    const p = chance(400, 0, 1, 1);
    assert.ok(p > 0 && p < 1e-100, String(p));
});

test("exact and normal p-values agree where one takes over", () => {
    for (const a of [450, 480, 500, 520, 560]) {
        const exact = chance(a, 999 - a, 1, 1);
        const normal = chance(a, 1000 - a, 1, 1);
        assert.ok(Math.abs(exact - normal) < 0.06 * Math.max(exact, normal) + 0.03,
                  `${a}: ${exact}, ${normal}`);
    }
});

function random(seed: number): () => number {
    let state = seed;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return (state + 0.5) / 2 ** 32;
    };
}

function poisson(next: () => number, mean: number): number {
    let n = 0;
    for (let p = next(); p > Math.exp(-mean); p *= next()) {
        n++;
    }
    return n;
}

test("equal rates are called different less than once in 500 times", () => {
    const next = random(7);
    let wrong = 0;
    for (let i = 0; i < 20000; i++) {
        const [a, b] = [poisson(next, 8), poisson(next, 24)];
        wrong += isSignificant({ value: a, squares: a }, { value: b, squares: b }, 100, 300)
            ? 1 : 0;
    }
    assert.ok(wrong < 40, `${wrong} of 20000`);
});

/* Allocations per request, each sampled; of stack -> objects, bytes. */
function heaps(a: Record<string, [number, number]>, b: Record<string, [number, number]>) {
    const frames = new FrameTable();
    const [x, y] = [a, b].map(stacks => select(made(
        Object.entries(stacks).map(([stack, values]) => ({ stack, values })), {
            types: [["alloc_objects", "count"], ["alloc_space", "bytes"]],
            period: 1, periodType: ["space", "bytes"], comments: ["requests=1"],
        }, frames), 1, [])) as [Selection, Selection];
    const comparison = compare("request", x, y);
    const functions = finish(comparedFunctions(comparison));
    const verdictOf = (name: string) =>
        functions.find(f => frames.frames[f.frame]!.name === name)!.self.verdict;
    return { verdictOf, found: headline(comparison, functions, frames) };
}

test("what changed most is one function, whatever others are called", () => {
    const { found, frames } = compared({ "a.so:f": 900, "b.so:f": 100 },
                                       { "a.so:f": 900, "b.so:f": 9000 }, "request", [100, 100]);
    assert.deepEqual(frames.frames[found.function!.frame],
                     { name: "f", library: "b.so", file: "" });
});

test("as many objects of ten times the bytes are more", () => {
    const { verdictOf, found } = heaps({ f: [100, 4e6], same: [100, 4e6] },
                                       { f: [100, 40e6], same: [100, 4e6] });
    assert.equal(verdictOf("f"), "more");
    assert.equal(verdictOf("same"), "same");
    assert.equal(found.function!.name, "f");
    assert.equal(found.whole.verdict, "more");
});

test("more objects of as many bytes in all are the same", () => {
    assert.equal(heaps({ f: [1000, 4e6] }, { f: [100, 4e6] }).verdictOf("f"), "same");
});

test("from less than nothing to more is judged by either alone", () => {
    const { verdictOf, found } = heaps(
        { f: [-50, -5e6], g: [-2, -2e5], freed: [-50, -5e6], big: [400, 4e7] },
        { f: [50, 5e6], g: [2, 2e5], big: [-400, -4e7] });
    assert.deepEqual(["f", "g", "freed", "big"].map(verdictOf), ["more", "same", "gone", "less"]);
    assert.equal(found.function!.name, "big");
});

test("there is no share of less than nothing", () => {
    const [a, b] = [cpu({ f: -5 }), cpu({ f: 5 })];
    assert.match(obstacle("share", a, b)!, /less than nothing/);
    assert.equal(usableBasis(null, a, b), "absolute");
    const comparison = compare("absolute", a, b);
    const { before, after } = sentence(comparison,
                                       headline(comparison, [], a.profile.frames));
    assert.equal(before + after, "No function changed by more than chance explains."
        + " The whole takes −50 ms in A, 50 ms in B.");
});

test("one event of a huge value is within chance", () => {
    const { verdictOf } = heaps({ f: [1, 1], many: [50, 5e3] }, { f: [1, 1e9], many: [50, 5e3] });
    assert.equal(verdictOf("f"), "same");
});

test("sums are judged as counts are where all events have one value", () => {
    for (const [a, b] of [[0, 5], [3, 9], [30, 2], [600, 700]] as const) {
        const sum = (n: number) => ({ value: n * 1e7, squares: n * 1e14 });
        assert.equal(chanceOfSums(sum(a), sum(b), 1, 3), chance(a, b, 1, 3), `${a}, ${b}`);
    }
});

test("equal rates of values that differ are called different as seldom", () => {
    const next = random(11);
    const sum = (rate: number): { value: number; squares: number } => {
        const events = Array.from({ length: poisson(next, rate) }, () => -Math.log(next()));
        return { value: events.reduce((x, y) => x + y, 0),
                 squares: events.reduce((x, y) => x + y * y, 0) };
    };
    let wrong = 0;
    for (let i = 0; i < 5000; i++) {
        wrong += isSignificant(sum(20), sum(60), 100, 300) ? 1 : 0;
    }
    assert.ok(wrong < 15, `${wrong} of 5000`);
});

test("of heap profiles the events are what was sampled, not what it stands for", () => {
    const types = [["alloc_objects", "count"], ["alloc_space", "bytes"]] as const;
    const options = { types, period: 524288, periodType: ["space", "bytes"] as const };
    /* 1024 objects of 1 KiB: one in 512.5 is sampled; of 16 MiB: each */
    const profile = made([{ stack: "f", values: [1024, 1048576] },
                          { stack: "g", values: [3, 3 * 2 ** 24] }], options);
    const { events } = select(profile, 1, []);
    assert.ok(Math.abs(events[0]! - 2) < 0.01);
    assert.ok(Math.abs(events[1]! - 3) < 0.01);
});
