/*
 * Text of a profile is anybody's: of functions, files, labels and types, it is
 * text wherever the page shows it.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { state } from "./page_browser.mjs";
import { made, openFiles, PAGE_URL, REPORT_URL, withPage, written } from "./page_session.mjs";

const ATTACK = "<img src=x onerror=\"window.attacked=1\">";
const NAMES = [ATTACK, "</script><script>window.attacked=2</script>",
               "javascript:window.attacked=3", "${window.attacked=4}", "a\u202eb\0c",
               "tab\there", "x".repeat(5000)];
/* "/" can't be in a file's name */
const FILE = "<img src=x onerror=window.attacked=5>'; touch x;.pb.gz";
const LABEL = { "\"><img src=x onerror=window.attacked=6>": `="${ATTACK}'` };

const VIEWS = { 1: "canvas.flame", 2: "canvas.flame", 3: "input[list=functions]", 4: ".functions" };

/* Each name as a leaf, the first of them the largest by far. */
function hostile(samples, labels = {}) {
    return made(NAMES.map((name, i) =>
        ({ stack: ["main", name], samples: i === 0 ? samples : 50 + i, labels })));
}

async function assertHarmless(page) {
    assert.equal(await page.locator("img, script:not(head script, body > script)").count(), 0);
    assert.equal(await page.evaluate(() => window.attacked), undefined);
}

/* Shows it in each view, and points at what is there by mouse and keys. */
async function goThrough(page) {
    for (const [key, shown] of Object.entries(VIEWS)) {
        await page.keyboard.press(key);
        await page.locator(shown).first().waitFor();
        await page.mouse.move(300, 300);
        await page.mouse.move(310, 290);
        await assertHarmless(page);
    }
    await page.keyboard.press("1");
    await page.locator("canvas.flame").focus();
    for (const arrow of ["Down", "Down", ...Array(NAMES.length).fill("Right")]) {
        await page.keyboard.press(`Arrow${arrow}`);
        /* the longest name leaves room for the graph */
        const { height } = await page.locator("#detail").boundingBox();
        assert.ok(height < 150, `${height} pixels`);
    }
    await assertHarmless(page);
}

test("names of functions are text, of one profile and of two", async () => {
    const a = written("hostile.pb.gz", hostile(900));
    const b = written("hostile-b.pb.gz", hostile(90));
    for (const files of [[a], [a, b]]) {
        await withPage(PAGE_URL, {}, async page => {
            await openFiles(page, ...files);
            await page.locator("canvas.flame").waitFor();
            if (files.length > 1) {
                await page.locator(".headline .function").getByText(ATTACK, { exact: true }).waitFor();
            }
            await goThrough(page);
            await page.keyboard.press("4");
            const name = page.locator(".functions").getByText(ATTACK, { exact: true });
            await name.click();
            assert.equal((await state(page)).get("focus"), `\t${ATTACK}`);
            const picked = page.locator("input[list=functions]");
            assert.equal(await picked.inputValue(), ATTACK);
            /* a name is found whatever is in it */
            await picked.fill(NAMES[5]);
            await picked.press("Enter");
            assert.equal((await state(page)).get("focus"), `\t${NAMES[5]}`);
            assert.equal(await picked.inputValue(), NAMES[5]);
            await assertHarmless(page);
        });
    }
});

