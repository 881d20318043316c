/*
 * Bundles each tests/unit/*.test.ts and runs it with Node's own test runner.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const unit = join(dirname(fileURLToPath(import.meta.url)), "tests", "unit");
const sources = readdirSync(unit).filter(file => file.endsWith(".test.ts"));
const folder = mkdtempSync(join(tmpdir(), "page-tests-"));
try {
    await build({
        entryPoints: sources.map(file => join(unit, file)),
        outdir: folder,
        outExtension: { ".js": ".mjs" },
        bundle: true,
        platform: "node",
        format: "esm",
        sourcemap: "inline",
        logLevel: "warning",
    });
    const files = sources.map(file => join(folder, file.replace(/ts$/, "mjs")));
    const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files],
                          { stdio: "inherit" });
    process.exitCode = run.status ?? 1;
} finally {
    rmSync(folder, { recursive: true });
}
