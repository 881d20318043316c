import assert from "node:assert/strict";
import { test } from "node:test";
import { shellWord } from "../../src/model/endpoint";
import {
    focusKey, INITIAL, type PageState, readFocus, readState, writeState,
} from "../../src/model/page_state";
import { kindsOf, kindType } from "../../src/model/profile_kind";
import {
    formatCount, formatDelta, formatSeconds, formatShare, formatValue,
} from "../../src/model/value_format";
import { made } from "./made_profile";

test("the state survives the URL, whatever names have in them", () => {
    const state: PageState = {
        kind: "alloc", counts: true, view: "sandwich",
        a: { source: "live:30", filters: [{ name: "location", value: "= /a=b&c#d" }] },
        b: { source: "file:v 2.pb.gz", filters: [] },
        basis: "share", query: "/sort|\"<img>/", zoom: ["main", "operator<<;x", "日本"],
        focus: "libc.so\tqsort_r", sort: { column: "self", descending: false },
        colour: "function", theme: "dark",
    };
    assert.deepEqual(readState(`#${writeState(state)}`), state);
    assert.equal(writeState(INITIAL), "");
    assert.deepEqual(readState(""), INITIAL);
});

test("what makes no sense in a URL is left out", () => {
    assert.deepEqual(readState("#view=pie&basis=moon&theme=pink&fa=nolabel&colour="), INITIAL);
});

test("no fragment of a URL is too strange to be read", () => {
    for (const fragment of ["#%", "#%zz=%ff&a=%00", "#=&=&&&", "#a", "#kind=__proto__&sort=-",
                            `#${"a=".repeat(1000)}`, "#fa==&fb=x=y=z", "#a=a&a=b&theme"]) {
        const state = readState(fragment);
        assert.deepEqual(readState(writeState(state)), state, fragment);
    }
});

test("a function is known by its library and name, whatever is in it", () => {
    for (const [library, name] of [["libc.so", "qsort"], ["", "main"], ["nginx", "a\tb\t"]] as const) {
        assert.deepEqual(readFocus(focusKey(library, name)), { library, name });
    }
    assert.deepEqual(readFocus("main"), { library: "", name: "main" });
    assert.deepEqual(readFocus(""), { library: "", name: "" });
});

test("a profile is of the kinds that its sample types say", () => {
    const heap = made([], { types: [
        ["alloc_objects", "count"], ["alloc_space", "bytes"],
        ["inuse_objects", "count"], ["inuse_space", "bytes"]] });
    assert.deepEqual(kindsOf(heap).map(kind => kind.id), ["alloc", "inuse"]);
    assert.equal(kindType(heap, kindsOf(heap)[1]!, true), 2);
    assert.deepEqual(kindsOf(made([])).map(kind => kind.id), ["cpu"]);
    const nameless = made([], { types: [["", "count"]] });
    assert.deepEqual(kindsOf(nameless).map(kind => [kind.id, kind.title]),
                     [["unnamed", "unnamed"]]);
    assert.equal(kindType(nameless, kindsOf(nameless)[0]!, false), 0);
    const other = made([], { types: [["contentions", "count"], ["delay", "nanoseconds"]] });
    assert.deepEqual(kindsOf(other).map(kind => [kind.id, kind.count]), [["delay", "contentions"]]);
});

test("numbers have three digits and the unit that fits", () => {
    assert.equal(formatValue(7139000, "nanoseconds"), "7.14 ms");
    assert.equal(formatValue(1.5e9, "nanoseconds"), "1.5 s");
    assert.equal(formatValue(0, "nanoseconds"), "0 ns");
    assert.equal(formatValue(1536, "bytes"), "1.5 KiB");
    assert.equal(formatValue(1234567, "count"), "1,234,567");
    assert.equal(formatValue(0.25, "count"), "0.25");
    assert.equal(formatDelta(-6170000, "nanoseconds"), "−6.17 ms");
    assert.equal(formatDelta(5, "count"), "+5");
    assert.equal(formatValue(-1536, "bytes"), "−1.5 KiB");
    assert.equal(formatValue(-1234567, "count"), "−1,234,567");
    assert.equal(formatShare(-0.5), "−50.0 %");
    assert.equal(formatShare(0.8654), "86.5 %");
    assert.equal(formatShare(1), "100 %");
    assert.equal(formatShare(0.0004), "0.04 %");
    assert.equal(formatCount(999), "999");
    assert.equal(formatSeconds(300), "5 min");
    /* a unit is anybody's text */
    assert.equal(formatValue(3, "constructor"), "3");
    assert.equal(formatValue(3, "__proto__"), "3");
});

test("a command's words are quoted for the shell", () => {
    assert.equal(shellWord("v1.cpu.pb.gz"), "v1.cpu.pb.gz");
    assert.equal(shellWord("http://h/p?seconds=5&x"), "'http://h/p?seconds=5&x'");
    assert.equal(shellWord("it's; rm -rf"), "'it'\\''s; rm -rf'");
});
