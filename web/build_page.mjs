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
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/* The text, and the files that it is made of. */
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
        metafile: true,
        absWorkingDir: here,
    });
    return { text: result.outputFiles[0].text.trim(), inputs: Object.keys(result.metafile.inputs) };
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

/* The licences of the packages that are bundled ask to go where it goes. They
   stand in a comment, which two hyphens may end. */
function notices(inputs) {
    const packages = inputs.map(file => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
    return [...new Set(packages)].filter(name => name !== undefined).sort().map(name => {
        const folder = join(here, "node_modules", name);
        const file = readdirSync(folder).find(entry => /^licen[cs]e/i.test(entry));
        if (file === undefined) {
            throw new Error(`${name} is bundled and has no licence`);
        }
        const text = readFileSync(join(folder, file), "utf8").trim();
        return `${name}\n\n${text.replace(/-(?=-)/g, "- ")}`;
    }).join("\n\n\n");
}

const folder = process.argv[2];
if (folder === undefined) {
    throw new Error("usage: node build_page.mjs FOLDER");
}
const [script, style] = await Promise.all([bundle("view/page.ts"), bundle("page.css")]);
const csp = policy(script.text, style.text);
const parts = { CSP: csp, STYLE: style.text, SCRIPT: script.text,
                NOTICES: notices([...script.inputs, ...style.inputs]) };
const html = readFileSync(join(here, "src", "page.html"), "utf8")
    .replace(/@(CSP|STYLE|SCRIPT|NOTICES)@/g, (_, name) => parts[name]);
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "page.html"), html);
writeFileSync(join(folder, "page.html.gz"), gzipSync(html, { level: 9 }));
writeFileSync(join(folder, "page.csp"), `${csp}; frame-ancestors 'none'`);
