/*
 * The page in a real browser, from a real nginx and from disk: what it does.
 * page_session.mjs has what it wants of its environment.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { colours, state } from "./page_browser.mjs";
import {
    BOTH, choices, made, openFiles, PAGE_URL, REPORT, REPORT_URL, V1, V2, withPage, written,
} from "./page_session.mjs";

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
    const a = written("a.pb.gz", made([{ stack: ["main", "old"], samples: 500 },
                                       { stack: ["main", "kept"], samples: 300 }]));
    const b = written("b.pb.gz", made([{ stack: ["main", "fresh"], samples: 500 },
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
        assert.equal((await state(page)).get("sort"), "-self-b");
        assert.doesNotMatch(await first.innerText(), /bubble_sort/);
        assert.equal(await page.locator("th[aria-sort=descending]").innerText(), "Self B");
        await page.locator(".functions").getByRole("button", { name: "bubble_sort" }).click();
        assert.equal((await state(page)).get("view"), "sandwich");
        const picked = page.locator("input[list=functions]");
        assert.equal(await picked.inputValue(), "bubble_sort");
        /* and any other of either side */
        const offered = await page.locator("#functions option").evaluateAll(options =>
            options.map(option => option.value));
        assert.ok(offered.includes("bubble_sort") && offered.includes("qsort_values"));
        await picked.fill("qsort_values");
        await picked.press("Enter");
        assert.match((await state(page)).get("focus"), /\tqsort_values$/);
        assert.equal(await picked.inputValue(), "qsort_values");
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

test("frames have the colours of the legend's libraries, or each function its own", async () => {
    await withPage(`${REPORT_URL}#a=inside:1`, {}, async page => {
        const before = await colours(page, "canvas.flame");
        const legend = await page.locator(".legend li").evaluateAll(items => items.map(item => ({
            name: item.innerText.trim(),
            colour: getComputedStyle(item.querySelector(".swatch")).backgroundColor })));
        const pixels = (found, { colour }) =>
            found[[...colour.match(/\d+/g), 255].join(",")] ?? 0;
        const sort = legend.find(({ name }) => name.startsWith("libsort_v1.so"));
        /* nginx has this one whether it is among the largest or not */
        const nginx = { colour: "rgb(143, 207, 159)" };
        for (const item of [sort, nginx]) {
            assert.ok(pixels(before, item) > 1000, `no frame is ${item.colour}`);
        }
        assert.equal(new Set(legend.map(({ colour }) => colour)).size, legend.length);
        await page.getByLabel("colour by").selectOption("function");
        await page.locator(".legend").waitFor({ state: "detached" });
        assert.equal((await state(page)).get("colour"), "function");
        const after = await colours(page, "canvas.flame");
        for (const item of [sort, nginx]) {
            assert.ok(pixels(after, item) < pixels(before, item) / 10, item.colour);
        }
        await page.reload();
        await page.locator("canvas.flame").waitFor();
        assert.equal(await page.getByLabel("colour by").inputValue(), "function");
    });
});

test("a graph is drawn in slices, and what is pointed at alone is drawn anew", async () => {
    await withPage(`${REPORT_URL}#a=inside:1`, {}, async page => {
        const canvas = page.locator("canvas.flame");
        await canvas.and(page.locator("[aria-busy=false]")).waitFor();
        /* nothing else will have it drawn */
        await page.locator("option[value='inside:2']").waitFor({ state: "attached" });
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
        const zoom = (await state(page)).getAll("zoom");
        assert.equal(zoom.length, 5);
        await page.reload();
        await page.getByRole("button", { name: "Zoom out" }).waitFor();
        assert.deepEqual((await state(page)).getAll("zoom"), zoom);
        await canvas.hover({ position: { x: 20, y: 5 * 19 + 9 } });
        await page.locator("#tooltip").getByText(zoom.at(-1)).waitFor();
        await page.getByRole("button", { name: "Zoom out" }).click();
        assert.deepEqual((await state(page)).getAll("zoom"), []);
    });
});

