/*
 * What each file of browser tests wants: a browser for as long as it runs, and
 * profiles. Environment:
 *   PAGE_URL  <endpoint>/ui of an nginx with load on /v1 (bubble sort) and /v2
 *   REPORT    a report of V1 and V2 on disk
 *   V1, V2    CPU profiles, .pb.gz
 *   WORK      a folder for what the tests write, screenshots among it
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { Function, Label, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { launch, open } from "./page_browser.mjs";

export const { PAGE_URL, REPORT, V1, V2, WORK } = process.env;
export const REPORT_URL = pathToFileURL(REPORT).href;
export const BOTH = "#a=inside:1&b=inside:2";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/* Opens, runs and closes; fails on any problem that the page had. */
export async function withPage(url, options, body) {
    const opened = await open(browser, url, options);
    try {
        await body(opened.page);
        assert.deepEqual(opened.problems, []);
    } finally {
        await opened.close();
    }
}

/* A profile of that kind of time; stacks are lists of names, the root first. */
export function made(stacks, kind = "cpu") {
    const strings = new StringTable();
    const names = [...new Set(stacks.flatMap(({ stack }) => stack))];
    const type = (name, unit) =>
        new ValueType({ type: strings.dedup(name), unit: strings.dedup(unit) });
    return gzipSync(new Profile({
        sampleType: [type("samples", "count"), type(kind, "nanoseconds")],
        sample: stacks.map(({ stack, samples, labels = {} }) => new Sample({
            label: Object.entries(labels).map(([key, value]) =>
                new Label({ key: strings.dedup(key), str: strings.dedup(value) })),
            locationId: [...stack].reverse().map(name => names.indexOf(name) + 1),
            value: [samples, 1e7 * samples],
        })),
        location: names.map((_, i) =>
            new Location({ id: i + 1, line: [new Line({ functionId: i + 1, line: 1 })] })),
        function: names.map((name, i) =>
            new Function({ id: i + 1, name: strings.dedup(name) })),
        stringTable: strings, period: 1e7, periodType: type(kind, "nanoseconds"),
    }).encode());
}

/* The path of a file that is written now. */
export function written(name, content) {
    const path = join(WORK, name);
    writeFileSync(path, content);
    return path;
}

/* Playwright's chooser takes files from the page of an nginx that shows nothing. */
export async function openFiles(page, ...files) {
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "choose a file" }).click();
    await (await chooser).setFiles(files);
}

/* The options of a group of a side's sources. */
export function choices(page, side, group) {
    return page.getByLabel(`Profile ${side}`).locator(`optgroup[label="${group}"] option`);
}
