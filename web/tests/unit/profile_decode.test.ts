import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { FrameTable, libraryName } from "../../src/model/frame_table";
import { ProfileError } from "../../src/model/message_fields";
import { labelValues, offeredValues } from "../../src/model/profile";
import { decodeProfile, readProfile } from "../../src/model/profile_decode";
import { finish } from "../../src/model/slices";
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

test("of very many values of a label those of most samples are offered", () => {
    const values = new Map(Array.from({ length: 5000 }, (_, i) => [`id${i}`, i === 4321 ? 9 : 1]));
    const offered = offeredValues(values);
    assert.equal(offered.length, 200);
    assert.equal(offered[0], "id4321");
    assert.deepEqual(offeredValues(new Map([["b", 1], ["a", 2]])), ["b", "a"]);
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
    assert.throws(() => finish(decodeProfile(bytes, new FrameTable())), /damaged/);
    /* a sample of location 5, which is not there */
    const stray = new Uint8Array([0x0a, 0x02, 0x08, 0x00, 0x12, 0x05, 0x0a, 0x01, 0x05,
                                  0x12, 0x00, 0x32, 0x00]);
    assert.throws(() => finish(decodeProfile(stray, new FrameTable())), /damaged/);
});

test("a file that ends too early is refused, whatever is missing of it", () => {
    const whole = encoded([{ stack: "a;b", values: [1, 2], labels: { v: "x" } },
                           { stack: "a;last", values: [3, 4] }]);
    const ends = (length: number) => (): unknown =>
        finish(decodeProfile(whole.subarray(0, length), new FrameTable()));
    assert.doesNotThrow(ends(whole.length));
    /* what is last are numbers of the whole, which a profile may lack: an end
       between two of them is one */
    const strings = Buffer.from(whole).indexOf("last") + 4;
    for (let length = 0; length < strings; length++) {
        assert.throws(ends(length), ProfileError, `${length} of ${whole.length} bytes`);
    }
});

test("a profile that is read in many pieces is the same", () => {
    const samples = Array.from({ length: 5000 }, (_, i) => ({
        stack: `root;f${i % 700};g${i}`, values: [i + 1, (i + 1) * 1e7],
        labels: { location: `/l${i % 7}` } }));
    const { size, stacks, starts, frames, values, labels, labelSets } = made(samples);
    assert.equal(size, 5000);
    samples.forEach(({ stack, values: [first, second], labels: { location } }, i) => {
        const names = [...stacks.subarray(starts[i], starts[i + 1])]
            .map(frame => frames.frames[frame]!.name);
        assert.equal(names.join(";"), stack);
        assert.deepEqual([values[0]![i], values[1]![i]], [first, second]);
        assert.equal(labelSets[labels[i]!]!.get("location"), location);
    });
});

/* A field of bytes of the message. */
function field(number: number, content: Uint8Array | readonly number[]): number[] {
    const length: number[] = [];
    for (let left = content.length; length.length === 0 || left > 0; left >>>= 7) {
        length.push(left & 0x7f | (left > 0x7f ? 0x80 : 0));
    }
    return [number << 3 | 2, ...length, ...content];
}

test("ids of 64 bits are told apart", () => {
    /* 2^63 + 1 and 2^63 + 2 are one number in floating point */
    const id = (low: number): number[] => [0x80 | low, ...Array(8).fill(0x80), 1];
    const text = (string: string): number[] => field(6, new TextEncoder().encode(string));
    const bytes = new Uint8Array([
        ...field(1, [0x08, 0]),
        ...[1, 2].flatMap(n => field(2, [...field(1, id(n)), ...field(2, [n])])),
        ...[1, 2].flatMap(n => field(4, [0x08, ...id(n), ...field(4, [0x08, ...id(n)])])),
        ...[1, 2].flatMap(n => field(5, [0x08, ...id(n), 0x10, n])),
        ...["", "one", "two"].flatMap(text),
    ]);
    const { stacks, frames } = finish(decodeProfile(bytes, new FrameTable()));
    assert.deepEqual([...stacks].map(frame => frames.frames[frame]!.name), ["one", "two"]);
});

test("fields that are not known are passed over", () => {
    const known = encoded([{ stack: "a", values: [1, 2] }]);
    /* field 20 of each wire type, before and after */
    const unknown = [0xa0, 1, 0x96, 1, 0xa2, 1, 2, 7, 7, 0xa1, 1, ...Array(8).fill(9),
                     0xa5, 1, 9, 9, 9, 9];
    const { values } = finish(decodeProfile(
        new Uint8Array([...unknown, ...known, ...unknown]), new FrameTable()));
    assert.deepEqual(values.map(([value]) => value), [1, 2]);
});

test("what would take all memory is refused", async () => {
    const refuses = (bytes: Uint8Array<ArrayBuffer>, message: RegExp): Promise<void> =>
        assert.rejects(readProfile(bytes, new FrameTable()), message);
    await refuses(new Uint8Array(gzipSync(Buffer.alloc(129 * 2 ** 20), { level: 1 })),
                  /larger than 128 MiB/);
    await refuses(new Uint8Array(129 * 2 ** 20), /larger than 128 MiB/);
    /* 5,000,000 samples without anything in them */
    await refuses(new Uint8Array(gzipSync(Buffer.alloc(1e7, Uint8Array.of(0x12, 0)))),
                  /more than 2 million entries/);
    const types = Array.from({ length: 17 }, () => field(1, []));
    await refuses(new Uint8Array([types, field(6, [])].flat(2)), /more than 16 sample types/);
    const long = new Uint8Array(2 ** 20 + 6);
    long.set([0x32, 0x81, 0x80, 0x40]);
    await refuses(long, /an entry of more than 1 MiB/);
    /* 1000 samples, of 500 locations, of 100 inlined calls each */
    const ids = Array<number>(500).fill(1);
    const lines = Array.from({ length: 100 }, () => field(4, [0x08, 1]));
    await refuses(new Uint8Array([
        field(1, []), ...Array.from({ length: 1000 }, () => field(2, field(1, ids))),
        field(4, [0x08, 1, ...lines.flat()]), field(5, [0x08, 1]), field(6, []),
    ].flat()), /more than 32 million frames/);
});

test("a library goes by its name without folder and version", () => {
    assert.equal(libraryName("/lib/x86_64-linux-gnu/libssl.so.1.1 (deleted)"), "libssl.so");
    assert.equal(libraryName("/usr/sbin/nginx"), "nginx");
    assert.equal(libraryName("libc-2.36.so"), "libc.so");
    assert.equal(libraryName("libsort_v2.so"), "libsort_v2.so");
    assert.equal(libraryName("[vdso]"), "[vdso]");
});
