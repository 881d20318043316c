/*
 * The page in a real browser, from a real nginx and from disk. Environment:
 *   PAGE_URL  <endpoint>/ui of an nginx with load on /v1 (bubble sort) and /v2
 *   REPORT    a report of V1 and V2 on disk
 *   V1, V2    CPU profiles, .pb.gz
 *   WORK      a folder for what the tests write
 *   SHOTS     a folder for screenshots; none are taken without it
 *   LONG      1: axe looks at all views, in light and dark, at both widths
 */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { Function, Label, Line, Location, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { colours, launch, open, state } from "./page_browser.mjs";

const { PAGE_URL, REPORT, V1, V2, WORK, SHOTS, LONG } = process.env;
const REPORT_URL = pathToFileURL(REPORT).href;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const BOTH = "#a=inside:1&b=inside:2";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/* Opens, runs and closes; fails on any problem that the page had. */
async function withPage(url, options, body) {
    const opened = await open(browser, url, options);
    try {
        await body(opened.page);
        assert.deepEqual(opened.problems, []);
    } finally {
        await opened.close();
    }
}

/* A profile of that kind of time; stacks are lists of names, the root first. */
function made(stacks, kind = "cpu") {
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

async function openFiles(page, ...files) {
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "choose a file" }).click();
    await (await chooser).setFiles(files);
}

test("a report opens from disk, and its headline names the sort", async () => {
    await withPage(REPORT_URL, {}, async page => {
        const headline = page.locator(".headline");
        await headline.getByText("bubble_sort").waitFor();
        const text = await headline.innerText();
        assert.match(text, /What changed most is bubble_sort: .* of CPU per request in A, nothing in B/);
        assert.match(text, /A request takes [\d.,]+ times less/);
    });
});

test("what is new, gone, and within chance is told apart", async () => {
    const [a, b] = ["a", "b"].map(name => join(WORK, `${name}.pb.gz`));
    writeFileSync(a, made([{ stack: ["main", "old"], samples: 500 },
                           { stack: ["main", "kept"], samples: 300 }]));
    writeFileSync(b, made([{ stack: ["main", "fresh"], samples: 500 },
                           { stack: ["main", "kept"], samples: 310 }]));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, a, b);
        await page.locator(".headline").waitFor();
        const found = await colours(page, "canvas.flame");
        for (const [what, colour] of [["gone", "28,103,173,255"], ["new", "184,85,0,255"],
                                      ["the same", "213,216,221,255"]]) {
            assert.ok(found[colour] > 1000, `nothing is shown as ${what}`);
        }
        await page.keyboard.press("4");
        const row = name => page.locator(".functions tbody tr", { hasText: name }).innerText();
        assert.match(await row("old"), /gone/);
        assert.match(await row("fresh"), /new/);
        assert.doesNotMatch(await row("kept"), /gone|new/);
        assert.equal(await page.locator("tr", { hasText: "kept" }).locator(".delta.same").count(), 2);
    });
});

for (const view of ["flame", "inverted", "sandwich"]) {
    test(`the ${view} view is drawn, of one profile and of two`, async () => {
        for (const sides of ["#a=inside:1", BOTH]) {
            await withPage(`${REPORT_URL}${sides}&view=${view}`, {}, async page => {
                await page.locator("canvas.flame").first().waitFor();
                const canvases = await page.locator("canvas.flame").count();
                assert.equal(canvases, view === "sandwich" ? 2 : 1);
                const found = await colours(page, "canvas.flame >> nth=0");
                assert.ok(Object.keys(found).length > 4, JSON.stringify(found));
            });
        }
    });
}

test("the table has self and total of both, sorted by the difference", async () => {
    await withPage(`${REPORT_URL}${BOTH}&view=top`, {}, async page => {
        const first = page.locator(".functions tbody tr").first();
        await first.waitFor();
        assert.match(await first.innerText(), /^bubble_sort\s.*–.*gone/s);
        assert.ok(await page.locator(".functions .delta.same").count() > 0);
        await page.getByRole("button", { name: "Self B" }).click();
        assert.equal(state(page).get("sort"), "-self-b");
        assert.doesNotMatch(await first.innerText(), /bubble_sort/);
        assert.equal(await page.locator("th[aria-sort=descending]").innerText(), "Self B");
        await page.locator(".functions").getByRole("button", { name: "bubble_sort" }).click();
        assert.equal(state(page).get("view"), "sandwich");
        assert.equal(await page.locator("input[list=functions]").inputValue(), "bubble_sort");
    });
});