test("labels filter, and compare within one profile", async () => {
    const file = written("labels.pb.gz", made([
        { stack: ["main", "bubble"], samples: 400, labels: { version: "1.0.0" } },
        { stack: ["main", "quick"], samples: 200, labels: { version: "2.0.0" } },
    ]));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, file);
        const facts = page.locator("[data-side=a] .facts");
        await facts.getByText("600 samples").waitFor();
        await page.getByLabel("Filter A by a label").selectOption({ label: "version = 1.0.0" });
        assert.equal((await state(page)).get("fa"), "version=1.0.0");
        await facts.getByText("400 samples").waitFor();
        await page.getByRole("button", { name: "Compare…" }).click();
        await page.locator(".headline").waitFor();
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
    const wall = written("wall.pb.gz",
                         made([{ stack: ["main", "epoll_wait"], samples: 9 }], "wall"));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, wall);
        await page.locator("canvas.flame").waitFor();
        assert.equal((await state(page)).get("kind"), "wall");
    });
});

/* Records, and again for longer if the window did not have enough, as where nginx
   had little of the processor. hash: of seconds. */
async function withRecorded(hash, hasEnough, body) {
    for (const seconds of [4, 8, 16, 32]) {
        let enough = false;
        await withPage(PAGE_URL + hash(seconds), {}, async page => {
            await page.locator("canvas.flame, .functions").first().waitFor();
            enough = await hasEnough(page);
            if (enough) {
                await body(page);
            }
        });
        if (enough) {
            return;
        }
    }
    assert.fail("no window has enough samples");
}

test("a live profile is filtered by each of its labels", async () => {
    const shows = async page => {
        const names = await page.locator(".functions .function").allInnerTexts();
        return ["bubble_sort", "qsort_values", "start_thread"].every(name => names.includes(name));
    };
    await withRecorded(seconds => `#a=live:${seconds}&view=top`, shows, async page => {
        const functions = page.locator(".functions");
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
            await page.locator(".chip").waitFor({ state: "detached" });
        }
    });
});

