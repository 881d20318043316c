import assert from "node:assert/strict";
import { test } from "node:test";
import { Endpoint } from "../../src/model/endpoint";
import { FrameTable } from "../../src/model/frame_table";
import { KINDS } from "../../src/model/profile_kind";
import { pastIds, type Recording, Recordings, windowId } from "../../src/model/recordings";
import { nextTask } from "../../src/model/slices";
import { zipped } from "./made_profile";

const [CPU, , , , INUSE] = KINDS as [typeof KINDS[0], unknown, unknown, unknown, typeof KINDS[0]];

/* An endpoint whose answers are made; `asked` has what it was asked for. */
class FakeEndpoint extends Endpoint {
    readonly asked: string[] = [];

    constructor(private readonly answer: () => Uint8Array<ArrayBuffer>) {
        super("http://host/debug/pprof/");
    }

    override async fetch(path: string): Promise<Uint8Array<ArrayBuffer>> {
        this.asked.push(path);
        return this.answer();
    }
}

function recordings(answer = () => zipped([{ stack: "f", values: [1, 1] }])) {
    const endpoint = new FakeEndpoint(answer);
    return { endpoint, all: new Recordings(new FrameTable(), endpoint, () => undefined) };
}

test("each way to record asks for its window", async () => {
    const { endpoint, all } = recordings();
    for (const id of ["live:30", "last:300", "store:cpu-1.pb.gz"]) {
        await all.load(all.open(id)!, CPU);
    }
    await all.load(all.open("last:300")!, INUSE);
    assert.deepEqual(endpoint.asked,
                     ["profile?seconds=30", "profile?last=300s", "store/cpu-1.pb.gz", "heap"]);
    const one = all.record("live:30@4711")!;
    await all.load(one, CPU);
    await all.load(one, INUSE);
    assert.deepEqual(endpoint.asked.slice(-2),
                     ["profile?seconds=30&worker=4711", "heap?worker=4711"]);
    assert.match(one.title, /, worker 4711$/);
    assert.equal(all.open("last:30@4711"), undefined);
});

test("what is before the last window ends where that begins", async () => {
    /* made profiles begin at 1.7e9 s */
    const { endpoint, all } = recordings();
    const before = all.open("before:60")!;
    await Promise.all([all.load(before, CPU), all.load(all.open("last:60")!, CPU)]);
    assert.deepEqual(endpoint.asked,
                     ["profile?last=60s", "profile?from=1699999940&to=1700000000"]);
    assert.equal(before.command(CPU),
                 "go tool pprof 'http://host/debug/pprof/profile?from=1699999940&to=1700000000'");
    assert.deepEqual(all.list.map(({ loading }) => loading.size), [0, 0]);
});

test("of two last windows it is before the latest", async () => {
    const times = [1.7e9, 1.7e9 + 500];
    const { endpoint, all } = recordings(() => zipped([{ stack: "f", values: [1, 1] }],
                                                      { time: times.shift() ?? 0 }));
    await all.load(all.record("last:60")!, CPU);
    await all.load(all.record("last:60")!, CPU);
    await all.load(all.record("before:60")!, CPU);
    assert.equal(endpoint.asked.at(-1), "profile?from=1700000440&to=1700000500");
});

test("without the last window there is none before it", async () => {
    const { endpoint, all } = recordings(() => { throw new Error("nginx says: no"); });
    const before = all.open("before:60")!;
    await all.load(before, CPU);
    assert.match(before.errors.get("cpu")!, /^last 1 min, at .*: nginx says: no$/);
    assert.deepEqual(endpoint.asked, ["profile?last=60s"]);
});

test("no window is offered that begins before what nginx keeps", () => {
    assert.deepEqual(pastIds(CPU),
                     ["last:30", "before:30", "last:300", "before:300", "last:3600"]);
});

test("what was in use before is not asked for: it would be a change, not a level", async () => {
    const { endpoint, all } = recordings();
    const before = all.open("before:300")!;
    assert.ok(before.has(CPU) && !before.has(INUSE));
    await all.load(before, INUSE);
    assert.deepEqual([endpoint.asked, before.errors.size], [[], 0]);
    assert.ok(pastIds(CPU).includes("before:300"));
    assert.deepEqual(pastIds(INUSE), ["last:30", "last:300", "last:3600"]);
});

test("what is loaded is not asked for again, what is recorded again is new", async () => {
    const { endpoint, all } = recordings();
    const first = all.open("last:30")!;
    await all.load(first, CPU);
    await all.load(all.open("last:30")!, CPU);
    assert.equal(endpoint.asked.length, 1);
    const second = all.record("last:30")!;
    assert.equal(second.id, "last:30:2");
    await all.load(second, CPU);
    assert.deepEqual(endpoint.asked, ["profile?last=30s", "profile?last=30s"]);
});

test("two files of one name are two recordings", async () => {
    const { all } = recordings();
    const open = (value: number) => all.addBytes("file:v.pb.gz", "v.pb.gz", "v.pb.gz",
                                                 zipped([{ stack: "f", values: [value, 1] }]));
    const [a, b] = [await open(1), await open(2)];
    assert.deepEqual([a.id, b.id], ["file:v.pb.gz", "file:v.pb.gz:2"]);
    assert.deepEqual([a.title, b.title], ["v.pb.gz", "v.pb.gz 2"]);
    assert.equal(all.find(a.id), a);
    assert.deepEqual([a, b].map(({ loaded }) => loaded.get("cpu")!.profile.values[0]![0]), [1, 2]);
    assert.equal(b.loaded.get("cpu")!.fileName, "v.pb.gz");
});

