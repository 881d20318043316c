import assert from "node:assert/strict";
import { test } from "node:test";
import type { Frame } from "../../src/model/frame_table";
import { FrameTable } from "../../src/model/frame_table";
import {
    LARGEST_PROGRAM, LONGEST_PATTERN, matchedFrames, matchedShare, type Matcher, matcher,
} from "../../src/model/frame_search";
import { finish } from "../../src/model/slices";
import { cpu } from "./made_profile";

function finds(query: string, frame: Frame): boolean {
    const matches = matcher(query);
    assert.equal(typeof matches, "function", query);
    return (matches as Matcher)(frame);
}

function refusal(query: string): string {
    const matches = matcher(query);
    assert.ok(matches !== null && typeof matches !== "function", query);
    return matches.refused;
}

test("a search is for text, or between slashes for a regular expression", () => {
    const frame = { name: "ngx_http_Write(char*)", library: "nginx", file: "" };
    assert.ok(finds("write(", frame));
    assert.ok(finds("/^ngx_.*write/", frame));
    assert.ok(finds("NGINX", frame));
    assert.ok(!finds("^ngx", frame));
    assert.match(refusal("/(/"), /not a regular expression/);
    assert.match(refusal("/(?<=a)b/"), /not a regular expression/);
    assert.equal(matcher("  "), null);
});

test("a regular expression is no larger than what is fast", () => {
    assert.match(refusal("/.{0,999}A|.{0,999}B/"), /too large/);
    assert.match(refusal("/(((abc){10}){10}){10}/"), /too large/);
    assert.match(refusal(`/.{0,${LARGEST_PROGRAM}}/`), /too large/);
    assert.match(refusal(`/${"a".repeat(LONGEST_PATTERN + 1)}/`), /more than/);
    /* what people search for is far from it, and a text is as long as they like */
    const frame = { name: "x".repeat(LONGEST_PATTERN), library: "libc.so", file: "" };
    assert.ok(finds(`/${"x".repeat(LONGEST_PATTERN)}/`, frame));
    assert.ok(!finds("/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}|\\pL{1,40}_(get|put|free)$/", frame));
    assert.ok(!finds("a".repeat(5000), frame));
});

test("no regular expression takes long", () => {
    const frame = { name: "a".repeat(50_000), library: "", file: "" };
    for (const pattern of ["/(a+)+$b/", "/(a|a)*b/", "/a*a*a*a*a*a*b/", "/(a{1,100})+b/",
                           "/([a-m].{0,9}){14}[^ -~]/", "/[a-m].{0,140}[^ -~]/"]) {
        assert.ok(!finds(pattern, frame), pattern);
    }
});

test("each frame is a step, and all of them have an end", () => {
    const frames = new FrameTable();
    for (let i = 0; i < 100; i++) {
        frames.intern(`f${i}`, "", "");
    }
    const search = (patience?: number) => matchedFrames(frames, matcher("f1") as Matcher, patience);
    const steps = search();
    for (let i = 0; i < 100; i++) {
        assert.equal(steps.next().done, false);
        /* what is loaded meanwhile is in no selection that is searched */
        frames.intern(`f1${i}`, "late.so", "");
    }
    const last = steps.next();
    assert.ok(last.done && last.value instanceof Uint8Array);
    assert.equal(last.value.length, 100);
    assert.equal(last.value.reduce((sum, one) => sum + one), 11);
    const spent = finish(search(-1));
    assert.ok(!(spent instanceof Uint8Array));
    assert.match(spent.refused, /too long/);
});

test("the matched share counts a stack once", () => {
    const selection = cpu({ "a;sort;sort": 3, "b": 1, "sort;a": 4 });
    const matched = finish(matchedFrames(selection.profile.frames, matcher("sort") as Matcher));
    assert.equal(matchedShare(selection, matched as Uint8Array), 7 / 8);
    assert.equal(matchedShare(cpu({}, {}, new FrameTable()), new Uint8Array()), 0);
});