test("what nginx has kept is shown, and what one worker does", async () => {
    await withPage(PAGE_URL, {}, async page => {
        const source = page.getByLabel("Profile A");
        const stored = choices(page, "A", "Stored by this nginx").first();
        await stored.waitFor({ state: "attached" });
        const file = await stored.getAttribute("value");
        assert.match(file, /^store:cpu-/);
        await source.selectOption(file);
        await page.locator("[data-side=a] .facts").getByText(/ over [\d.]+ s/).waitFor();
        assert.equal((await state(page)).get("a"), file);
        await source.selectOption("new:last:300");
        await page.locator("[data-side=a] .facts").getByText(/requests/).waitFor();
        assert.equal((await state(page)).get("a"), "last:300");
        await page.locator("canvas.flame").waitFor();
        const workers = await choices(page, "A", "Record now, one worker alone").count();
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

test("the last hour is shown, and a window is compared to the one before it", async () => {
    await withPage(PAGE_URL, {}, async page => {
        const hour = choices(page, "A", "Already recorded by this nginx").and(
            page.locator("[value='new:last:3600']"));
        await hour.waitFor({ state: "attached" });
        assert.equal(await hour.innerText(), "last 1 h");
        await page.getByLabel("Profile A").selectOption("new:last:3600");
        await page.locator("[data-side=a] .facts").getByText(/samples .* requests/).waitFor();
        assert.equal((await state(page)).get("a"), "last:3600");
        const found = await colours(page, "canvas.flame");
        assert.ok(Object.keys(found).length > 4, JSON.stringify(found));
        assert.equal(await page.getByRole("button", { name: "Copy go tool pprof" }).getAttribute("title"),
                     `go tool pprof '${new URL("profile?last=3600s", PAGE_URL).href}'`);
    });
    await historyOf(10);
    await withPage(`${PAGE_URL}#a=before:4&b=last:4`, {}, async page => {
        const facts = side => page.locator(`[data-side=${side}] .facts`);
        await Promise.all(["a", "b"].map(side => facts(side).getByText(/ over [\d.]+ s/).waitFor()));
        await page.locator(".headline").waitFor();
        const found = await colours(page, "canvas.flame");
        assert.ok(Object.keys(found).length > 4, JSON.stringify(found));
        const copy = page.locator("[data-side=a]").getByRole("button", { name: "Copy" });
        const [, from, to] = /from=(\d+)&to=(\d+)/.exec(await copy.getAttribute("title"));
        assert.equal(to - from, 4);
    });
});

/* Until nginx has kept that many steps of what lies behind. */
async function historyOf(steps) {
    for (;;) {
        const { instance } = await (await fetch(new URL("status", PAGE_URL))).json();
        if (instance.history.steps >= steps) {
            return;
        }
        await new Promise(resolve => { setTimeout(resolve, 200); });
    }
}

test("two versions of a live profile are compared per request", async () => {
    const hash = seconds =>
        `#a=live:${seconds}&fa=version%3D1.0.0&b=live:${seconds}&fb=version%3D2.0.0`;
    const names = async page =>
        (await page.locator(".headline").innerText()).includes("bubble_sort");
    await withRecorded(hash, names, async page => {
        const headline = page.locator(".headline");
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
    await page.locator("[data-side=a] .chip").waitFor({ state: "detached" });
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
        await openFiles(page, written("broken.pb.gz", readFileSync(V1).subarray(0, 500)));
        await page.getByText("broken.pb.gz: the file is damaged").waitFor();
        await openFiles(page, written("index.html", "<!DOCTYPE html><p>hello"));
        await page.getByText("index.html: this is not a profile").waitFor();
    });
});

test("a URL that makes no sense is said to, and the page works", async () => {
    const hash = "#a=constructor:5&kind=__proto__&view=pie&sort=-x&zoom=%zz&fa=x%3D%00&basis=moon";
    await withPage(`${PAGE_URL}${hash}`, {}, async page => {
        await page.getByText("The link is to a profile that is not here: constructor:5").waitFor();
        assert.equal(await page.locator("[data-kind=cpu]").getAttribute("aria-pressed"), "true");
        await openFiles(page, V1);
        await page.locator("canvas.flame").waitFor();
    });
});

test("a report whose profiles are damaged says so", async () => {
    const whole = readFileSync(REPORT, "utf8");
    const damaged = [whole.replace('"data": "', '"data": "!!'),
                     whole.replace('id="profiles">[', 'id="profiles">[{'),
                     whole.replace(/"data": "[^"]{100}/, '"data": "')];
    for (const text of damaged) {
        assert.notEqual(text, whole);
        const file = written("damaged.html", text);
        await withPage(pathToFileURL(file).href, {}, async page => {
            await page.getByText("The profiles in this page can't be read").waitFor();
            await page.getByRole("button", { name: "choose a file" }).waitFor();
        });
    }
});

test("what is recorded for nobody is not waited for", async () => {
    await withPage(PAGE_URL, {}, async page => {
        await page.getByRole("button", { name: "The next 30 s" }).click();
        await page.getByRole("progressbar").waitFor();
        const ended = page.waitForEvent("requestfailed", request =>
            request.url().endsWith("profile?seconds=30"));
        await page.getByLabel("Profile A").selectOption("new:last:300");
        await ended;
        await page.locator("canvas.flame").waitFor();
    });
});

test("a profile without samples says so, alone and beside another", async () => {
    const none = written("none.pb.gz", made([]));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, none);
        await page.getByText("No samples: nothing of this kind happened").waitFor();
    });
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, V1, none);
        await page.locator(".headline").getByText("B has no samples").waitFor();
        for (const key of ["1", "2", "3", "4"]) {
            await page.keyboard.press(key);
            await page.locator("[data-view][aria-pressed=true]")
                .and(page.getByTitle(`Key ${key}`)).waitFor();
            await page.locator("canvas.flame, .functions tbody tr").first().waitFor();
        }
    });
});

test("profiles of two kinds are not compared, and it is said which lacks what", async () => {
    const wall = written("waits.pb.gz",
                         made([{ stack: ["main", "epoll_wait"], samples: 9 }], "wall"));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, V1, wall);
        await page.getByText("waits.pb.gz has no CPU profile").waitFor();
        await page.getByRole("button", { name: "Wall" }).click();
        await page.getByText("v1.pb.gz has no Wall profile").waitFor();
    });
});

test("two files that are opened are compared", async () => {
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, V1, V2);
        await page.locator(".headline").getByText("bubble_sort").waitFor();
        assert.equal(await page.getByLabel("compare").inputValue(), "request");
    });
});

test("a file that is not chosen leaves the choice as it was", async () => {
    await withPage(`${REPORT_URL}#a=inside:1`, {}, async page => {
        const source = page.getByLabel("Profile A");
        for (let i = 0; i < 2; i++) {
            const chooser = page.waitForEvent("filechooser");
            await source.selectOption("file");
            /* cancelled, as nobody answers it */
            await chooser;
            assert.equal(await source.inputValue(), "inside:1");
        }
        await source.selectOption("inside:2");
        assert.equal((await state(page)).get("a"), "inside:2");
        assert.equal(await source.inputValue(), "inside:2");
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