test("what is recorded again is of the same window and worker", async () => {
    const { endpoint, all } = recordings();
    for (const [id, window] of [["live:30", "live:30"], ["live:30:2", "live:30"],
                                ["live:30@4711", "live:30@4711"],
                                ["live:30@4711:12", "live:30@4711"]] as const) {
        assert.equal(windowId(id), window);
    }
    const first = all.record("live:30@4711")!;
    const again = all.record(windowId(all.record(first.id)!.id))!;
    assert.equal(again.id, "live:30@4711:3");
    await all.load(again, CPU);
    assert.deepEqual(endpoint.asked, ["profile?seconds=30&worker=4711"]);
});

test("what fails is an error in words, and can be tried again", async () => {
    let fails = true;
    const { all } = recordings(() => {
        if (fails) {
            throw new Error("nginx says: no");
        }
        return zipped([{ stack: "f", values: [1, 1] }]);
    });
    const recording = all.open("live:1")!;
    await all.load(recording, CPU);
    assert.equal(recording.errors.get("cpu"), "nginx says: no");
    fails = false;
    await all.load(recording, CPU);
    assert.equal(recording.errors.size, 0);
    assert.equal(recording.loaded.get("cpu")!.profile.size, 1);
});

test("a profile of another kind is refused", async () => {
    const { all } = recordings();
    const recording = all.open("store:heap-1.pb.gz")!;
    await all.load(recording, INUSE);
    assert.match(recording.errors.get("inuse")!, /this has no In use profile/);
});

test("an id that makes no sense opens nothing, nor does any without an nginx", () => {
    const { all } = recordings();
    for (const id of ["", "live:", "live:-3", "moon:5", "file:x"]) {
        assert.equal(all.open(id), undefined, id);
    }
    assert.equal(new Recordings(new FrameTable(), null, () => undefined).open("live:5"),
                 undefined);
});

test("names of what every object has are no ways to record", () => {
    const { all } = recordings();
    for (const id of ["constructor:5", "__proto__:5", "toString:5", "hasOwnProperty:1"]) {
        assert.equal(all.open(id), undefined, id);
    }
});

/* An endpoint that answers when it is told to, or when it is asked no more. */
class SlowEndpoint extends Endpoint {
    readonly ended: string[] = [];

    override fetch(path: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
        return new Promise((_, reject) => {
            signal.addEventListener("abort", () => {
                this.ended.push(path);
                reject(signal.reason);
            });
        });
    }
}

test("what nobody sees any more is not waited for", async () => {
    const endpoint = new SlowEndpoint("http://host/debug/pprof/");
    const all = new Recordings(new FrameTable(), endpoint, () => undefined);
    const [a, b, before] = ["live:30", "live:60", "before:60"].map(id => all.open(id)!) as
        [Recording, Recording, Recording];
    const loading = [a, b, before].map(recording => all.load(recording, CPU));
    await nextTask();
    all.keepFor([a.id, before.id]);
    assert.deepEqual(endpoint.ended, ["profile?seconds=60"]);
    /* what comes before something is waited for, too */
    assert.deepEqual(all.list.map(({ id }) => id), ["live:30", "last:60", "before:60"]);
    all.keepFor([]);
    await Promise.all(loading);
    assert.deepEqual([endpoint.ended.length, all.list.length], [3, 0]);
    /* it is no error to be told when somebody comes back to it */
    assert.deepEqual([a.errors.size, b.errors.size], [0, 0]);
});

test("a cancelled recording is one that is said to be so", async () => {
    const all = new Recordings(new FrameTable(), new SlowEndpoint("http://host/"), () => undefined);
    const one = all.open("live:30")!;
    const loading = all.load(one, CPU);
    one.loading.get("cpu")!.abort.abort();
    await loading;
    assert.equal(one.errors.get("cpu"), "cancelled");
});

test("of a page that is open for weeks not all recordings are kept, but all files", async () => {
    const { all } = recordings();
    const file = await all.addBytes("file:v.pb.gz", "v.pb.gz", "v.pb.gz",
                                    zipped([{ stack: "f", values: [1, 1] }]));
    const first = all.record("last:30")!;
    await all.load(first, CPU);
    let next = first;
    for (let i = 0; i < 50; i++) {
        next = all.record("last:30")!;
        await all.load(next, CPU);
        all.keepFor([first.id, next.id]);
    }
    assert.ok(all.list.length < 30, `${all.list.length} recordings`);
    assert.ok(all.list.includes(first) && all.list.includes(file));
    assert.equal(all.list.at(-1), next);
    assert.equal(new Set(all.list.map(({ id }) => id)).size, all.list.length);
});

test("a file's name is no option of a command", async () => {
    const { all } = recordings();
    const command = async (name: string): Promise<string> =>
        (await all.addBytes(`file:${name}`, name, name, zipped([])))
            .command(CPU);
    assert.equal(await command("-http=x"), "go tool pprof ./-http=x");
    assert.equal(await command("a'b;c"), "go tool pprof 'a'\\''b;c'");
});

test("commands for the shell are of the same window", () => {
    const { all } = recordings();
    assert.equal(all.open("live:30")!.command(CPU),
                 "go tool pprof 'http://host/debug/pprof/profile?seconds=30'");
});
