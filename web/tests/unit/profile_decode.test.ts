import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { FrameTable, libraryName } from "../../src/model/frame_table";
import { labelValues } from "../../src/model/profile";
import { decodeProfile, readProfile } from "../../src/model/profile_decode";
import { encoded, made, zipped } from "./made_profile";

test("a stack is read root first, with names, libraries and values", () => {
    const profile = made([{ stack: "nginx:main;libc.so.6:qsort", values: [3, 3e7] }]);
    assert.deepEqual([...profile.stacks].map(id => profile.frames.frames[id]!), [
        { name: "main", library: "nginx", file: "" },
        { name: "qsort", library: "libc.so", file: "" },
    ]);
    assert.deepEqual(profile.values.map(column => [...column]), [[3], [3e7]]);
    assert.deepEqual(profile.types[1], { name: "cpu", unit: "nanoseconds" });
    assert.equal(profile.duration, 10);
    assert.equal(profile.time, 1.7e12);
});

test("inlined calls are frames, the outer one first", () => {
    const profile = made([{ stack: "main;outer>inner;leaf", values: [1, 1] }]);
    assert.deepEqual([...profile.stacks].map(id => profile.frames.frames[id]!.name),
                     ["main", "outer", "inner", "leaf"]);
});

test("the last sample type is the default unless one is named", () => {
    assert.equal(made([]).defaultType, 1);
    assert.equal(made([], { defaultType: "samples" }).defaultType, 0);
});

test("values and labels below 0 are read as such", () => {
    const profile = made([{ stack: "f", values: [-3, -3 * 2 ** 40], labels: { size: -7 } },
                          { stack: "g", values: [2 ** 40, -1] }]);
    assert.deepEqual(profile.values.map(column => [...column]),
                     [[-3, 2 ** 40], [-3 * 2 ** 40, -1]]);
    assert.deepEqual([...labelValues(profile).get("size")!.keys()], ["-7"]);
});

test("labels are kept, strings and numbers, and counted by value", () => {
    const profile = made([
        { stack: "a", values: [1, 1], labels: { location: "/b", size: 7 } },
        { stack: "b", values: [1, 1], labels: { location: "/a" } },
        { stack: "c", values: [1, 1], labels: { location: "/a" } },
    ]);
    assert.equal(profile.labelSets.length, 2);
    const values = labelValues(profile);
    assert.deepEqual([...values.get("location")!], [["/a", 2], ["/b", 1]]);
    assert.deepEqual([...values.get("size")!.keys()], ["7"]);
});

test("requests come from the comment of the profiler, else there are none", () => {
    assert.equal(made([], { comments: ["hello", "requests=4379"] }).requests.all, 4379);
    assert.equal(made([], { comments: ["requests=many"] }).requests.all, 0);
    const { sets } = made([], { comments: [
        String.raw`requests{location="/a",key="x=\"1\",\\\n{}"}=3`, "requests{}=2"] }).requests;
    assert.deepEqual(sets.map(({ labels, requests }) => [[...labels], requests]), [
        [[["location", "/a"], ["key", 'x="1",\\\n{}']], 3], [[], 2]]);
});

test("a sample without a stack is kept", () => {
    const profile = made([{ stack: "", values: [2, 2] }]);
    assert.deepEqual([...profile.starts], [0, 0]);
    assert.equal(profile.size, 1);
});

test("gzipped and plain bytes give the same", async () => {
    const samples = [{ stack: "a;b", values: [1, 2] }];
    for (const bytes of [zipped(samples), new Uint8Array(encoded(samples))]) {
        const profile = await readProfile(bytes, new FrameTable());
        assert.equal(profile.values[1]![0], 2);
    }
});

test("two profiles of one table have one number for one function", () => {
    const frames = new FrameTable();
    const first = made([{ stack: "x;y", values: [1, 1] }], {}, frames);
    const second = made([{ stack: "y", values: [1, 1] }], {}, frames);
    assert.equal(second.stacks[0], first.stacks[1]);
});

test("what is no profile is refused in words", async () => {
    const refuses = (bytes: Uint8Array<ArrayBuffer>, message: RegExp): Promise<void> =>
        assert.rejects(readProfile(bytes, new FrameTable()), message);
    await refuses(new Uint8Array(), /empty/);
    await refuses(new TextEncoder().encode("<html>404</html>"), /not a profile/);
    await refuses(new Uint8Array([0x1f, 0x8b, 8, 0, 1, 2, 3]), /damaged/);
    const whole = zipped([{ stack: "a;b;c", values: [1, 2] }]);
    await refuses(whole.slice(0, whole.length - 20), /damaged/);
    await refuses(new Uint8Array(gzipSync("")), /not a profile/);
});

test("a reference to what is not there is refused", () => {
    /* sample_type {1, 0}, where there is no string 1, after one sample type */
    const bytes = new Uint8Array([0x0a, 0x04, 0x08, 0x01, 0x10, 0x00]);
    assert.throws(() => decodeProfile(bytes, new FrameTable()), /damaged/);
    /* a sample of location 5, which is not there */
    const stray = new Uint8Array([0x0a, 0x02, 0x08, 0x00, 0x12, 0x05, 0x0a, 0x01, 0x05,
                                  0x12, 0x00, 0x32, 0x00]);
    assert.throws(() => decodeProfile(stray, new FrameTable()), /damaged/);
});

test("a library goes by its name without folder and version", () => {
    assert.equal(libraryName("/lib/x86_64-linux-gnu/libssl.so.1.1 (deleted)"), "libssl.so");
    assert.equal(libraryName("/usr/sbin/nginx"), "nginx");
    assert.equal(libraryName("libc-2.36.so"), "libc.so");
    assert.equal(libraryName("libsort_v2.so"), "libsort_v2.so");
    assert.equal(libraryName("[vdso]"), "[vdso]");
});
