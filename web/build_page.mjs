/*
 * Bundles the page into one HTML file, for `node build_page.mjs FOLDER`:
 *
 *   page.html      complete; its own Content-Security-Policy is in it
 *   page.html.gz   the same, gzipped
 *   page.csp       the policy as a header's value
 *
 * The policy names script and style by their hashes, so that nothing else in
 * the page can run, whatever a profile has in it.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

async function bundle(entry) {
    const result = await build({
        entryPoints: [join(here, "src", entry)],
        bundle: true,
        minify: true,
        write: false,
        format: "iife",
        target: "es2022",
        charset: "utf8",
        legalComments: "none",
    });
    return result.outputFiles[0].text.trim();
}

function hash(text) {
    return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/* A page in a file can't say who may frame it: that is for the header alone. */
function policy(script, style) {
    return ["default-src 'none'", `script-src ${hash(script)}`, `style-src ${hash(style)}`,
            "img-src data:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
            "require-trusted-types-for 'script'", "trusted-types lit-html"].join("; ");
}

/* The licences of what is bundled ask to go where it goes. */
function notices() {
    const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
    return Object.keys(dependencies).map(name => {
        const text = readFileSync(join(here, "node_modules", name, "LICENSE"), "utf8");
        return `${name}\n\n${text.trim().replaceAll("--", "- -")}`;
    }).join("\n\n\n");
}

const folder = process.argv[2];
if (folder === undefined) {
    throw new Error("usage: node build_page.mjs FOLDER");
}
const [script, style] = await Promise.all([bundle("view/page.ts"), bundle("page.css")]);
const csp = policy(script, style);
const parts = { CSP: csp, STYLE: style, SCRIPT: script, NOTICES: notices() };
const html = readFileSync(join(here, "src", "page.html"), "utf8")
    .replace(/@(CSP|STYLE|SCRIPT|NOTICES)@/g, (_, name) => parts[name]);
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "page.html"), html);
writeFileSync(join(folder, "page.html.gz"), gzipSync(html, { level: 9 }));
writeFileSync(join(folder, "page.csp"), `${csp}; frame-ancestors 'none'`);
