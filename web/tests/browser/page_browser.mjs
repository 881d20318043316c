/*
 * A page in Debian's Chromium, and what every test wants of it: no error on
 * the console, and no request to anywhere but where the page is from.
 */

import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update",
               "--disable-sync"];

export const PATIENCE = 60_000;

export function launch() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: FLAGS,
    });
}

/*
 * Opens a URL. `problems` fills with console errors, uncaught ones and foreign
 * requests; failures of the server that a test provokes are `expected`.
 */
export async function open(browser, url, { width = 1280, height = 800,
                                           expected = null, dark = false } = {}) {
    const context = await browser.newContext({
        viewport: { width, height }, acceptDownloads: true,
        colorScheme: dark ? "dark" : "light",
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const problems = [];
    const home = new URL(url);
    page.on("console", message => {
        if (["error", "warning"].includes(message.type())
            && !(expected?.test(message.text()))) {
            problems.push(`console: ${message.text()}`);
        }
    });
    page.on("pageerror", error => problems.push(`uncaught: ${error.stack}`));
    page.on("request", request => {
        const to = new URL(request.url());
        if (!["data:", "blob:"].includes(to.protocol)
            && (to.protocol !== home.protocol || to.host !== home.host)) {
            problems.push(`request: ${request.url()}`);
        }
    });
    await page.goto(url);
    return { page, problems, close: () => context.close() };
}

/* The colours of a canvas that is drawn: how many pixels have each, as "r,g,b,a". */
export async function colours(page, selector) {
    await page.locator(selector).and(page.locator("[aria-busy=false]")).waitFor();
    return page.locator(selector).evaluate(canvas => {
        /* of a copy: one that is read more than once is drawn another way */
        const copy = new OffscreenCanvas(canvas.width, canvas.height)
            .getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        const found = {};
        for (let i = 0; i < data.length; i += 4) {
            const colour = [...data.subarray(i, i + 4)].join(",");
            found[colour] = (found[colour] ?? 0) + 1;
        }
        return found;
    });
}

/* Where the state is: the parameters after the URL's #, as the page knows it;
   Playwright may be told later. */
export async function state(page) {
    return new URLSearchParams(await page.evaluate(() => location.hash.slice(1)));
}
