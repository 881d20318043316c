/*
 * Measures the page with profiles of many distinct stacks:
 *
 *   node page_speed.mjs PAGE RUNS STACKS...
 *
 * prints a JSON list, for each number of stacks and what is shown the
 * milliseconds of each run from the bytes of the files to the graph on the
 * screen, and the longest task of that, of ten zooms and of searches: what the
 * thread computed in it, and what the clock said, which is more where others want
 * the processor, too. bench/page runs it.
 */

import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { Function, Line, Location, Mapping, Profile, Sample, StringTable, ValueType } from "pprof-format";
import { launch, open } from "./page_browser.mjs";

const FUNCTIONS = 3000;
const DEEPEST = 60;

function random(seed) {
    let state = seed;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
    };
}

/* Distinct stacks as programs have them: each shares a part of the one before
   it, and a few functions are in most. */
function profileOf(stacks, seed) {
    const next = random(seed);
    const strings = new StringTable();
    const type = (name, unit) =>
        new ValueType({ type: strings.dedup(name), unit: strings.dedup(unit) });
    const ids = Array.from({ length: FUNCTIONS }, (_, i) => i + 1);
    let path = [];
    const seen = new Set();
    const sample = [];
    while (sample.length < stacks) {
        path = path.slice(0, Math.floor(path.length * next()));
        const depth = 8 + Math.floor((DEEPEST - 8) * next());
        while (path.length < depth) {
            path.push(1 + Math.floor(FUNCTIONS * next() ** 3));
        }
        const key = path.join();
        if (!seen.has(key)) {
            seen.add(key);
            const n = 1 + Math.floor(20 * next() ** 4);
            sample.push(new Sample({ locationId: [...path].reverse(), value: [n, 1e7 * n] }));
        }
    }
    const libraries = ["nginx", "libc.so.6", "libssl.so.3", "libpcre2-8.so.0"];
    return gzipSync(new Profile({
        sampleType: [type("samples", "count"), type("cpu", "nanoseconds")], sample,
        mapping: libraries.map((name, i) =>
            new Mapping({ id: i + 1, filename: strings.dedup(name) })),
        location: ids.map(id => new Location({
            id, mappingId: 1 + id % libraries.length,
            line: [new Line({ functionId: id, line: 1 })] })),
        function: ids.map(id => new Function({
            id, name: strings.dedup(`ngx_function_number_${id}`) })),
        stringTable: strings, period: 1e7, periodType: type("cpu", "nanoseconds"),
    }).encode());
}

/* A text, an expression, and one that is as slow as the page lets any be. */
const SEARCHES = ["number_1", "/number_[12].*5$/", "/[a-z].{0,140}[^ -~]/"];

/* In the page: drops the files, waits for the graph on the screen, zooms, searches. */
async function measure([files, searches]) {
    const shown = () => new Promise(resolve =>
        requestAnimationFrame(() => setTimeout(resolve)));
    const dataTransfer = new DataTransfer();
    files.forEach((data, i) => {
        const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
        dataTransfer.items.add(new File([bytes], `${i}.pb.gz`));
    });
    const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer });
    /* what was done so far is a task of its own */
    await shown();
    const started = performance.now();
    performance.mark("drop");
    document.body.dispatchEvent(event);
    const wanted = files.length > 1 ? ".headline" : "canvas.flame";
    const drawn = () => document.querySelector("canvas.flame")
        ?.getAttribute("aria-busy") === "false";
    while (document.querySelector(wanted) === null || !drawn()) {
        await shown();
    }
    await shown();
    const draw = performance.now() - started;
    const canvas = document.querySelector("canvas.flame");
    const box = canvas.getBoundingClientRect();
    for (let row = 1; row <= 10; row++) {
        const at = { bubbles: true, clientX: box.left + 30, clientY: box.top + 19 * row + 9 };
        performance.mark("zoom");
        canvas.dispatchEvent(new MouseEvent("click", at));
        do {
            await shown();
        } while (!drawn());
    }
    const input = document.querySelector("#search");
    const matched = document.querySelector(".matched");
    const said = [];
    for (const query of searches.flatMap(text => [text, ""])) {
        performance.mark("search");
        input.value = query;
        input.dispatchEvent(new InputEvent("input", { bubbles: true }));
        do {
            await shown();
        } while ((matched.textContent === "") !== (query === "") || !drawn());
        said.push(matched.textContent);
    }
    return { draw, said,
             zoomed: new URLSearchParams(location.hash.slice(1)).getAll("zoom").length };
}

/* The trace of what body() does, as events of Chromium's. */
async function traced(page, body) {
    const session = await page.context().newCDPSession(page);
    const events = [];
    session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
    await session.send("Tracing.start", {
        traceConfig: { includedCategories: ["toplevel", "blink.user_timing"] },
        transferMode: "ReportEvents",
    });
    const result = await body();
    const complete = new Promise(resolve => session.once("Tracing.tracingComplete", resolve));
    await session.send("Tracing.end");
    await complete;
    return { result, events };
}

/* The parts of a run, by the mark that each begins with. */
const PARTS = { load_task: "drop", zoom: "zoom", search: "search" };

/* Milliseconds of the longest task of each part, by the thread's clock and by the
   wall's. */
function longestTasks(events) {
    const marks = name => events.filter(event =>
        event.name === name && event.cat === "blink.user_timing");
    const [drop] = marks("drop");
    const begins = Object.values(PARTS).map(mark => Math.min(...marks(mark).map(({ ts }) => ts)));
    const tasks = events.filter(({ name, ph, pid, tid }) => name.endsWith("RunTask")
        && ph === "X" && pid === drop.pid && tid === drop.tid);
    const found = Object.entries(PARTS).flatMap(([part, mark], i) => {
        /* the task that a mark is in is of the part that it begins */
        const own = tasks.filter(({ ts, dur }) => ts + dur > begins[i]
            && !(ts + dur > (begins[i + 1] ?? Infinity)));
        if (own.length < marks(mark).length) {
            throw new Error("the trace has too few tasks");
        }
        const longest = field => Math.max(...own.map(task => task[field] ?? 0)) / 1000;
        return [[`${part}_ms`, longest("tdur")], [`${part}_wall_ms`, longest("dur")]];
    });
    return Object.fromEntries(found);
}

const [page, runs, ...sizes] = process.argv.slice(2);
const browser = await launch();
const results = [];
try {
    for (const stacks of sizes.map(Number)) {
        const files = [profileOf(stacks, 1), profileOf(stacks, 2)].map(f => f.toString("base64"));
        for (const [shows, given] of [["flame graph", files.slice(0, 1)], ["comparison", files]]) {
            const cell = { stacks, shows, draw_ms: [], load_task_ms: [], load_task_wall_ms: [],
                           zoom_ms: [], zoom_wall_ms: [], search_ms: [], search_wall_ms: [] };
            for (let run = 0; run < Number(runs); run++) {
                const opened = await open(browser, pathToFileURL(page).href);
                const { result, events } = await traced(opened.page, () =>
                    opened.page.evaluate(measure, [given, SEARCHES]));
                const { draw, zoomed, said } = result;
                if (opened.problems.length > 0 || zoomed < 1 || !said[0].includes("matched")) {
                    throw new Error(`the page does not work: ${opened.problems} ${said}`);
                }
                cell.draw_ms.push(draw);
                for (const [name, longest] of Object.entries(longestTasks(events))) {
                    cell[name].push(longest);
                }
                await opened.close();
            }
            results.push(cell);
        }
    }
} finally {
    await browser.close();
}
console.log(JSON.stringify(results));