test("values are compared per request, by share and as they are", async () => {
    await withPage(`${REPORT_URL}${BOTH}`, {}, async page => {
        const basis = page.getByLabel("compare");
        assert.equal(await basis.inputValue(), "request");
        await basis.selectOption("share");
        await page.locator(".headline").getByText(/% of CPU in A/).waitFor();
        await basis.selectOption("absolute");
        await page.locator(".headline").getByText("The whole takes").waitFor();
        await page.getByRole("button", { name: "Swap" }).click();
        await page.locator(".headline").getByText(/nothing in A, .* in B/).waitFor();
        await page.getByRole("button", { name: "End the comparison" }).click();
        await page.locator(".headline").waitFor({ state: "detached" });
    });
});

test("all of it can be done with keys", async () => {
    await withPage(`${REPORT_URL}#a=inside:1`, {}, async page => {
        const canvas = page.locator("canvas.flame");
        await canvas.waitFor();
        for (let i = 0; i < 40; i++) {
            await page.keyboard.press("Tab");
            if (await canvas.evaluate(element => element === document.activeElement)) {
                break;
            }
        }
        for (let i = 0; i < 5; i++) {
            await page.keyboard.press("ArrowDown");
        }
        const detail = page.locator("#detail");
        await detail.getByText(/% *\), self/).waitFor();
        const name = await detail.locator("strong").innerText();
        await page.keyboard.press("Enter");
        assert.equal(state(page).getAll("zoom").length, 5);
        assert.equal(state(page).getAll("zoom").at(-1), name);
        await page.keyboard.press("Backspace");
        assert.equal(state(page).getAll("zoom").length, 4);
        await page.keyboard.press("Escape");
        assert.equal(state(page).getAll("zoom").length, 0);
        await page.keyboard.press("/");
        await page.keyboard.type("bubble_s");
        await page.getByText(/[\d.]+ % matched/).waitFor();
        await page.keyboard.press("Escape");
        assert.equal(state(page).get("q"), null);
        for (const [key, view] of [["2", "inverted"], ["3", "sandwich"], ["4", "top"], ["1", null]]) {
            await page.keyboard.press(key);
            assert.equal(state(page).get("view"), view);
        }
        await page.keyboard.press("d");
        assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
        await page.keyboard.press("?");
        await page.getByRole("dialog").getByText("Przyborowski").or(
            page.getByRole("dialog").getByText("binomial")).first().waitFor();
        await page.keyboard.press("Escape");
        assert.equal(await page.getByRole("dialog").count(), 0);
    });
});

test("a graph is drawn in slices, and what is pointed at alone is drawn anew", async () => {
    await withPage(`${REPORT_URL}#a=inside:1`, {}, async page => {
        const canvas = page.locator("canvas.flame");
        await canvas.and(page.locator("[aria-busy=false]")).waitFor();
        /* a clock by which each row takes too long */
        await page.evaluate(() => {
            let clock = performance.now();
            performance.now = () => (clock += 20);
            const { fillRect } = CanvasRenderingContext2D.prototype;
            window.filled = 0;
            CanvasRenderingContext2D.prototype.fillRect = function (...at) {
                window.filled++;
                fillRect.apply(this, at);
            };
        });
        const filled = () => page.evaluate(() => {
            const n = window.filled;
            window.filled = 0;
            return n;
        });
        const busy = await canvas.evaluate(element => {
            element.dispatchEvent(new MouseEvent("click", {
                bubbles: true, clientX: element.getBoundingClientRect().left + 20,
                clientY: element.getBoundingClientRect().top + 19 + 9 }));
            return element.getAttribute("aria-busy");
        });
        assert.equal(busy, "true");
        await canvas.and(page.locator("[aria-busy=false]")).waitFor();
        const all = await filled();
        assert.ok(all > 20, `${all} boxes`);
        for (const row of [2, 3, 2]) {
            await canvas.hover({ position: { x: 20, y: row * 19 + 9 } });
        }
        const some = await filled();
        assert.ok(some > 0 && some < all / 2, `${some} boxes of ${all}`);
    });
});

