/*
 * The page by keyboard: every key that its help names.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { state } from "./page_browser.mjs";
import { BOTH, made, openFiles, PAGE_URL, REPORT_URL, withPage, written } from "./page_session.mjs";

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
        assert.equal((await state(page)).getAll("zoom").length, 5);
        assert.equal((await state(page)).getAll("zoom").at(-1), name);
        await page.keyboard.press("Backspace");
        assert.equal((await state(page)).getAll("zoom").length, 4);
        await page.keyboard.press("Escape");
        assert.equal((await state(page)).getAll("zoom").length, 0);
        await page.keyboard.press("/");
        await page.keyboard.type("bubble_s");
        await page.getByText(/[\d.]+ % matched/).waitFor();
        await page.keyboard.press("Escape");
        assert.equal((await state(page)).get("q"), null);
        for (const [key, view] of [["2", "inverted"], ["3", "sandwich"], ["4", "top"], ["1", null]]) {
            await page.keyboard.press(key);
            assert.equal((await state(page)).get("view"), view);
            await page.locator(`[data-view=${view ?? "flame"}][aria-pressed=true]`).waitFor();
        }
        await page.keyboard.press("d");
        await page.locator("html[data-theme=dark]").waitFor();
        await page.keyboard.press("?");
        await page.getByRole("dialog").getByText("Przyborowski").or(
            page.getByRole("dialog").getByText("binomial")).first().waitFor();
        await page.keyboard.press("Escape");
        assert.equal(await page.getByRole("dialog").count(), 0);
    });
});

/* Presses keys on the canvas that has the focus, and waits for the name of what
   they are at then. */
async function at(page, name, ...keys) {
    for (const key of keys) {
        await page.keyboard.press(key);
    }
    await page.locator("#detail strong").getByText(name, { exact: true }).waitFor();
}

test("arrows go to each frame, s to its callers and callees", async () => {
    const file = written("siblings.pb.gz", made([["a", 30], ["b", 20], ["c", 10]].map(
        ([name, samples]) => ({ stack: ["main", "run", name], samples }))));
    await withPage(PAGE_URL, {}, async page => {
        await openFiles(page, file);
        await page.locator("canvas.flame").focus();
        await at(page, "a", "ArrowDown", "ArrowDown", "ArrowDown");
        await at(page, "b", "ArrowRight");
        await at(page, "c", "ArrowRight", "ArrowRight");
        await at(page, "b", "ArrowLeft");
        await at(page, "run", "ArrowUp");
        await at(page, "the whole graph", "Home");
        await at(page, "a", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft");
        await at(page, "b", "ArrowRight");
        await page.keyboard.press("s");
        assert.equal((await state(page)).get("view"), "sandwich");
        await page.locator("input[list=functions]").waitFor();
        assert.equal(await page.locator("input[list=functions]").inputValue(), "b");
        /* callers are above what they call */
        await page.getByLabel("Callers of the function").focus();
        await at(page, "main", "ArrowUp", "ArrowUp");
        await at(page, "run", "ArrowDown");
        await page.keyboard.press("s");
        await page.waitForFunction(() =>
            document.querySelector("input[list=functions]").value === "run");
        await page.getByLabel("What the function calls").focus();
        await at(page, "a", "ArrowDown");
    });
});

async function values(page, ...names) {
    const found = await state(page);
    return names.map(name => found.get(name));
}

test("x swaps A and B", async () => {
    await withPage(`${REPORT_URL}${BOTH}`, {}, async page => {
        const headline = page.locator(".headline");
        await headline.getByText(/per request in A, nothing in B/).waitFor();
        await page.keyboard.press("x");
        await headline.getByText(/nothing in A, .* per request in B/).waitFor();
        assert.deepEqual(await values(page, "a", "b"), ["inside:2", "inside:1"]);
        /* not where somebody types */
        await page.keyboard.press("/");
        await page.keyboard.type("xd?1s");
        assert.equal((await state(page)).get("q"), "xd?1s");
        assert.deepEqual(await values(page, "a", "view"), ["inside:2", null]);
    });
});

/* Each is pressed by a test above. */
test("help names all keys that there are", async () => {
    await withPage(REPORT_URL, {}, async page => {
        await page.getByRole("button", { name: "Keys and help" }).click();
        assert.deepEqual(await page.locator("dialog kbd").allInnerTexts(), [
            "/", "1 2 3 4", "arrows, Home", "Enter", "Backspace, Esc", "s", "x", "d", "?"]);
        await page.getByRole("button", { name: "Close" }).click();
        await page.locator("dialog").waitFor({ state: "hidden" });
    });
});

test("an alt-click opens the sandwich", async () => {
    await withPage(`${REPORT_URL}#a=inside:1`, {}, async page => {
        const canvas = page.locator("canvas.flame");
        await canvas.waitFor();
        const position = { x: 20, y: 5 * 19 + 9 };
        await canvas.hover({ position });
        const name = await page.locator("#detail strong").innerText();
        await canvas.click({ position, modifiers: ["Alt"] });
        await page.locator("input[list=functions]").waitFor();
        assert.equal(await page.locator("input[list=functions]").inputValue(), name);
    });
});