test("a search and a zoom are text in the page and in its URL", async () => {
    const file = written("hostile.pb.gz", hostile(900));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, file);
        await page.locator("canvas.flame").waitFor();
        await page.getByRole("searchbox").fill(ATTACK);
        await page.locator(".matched").getByText(/^[\d.]+ % matched$/).waitFor();
        assert.equal((await state(page)).get("q"), ATTACK);
        await page.locator("canvas.flame").click({ position: { x: 20, y: 2 * 19 + 9 } });
        assert.deepEqual((await state(page)).getAll("zoom"), ["main", ATTACK]);
        await assertHarmless(page);
        /* the file is not in the URL: but its name is */
        await page.reload();
        await page.getByText("The link is to a profile that is not here: file:hostile").waitFor();
        assert.equal((await state(page)).get("q"), ATTACK);
        await assertHarmless(page);
    });
    const hash = new URLSearchParams({ a: `file:${FILE}`, b: ATTACK, q: ATTACK, fa: `${ATTACK}=x`,
                                       kind: ATTACK, view: ATTACK, sort: ATTACK, theme: ATTACK });
    await withPage(`${PAGE_URL}#${hash}`, {}, async page => {
        await page.getByText(`Profile B is not here: ${ATTACK}`).waitFor();
        await page.locator(".chip").getByText("<img src = x onerror=").waitFor();
        await assertHarmless(page);
    });
});

test("a search that comes with a link leaves the page its time", async () => {
    const large = Array.from({ length: 9 }, (_, i) => `.{0,999}${i}`).join("|");
    for (const [q, said] of [["(a+)+$b", /^0(\.0)? % matched$/], [large, /^too large/],
                             ["(", /^not a regular expression/]]) {
        const hash = new URLSearchParams({ a: "inside:1", q: `/${q}/` });
        await withPage(`${REPORT_URL}#${hash}`, {}, async page => {
            await page.locator(".matched").getByText(said).waitFor();
            await page.locator("canvas.flame[aria-busy=false]").waitFor();
            await page.keyboard.press("4");
            await page.locator(".functions").waitFor();
            await page.getByRole("searchbox").fill("sort");
            await page.locator(".matched").getByText(/^\d[\d.]* % matched$/).waitFor();
        });
    }
});

test("labels and names of files are text", async () => {
    const [[label, value]] = Object.entries(LABEL);
    const [a, b] = [written(FILE, hostile(900, LABEL)), written(`b${FILE}`, hostile(90, LABEL))];
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, a, b);
        for (const side of ["A", "B"]) {
            await page.getByLabel(`Filter ${side} by a label`)
                .selectOption({ label: `${label} = ${value}` });
            await page.locator(`[data-side=${side.toLowerCase()}] .chip`)
                .getByText(`${label} = ${value}`).waitFor();
        }
        assert.deepEqual((await state(page)).getAll("fa"), [`${label}=${value}`]);
        const sources = page.getByLabel("Profile A");
        assert.equal(await sources.locator("option:checked").innerText(), FILE);
        /* as one word, whatever a shell would make of it */
        const copy = page.locator("[data-side=a]").getByRole("button", { name: "Copy" });
        assert.equal(await copy.getAttribute("title"),
                     `go tool pprof '${FILE.replace("'", "'\\''")}'`);
        await goThrough(page);
        await page.getByRole("button", { name: `Remove the filter ${label}` }).first().click();
        assert.deepEqual((await state(page)).getAll("fa"), []);
        await assertHarmless(page);
    });
});

test("a kind and a unit of any name are shown", async () => {
    for (const kind of [ATTACK, "constructor", "__proto__"]) {
        const file = written("kind.pb.gz", made([{ stack: ["main"], samples: 9 }], kind));
        await withPage(PAGE_URL, {}, async page => {
            await openFiles(page, file);
            await page.locator(".tab[data-kind][aria-pressed=true]")
                .getByText(kind, { exact: true }).waitFor();
            assert.equal((await state(page)).get("kind"), kind);
            await page.locator("canvas.flame").waitFor();
            await assertHarmless(page);
        });
    }
});

test("markup would not get past the policy", async () => {
    await withPage(PAGE_URL, { expected: /TrustedHTML/ }, async page => {
        await page.getByRole("button", { name: "choose a file" }).waitFor();
        const refused = await page.evaluate(() => {
            try {
                document.body.innerHTML = "<img src=x>";
                return "";
            } catch (reason) {
                return String(reason);
            }
        });
        assert.match(refused, /TrustedHTML/);
        await assertHarmless(page);
    });
});