test("a click zooms, and the URL brings it back", async () => {
    await withPage(`${REPORT_URL}#a=inside:1`, {}, async page => {
        const canvas = page.locator("canvas.flame");
        await canvas.waitFor();
        await canvas.click({ position: { x: 20, y: 5 * 19 + 9 } });
        const zoom = state(page).getAll("zoom");
        assert.equal(zoom.length, 5);
        await page.reload();
        await page.getByRole("button", { name: "Zoom out" }).waitFor();
        assert.deepEqual(state(page).getAll("zoom"), zoom);
        await canvas.hover({ position: { x: 20, y: 5 * 19 + 9 } });
        await page.locator("#tooltip").getByText(zoom.at(-1)).waitFor();
        await page.getByRole("button", { name: "Zoom out" }).click();
        assert.deepEqual(state(page).getAll("zoom"), []);
    });
});

test("labels filter, and compare within one profile", async () => {
    const file = join(WORK, "labels.pb.gz");
    writeFileSync(file, made([
        { stack: ["main", "bubble"], samples: 400, labels: { version: "1.0.0" } },
        { stack: ["main", "quick"], samples: 200, labels: { version: "2.0.0" } },
    ]));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, file);
        const facts = page.locator("[data-side=a] .facts");
        await facts.getByText("600 samples").waitFor();
        await page.getByLabel("Filter A by a label").selectOption({ label: "version = 1.0.0" });
        assert.equal(state(page).get("fa"), "version=1.0.0");
        await facts.getByText("400 samples").waitFor();
        await page.getByRole("button", { name: "Compare…" }).click();
        await page.getByLabel("Filter B by a label").selectOption({ label: "version = 2.0.0" });
        await page.locator(".headline").getByText("bubble").waitFor();
        const basis = page.getByLabel("compare");
        assert.equal(await basis.inputValue(), "share");
        assert.ok(await basis.locator("option[value=request]").isDisabled());
        await page.getByRole("button", { name: "Remove the filter version" }).first().click();
        await facts.getByText("600 samples").waitFor();
    });
});

test("a live profile is recorded, and two are compared", async () => {
    await withPage(`${PAGE_URL}#a=live:2`, {}, async page => {
        await page.getByRole("progressbar").waitFor();
        await page.locator("canvas.flame").waitFor();
        assert.match(await page.locator("[data-side=a] .facts").innerText(), /samples/);
        await page.getByRole("button", { name: "Compare…" }).click();
        await page.goto(`${PAGE_URL}#a=live:2&b=live:3`);
        await page.locator(".headline").waitFor();
        const download = page.waitForEvent("download");
        await page.getByRole("button", { name: "Download" }).first().click();
        const bytes = readFileSync(await (await download).path());
        assert.deepEqual([...bytes.subarray(0, 2)], [0x1f, 0x8b]);
        const copy = page.getByRole("button", { name: "Copy go tool pprof" }).first();
        assert.equal(await copy.getAttribute("title"),
                     `go tool pprof '${new URL("profile?seconds=2", PAGE_URL).href}'`);
    });
});

test("each kind of profile is shown", async () => {
    for (const kind of ["cpu", "stall", "alloc", "inuse"]) {
        await withPage(`${PAGE_URL}#a=live:2&kind=${kind}`, {}, async page => {
            const found = await colours(page, "canvas.flame");
            assert.ok(Object.keys(found).length > 4, `${kind}: ${JSON.stringify(found)}`);
            assert.equal(await page.locator(`[data-kind=${kind}]`).getAttribute("aria-pressed"),
                         "true");
        });
    }
    const wall = join(WORK, "wall.pb.gz");
    writeFileSync(wall, made([{ stack: ["main", "epoll_wait"], samples: 9 }], "wall"));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, wall);
        await page.locator("canvas.flame").waitFor();
        assert.equal(state(page).get("kind"), "wall");
    });
});

test("a live profile is filtered by each of its labels", async () => {
    await withPage(`${PAGE_URL}#a=live:4&view=top`, {}, async page => {
        const functions = page.locator(".functions");
        await functions.getByText("bubble_sort").waitFor();
        const filter = page.getByLabel("Filter A by a label");
        const names = await filter.locator("optgroup").evaluateAll(groups =>
            groups.map(group => group.label));
        for (const name of ["location", "server", "thread", "version"]) {
            assert.ok(names.includes(name), `${name} is not among ${names}`);
        }
        const samples = async () => Number(/([\d,]+) samples/.exec(
            await page.locator("[data-side=a] .facts").innerText())[1].replace(",", ""));
        const all = await samples();
        for (const [label, has, not] of [
            ["location = /v1", "bubble_sort", "qsort_values"],
            ["version = 2.0.0", "qsort_values", "bubble_sort"],
            ["server = localhost", "bubble_sort", "start_thread"],
            ["thread = main", "bubble_sort", "start_thread"]]) {
            await filter.selectOption({ label });
            await page.locator(".chip", { hasText: label }).waitFor();
            await functions.getByText(has, { exact: true }).waitFor();
            assert.equal(await functions.getByText(not, { exact: true }).count(), 0);
            assert.ok(await samples() <= all);
            await page.getByRole("button", { name: "Remove the filter" }).click();
        }
    });
});

