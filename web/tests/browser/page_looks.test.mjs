/*
 * How the page looks, in light and dark, at 1280 and 390 pixels: nothing is cut
 * off, colours contrast, and there is a picture of each view in WORK, for who
 * wants to look. LONG=1: axe looks for all it knows everywhere.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { BOTH, PAGE_URL, REPORT_URL, withPage, WORK } from "./page_session.mjs";

const { LONG } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/* a name, the fragment, and what is there when it is shown */
const LOOKS = [
    ["one", "#a=inside:2", ".legend"],
    ["functions", "#a=inside:2&colour=function", ".views + .graph"],
    ["search", "#a=inside:2&q=sort", ".matched:not(:empty)"],
    ["top-one", "#a=inside:2&view=top", ".functions"],
    ["compare", BOTH, ".headline"],
    ["inverted", `${BOTH}&view=inverted`, "[data-view=inverted][aria-pressed=true]"],
    ["sandwich", `${BOTH}&view=sandwich`, ".sandwich"],
    ["top", `${BOTH}&view=top`, ".functions .delta"],
    ["labels", "#a=inside:1&fa=version%3D1.0.0&b=inside:2&fb=version%3D2.0.0", ".chip"],
    ["missing", "#a=inside:1&b=inside:9", ".wait"],
];
/* Of these axe looks at all, once in light and once in dark. */
const THOROUGH = ["compare", "sandwich", "top"];

for (const [width, height] of [[1280, 800], [390, 844]]) {
    for (const dark of [false, true]) {
        test(`${width} pixels, ${dark ? "dark" : "light"}: nothing is cut off, and axe `
             + "finds nothing serious", async () => {
            const look = { width, dark };
            await withPage(PAGE_URL, { width, height, dark }, async page => {
                await page.getByRole("button", { name: "The next 10 s" }).waitFor();
                await checkLooks(page, { ...look, name: "start" });
                await page.keyboard.press("?");
                await page.locator("dialog[open]").waitFor();
                await checkLooks(page, { ...look, name: "help" });
            });
            await withPage(REPORT_URL, { width, height, dark }, async page => {
                for (const [name, hash, shown] of LOOKS) {
                    await page.evaluate(to => { location.hash = to; }, hash);
                    await page.locator(shown).first().waitFor();
                    await checkLooks(page, { ...look, name });
                }
            });
        });
    }
}

async function checkLooks(page, { name, width, dark }) {
    await page.screenshot({ path: join(WORK, `${name}-${width}${dark ? "-dark" : ""}.png`) });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${name} is ${wide} pixels wide`);
    assert.deepEqual(await page.evaluate(cutTexts), [], `${name} at ${width}`);
    const all = LONG || (THOROUGH.includes(name) && (width === 1280) !== dark);
    if (all || (dark && width === 1280)) {
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(rules => window.axe.run(
            rules === null ? {} : { runOnly: rules }), all ? null : ["color-contrast"]);
        const serious = violations.filter(v => ["serious", "critical"].includes(v.impact));
        assert.deepEqual(serious.map(v => `${v.id}: ${v.nodes[0].html}`), [],
                         `${name} at ${width}`);
    }
}

/* In the page: texts that are not all to be seen. What scrolls is, and so is what
   ends in an ellipsis and has all of it as its title. */
function cutTexts() {
    const cut = [];
    const visible = element => element.checkVisibility({ checkVisibilityCSS: true })
        && element.closest(".hidden, canvas, script, style") === null;
    /* the nearest element that hides what is beyond its edges */
    const clipOf = element => {
        for (let e = element; e !== null && e !== document.body; e = e.parentElement) {
            const { overflowX, textOverflow } = getComputedStyle(e);
            if (textOverflow === "ellipsis" && e.title !== "") {
                return null;
            }
            if (overflowX === "auto" || overflowX === "scroll") {
                return null;
            }
            if (overflowX !== "visible") {
                return e;
            }
        }
        return document.documentElement;
    };
    const check = (text, element, from, to) => {
        const clip = clipOf(element);
        const edges = clip?.getBoundingClientRect();
        if (clip !== null && (from < edges.left - 1 || to > edges.right + 1)) {
            cut.push(`${element.localName}.${element.className}: ${text}`);
        }
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const { currentNode: node } = texts;
        const element = node.parentElement;
        if (node.data.trim() === "" || element.closest("select, datalist") !== null
            || !visible(element)) {
            continue;
        }
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const { left, right } of range.getClientRects()) {
            check(node.data.trim(), element, left, right);
        }
    }
    /* what boxes show is no text of the document */
    const pen = document.createElement("canvas").getContext("2d");
    for (const box of document.querySelectorAll("select, input")) {
        const text = box.localName === "select" ? box.selectedOptions[0]?.text ?? ""
            : box.value || box.placeholder;
        const style = getComputedStyle(box);
        const arrow = box.localName === "select" ? 16 : 0;
        pen.font = style.font;
        const room = box.clientWidth - parseFloat(style.paddingLeft)
            - parseFloat(style.paddingRight) - arrow;
        if (visible(box) && pen.measureText(text).width > room && box.title !== text) {
            cut.push(`${box.localName}.${box.className}: ${text}`);
        }
    }
    return cut;
}