test("what nginx has kept is shown, and what one worker does", async () => {
    await withPage(PAGE_URL, {}, async page => {
        const source = page.getByLabel("Profile A");
        const options = group => source.locator(`optgroup[label="${group}"] option`);
        const stored = options("Stored by this nginx").first();
        await stored.waitFor({ state: "attached" });
        const file = await stored.getAttribute("value");
        assert.match(file, /^store:cpu-/);
        await source.selectOption(file);
        await page.locator("[data-side=a] .facts").getByText(/ over [\d.]+ s/).waitFor();
        assert.equal(state(page).get("a"), file);
        await source.selectOption("new:last:300");
        await page.locator("[data-side=a] .facts").getByText(/requests/).waitFor();
        assert.equal(state(page).get("a"), "last:300");
        await page.locator("canvas.flame").waitFor();
        const workers = await options("Record now, one worker alone").count();
        assert.equal(workers, 2);
    });
    const { instance } = await (await fetch(new URL("status", PAGE_URL))).json();
    const [{ pid }] = instance.workers;
    await withPage(`${PAGE_URL}#a=live:2@${pid}`, {}, async page => {
        await page.locator("[data-side=a] .facts").waitFor();
        const copy = page.getByRole("button", { name: "Copy go tool pprof" });
        assert.match(await copy.getAttribute("title"), new RegExp(`seconds=2&worker=${pid}'$`));
    });
});

test("two versions of a live profile are compared per request", async () => {
    const hash = "#a=live:4&fa=version%3D1.0.0&b=live:4&fb=version%3D2.0.0";
    await withPage(`${PAGE_URL}${hash}`, {}, async page => {
        const headline = page.locator(".headline");
        await headline.getByText("bubble_sort").waitFor();
        assert.equal(await page.getByLabel("compare").inputValue(), "request");
        assert.match(await headline.innerText(),
                     /bubble_sort: .* of CPU per request in A, nothing in B/);
        const [all, a, b] = await requestsOf(page);
        assert.ok(a > 0 && b > 0, `${a} and ${b} requests`);
        /* as many of the one as of the other are made, and some have no version */
        assert.ok(a + b <= all && Math.abs(a - b) <= 1 + 0.1 * all, `${a} + ${b} of ${all}`);
    });
});

/* How many requests the page says of A without its filter, of A, and of B. */
async function requestsOf(page) {
    const shown = async side => Number(/([\d,]+) requests/.exec(
        await page.locator(`[data-side=${side}] .facts`).innerText())?.[1].replace(",", ""));
    const [a, b] = [await shown("a"), await shown("b")];
    await page.getByRole("button", { name: "Remove the filter version" }).first().click();
    return [await shown("a"), a, b];
}

test("the page of an nginx starts with what it can do", async () => {
    await withPage(PAGE_URL, {}, async page => {
        await page.getByText("This nginx keeps no history").or(
            page.getByRole("button", { name: "The last 5 min" })).first().waitFor();
        await page.getByRole("button", { name: "The next 10 s" }).click();
        await page.getByRole("button", { name: "Cancel" }).click();
        await page.getByText("No profile: cancelled").waitFor();
    });
});

test("what is wrong is said in words", async () => {
    const expected = /status of 400/;
    await withPage(`${PAGE_URL}#a=live:99999`, { expected }, async page => {
        await page.getByText("seconds is larger than profiler_max_seconds").waitFor();
    });
    await withPage(`${PAGE_URL}#a=live:1&kind=wall`, {}, async page => {
        await page.getByText("add wall to profiler_types").waitFor();
    });
    await withPage(PAGE_URL, {}, async page => {
        const broken = join(WORK, "broken.pb.gz");
        writeFileSync(broken, readFileSync(V1).subarray(0, 500));
        await openFiles(page, broken);
        await page.getByText("broken.pb.gz: the file is damaged").waitFor();
        const text = join(WORK, "index.html");
        writeFileSync(text, "<!DOCTYPE html><p>hello");
        await openFiles(page, text);
        await page.getByText("index.html: this is not a profile").waitFor();
    });
});

test("two files that are opened are compared", async () => {
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, V1, V2);
        await page.locator(".headline").getByText("bubble_sort").waitFor();
        assert.equal(await page.getByLabel("compare").inputValue(), "request");
    });
});

test("files that are dropped are opened", async () => {
    await withPage(PAGE_URL, {}, async page => {
        await page.getByRole("button", { name: "choose a file" }).waitFor();
        const drop = name => page.evaluate(({ name, data, y }) => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            const at = { bubbles: true, cancelable: true, dataTransfer, clientX: 100, clientY: y };
            document.body.dispatchEvent(new DragEvent("dragover", at));
            document.body.dispatchEvent(new DragEvent("drop", at));
        }, name);
        await drop({ name: "one", data: readFileSync(V1).toString("base64"), y: 50 });
        await page.locator("canvas.flame").waitFor();
        await drop({ name: "two", data: readFileSync(V2).toString("base64"), y: 700 });
        await page.locator(".headline").getByText("bubble_sort").waitFor();
    });
});

test("names in a profile are text, whatever they have in them", async () => {
    const attack = "<img src=x onerror=\"window.attacked=1\">";
    const names = [attack, "</script><script>window.attacked=2</script>",
                   "javascript:window.attacked=3", "${window.attacked=4}", "a\u202eb\0c"];
    const file = join(WORK, "hostile.pb.gz");
    writeFileSync(file, made(names.map((name, i) => ({ stack: ["main", name], samples: 50 + i }))));
    const other = join(WORK, `${attack.replace(/[/"]/g, "")}.pb.gz`);
    writeFileSync(other, made([{ stack: ["main"], samples: 90 }]));
    await withPage(PAGE_URL, { expected: /TrustedHTML/ }, async page => {
        await openFiles(page, file, other);
        await page.locator(".headline").waitFor();
        for (const key of ["4", "3", "2", "1"]) {
            await page.keyboard.press(key);
            await page.locator("canvas.flame, .functions").first().waitFor();
            await page.mouse.move(300, 300);
            await page.mouse.move(310, 290);
        }
        await page.keyboard.press("4");
        await page.locator(".functions").getByText(attack, { exact: true }).waitFor();
        assert.equal(await page.locator("img").count(), 0);
        assert.equal(await page.evaluate(() => window.attacked), undefined);
        /* and if one ever were markup, the policy would stop it */
        const refused = await page.evaluate(() => {
            try {
                document.body.innerHTML = "<img src=x>";
                return "";
            } catch (reason) {
                return String(reason);
            }
        });
        assert.match(refused, /TrustedHTML/);
    });
});

const LOOKS = [
    ["one", "#a=inside:2"], ["search", "#a=inside:2&q=sort"],
    ["top-one", "#a=inside:2&view=top"], ["compare", BOTH],
    ["inverted", `${BOTH}&view=inverted`], ["sandwich", `${BOTH}&view=sandwich`],
    ["top", `${BOTH}&view=top`],
];

for (const [width, height] of [[1280, 800], [390, 844]]) {
    for (const dark of [false, true]) {
        const some = (width === 1280) === dark ? [] : ["compare", "sandwich", "top"];
        test(`${width} pixels, ${dark ? "dark" : "light"}: nothing is cut off, and axe `
             + "finds nothing serious", async () => {
            await withPage(PAGE_URL, { width, height, dark }, async page => {
                await page.getByRole("button", { name: "The next 10 s" }).waitFor();
                await checkLooks(page, "start", width, dark, LONG || !dark);
            });
            await withPage(REPORT_URL, { width, height, dark }, async page => {
                for (const [name, hash] of LOOKS) {
                    await page.evaluate(to => { location.hash = to; }, hash);
                    await checkLooks(page, name, width, dark, LONG || some.includes(name));
                }
            });
        });
    }
}

async function checkLooks(page, name, width, dark, axe) {
    await page.locator(".start, canvas.flame, .functions").first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${name} is ${wide} pixels wide`);
    if (SHOTS) {
        await page.screenshot({
            path: join(SHOTS, `${name}-${width}${dark ? "-dark" : ""}.png`) });
    }
    if (axe) {
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => window.axe.run());
        const serious = violations.filter(v => ["serious", "critical"].includes(v.impact));
        assert.deepEqual(serious.map(v => `${v.id}: ${v.nodes[0].html}`), [],
                         `${name} at ${width}`);
    }
}
