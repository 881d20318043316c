/*
 * The rest of the page: the bar above the graph, what is said while there is
 * no profile, and what is under the pointer.
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { type CallTree, ROOT } from "../model/call_tree";
import { hasHistory } from "../model/endpoint";
import { amount } from "../model/headline_text";
import { LONGEST_PATTERN } from "../model/frame_search";
import { COLOURS, VIEWS, type View } from "../model/page_state";
import { windowId } from "../model/recordings";
import { shareOf, unitOf } from "../model/sample_selection";
import { formatShare, formatValue } from "../model/value_format";
import { nodeDifference } from "./flame_view";
import type { Context, SideName } from "./page_context";
import type { Side } from "./page_model";
import { deltaText } from "./top_table";

const VIEW_TEXT: Readonly<Record<View, string>> = {
    flame: "Flame", inverted: "Inverted", sandwich: "Sandwich", top: "Top",
};

export function viewBar(context: Context): TemplateResult {
    const { state, actions, comparison } = context;
    return html`
        <div class="bar views">
            <div class="tabs" role="group" aria-label="View">
                ${VIEWS.map((view, i) => html`
                    <button type="button" class="tab" data-view=${view} title=${`Key ${i + 1}`}
                        aria-pressed=${String(state.view === view)}
                        @click=${() => actions.set({ view })}>${VIEW_TEXT[view]}</button>`)}
            </div>
            <label class="search">
                <span class="hidden">Search functions and libraries</span>
                <input id="search" type="search" placeholder="Search  (text or /regex/)"
                    spellcheck="false" autocomplete="off" .value=${state.query}
                    aria-invalid=${String(context.search.refused !== "")}
                    @input=${(event: Event) => actions.set({
                        query: (event.target as HTMLInputElement).value })}>
            </label>
            <output class="matched" for="search">${matchedText(context)}</output>
            <span class="space"></span>
            ${state.view !== "top" && state.zoom.length > 0 && state.view !== "sandwich" ? html`
                <button type="button" @click=${() => actions.set({ zoom: [] })}
                    >Zoom out</button>` : nothing}
            <label>show
                <select @change=${(event: Event) => actions.set({
                    counts: (event.target as HTMLSelectElement).value === "counts" })}>
                    <option value="values" .selected=${!state.counts}>${context.kind.value}</option>
                    <option value="counts" .selected=${state.counts}>${context.kind.count}</option>
                </select>
            </label>
            ${comparison !== null || state.view === "top" ? nothing : html`
                <label>colour by
                    <select @change=${(event: Event) => actions.set({
                        colour: (event.target as HTMLSelectElement).value as typeof COLOURS[number] })}>
                        ${COLOURS.map(colour => html`<option value=${colour}
                            .selected=${colour === state.colour}>${colour}</option>`)}
                    </select>
                </label>`}
        </div>`;
}

function matchedText({ search, comparison }: Context): string {
    if (search.refused !== "") {
        return search.refused;
    }
    if (search.matched === null) {
        return "";
    }
    return comparison === null ? `${formatShare(search.shares[0] ?? 0)} matched`
        : `matched: A ${formatShare(search.shares[0] ?? 0)}, B ${formatShare(search.shares[1] ?? 0)}`;
}

/* What stands where a profile is missing, or null if A and B are there. */
export function missingView(context: Context): TemplateResult | null {
    const { a, b, state } = context;
    if (a.recording === undefined && state.b.source === "") {
        return startView(context);
    }
    const missing = [["a", a], ["b", b]].filter(([name, side]) =>
        (name === "a" || state.b.source !== "")
        && (side as Side).selection === null) as [SideName, Side][];
    if (missing.length > 0) {
        return html`${missing.map(([name, side]) => waitView(context, name, side))}`;
    }
    if (context.main!.totalEvents === 0 && context.comparison === null) {
        return emptyView(context);
    }
    return null;
}

function startView({ endpoint, status, actions, state }: Context): TemplateResult {
    const off = status?.profiler === "off";
    return html`
        <section class="start">
            ${state.a.source === "" ? nothing : html`
                <p class="note">The link is to a profile that is not here: ${state.a.source}</p>`}
            ${endpoint === null ? nothing : off ? html`
                <p>This nginx has no profiles: ${status.reason ?? "the profiler is off"}.</p>` : html`
                <h2>Profile this nginx</h2>
                <p>The graph is there when the window has passed. A profile costs the
                    server nothing beyond what the profiler does all the time.</p>
                <p class="choices">
                    ${!hasHistory(status) ? nothing : html`
                        <button type="button" @click=${() => actions.choose("a", "new:last:30")}
                            >The last 30 s</button>
                        <button type="button" @click=${() => actions.choose("a", "new:last:300")}
                            >The last 5 min</button>`}
                    ${[10, 30, 300].map(seconds => html`
                        <button type="button" @click=${() => actions.choose("a", `new:live:${seconds}`)}
                            >The next ${formatValue(seconds * 1e9, "nanoseconds")}</button>`)}
                </p>
                ${status === null || hasHistory(status) ? nothing : html`
                    <p class="note">This nginx keeps no history: only what comes can be
                        profiled, not what was.</p>`}`}
            <h2>Open a profile</h2>
            <p>Drop a .pb.gz file anywhere on this page, two to compare them, or
                <button type="button" @click=${() => actions.choose("a", "file")}
                    >choose a file</button>.
                It is not sent anywhere.</p>
        </section>`;
}

function waitView(context: Context, name: SideName, side: Side): TemplateResult {
    const { kind, state, actions } = context;
    const label = state.b.source === "" ? "" : ` ${name.toUpperCase()}`;
    const loading = side.recording?.loading.get(kind.id);
    const error = side.recording?.errors.get(kind.id);
    if (loading !== undefined) {
        return html`<section class="wait" aria-busy="true">
            <p>Profile${label}: ${kind.title}, ${side.recording!.title}</p>
            ${loading.takes === 0 ? html`<progress aria-label="Loading"></progress>` : html`
                <progress max=${loading.takes} aria-label="Recording"
                    .value=${Math.min(Date.now() - loading.since, loading.takes)}></progress>`}
            <button type="button" @click=${() => loading.abort.abort()}>Cancel</button>
        </section>`;
    }
    if (error !== undefined) {
        return html`<section class="wait" role="alert">
            <p>No profile${label}: ${error}.</p>
            <button type="button" @click=${() => actions.retry(name)}>Try again</button>
        </section>`;
    }
    if (side.recording === undefined) {
        return html`<section class="wait"><p>Profile${label} is not here:
            ${state[name].source}. Choose another above.</p></section>`;
    }
    return !side.recording.has(kind) ? html`<section class="wait">
            <p>${side.recording.title} has no ${kind.title} profile. Choose another kind or
                another profile above.</p></section>`
        : html`<section class="wait"><p>No ${kind.title} profile of this window.</p>
            <button type="button" @click=${() => actions.choose(name, `new:${windowId(side.recording!.id)}`)}
                >Record the next ${formatValue(side.recording.wait * 1e9, "nanoseconds")}</button>
        </section>`;
}

function emptyView({ status, kind, a }: Context): TemplateResult {
    const type = kind.path === "heap" || kind.path === "allocs" ? "heap" : kind.id;
    const off = a.recording?.fetch !== null && status?.types !== undefined
        && !status.types.includes(type);
    return html`<section class="wait"><p>${off
        ? `This nginx does not collect ${kind.title} profiles: add ${type} to profiler_types.`
        : a.selection!.filters.length > 0 ? "No sample has these labels."
        : `No samples: nothing of this kind happened in the window.`}</p></section>`;
}

export interface Pointed {
    readonly tree: CallTree;
    readonly node: number;
    readonly at: { x: number; y: number } | null;
}

/* The line at the bottom; it is read out when keys move. */
export function detailView(context: Context, pointed: Pointed | null): TemplateResult {
    return html`<footer class="detail" role="status" aria-live="polite">${pointed === null
        ? html`<span class="note hint">Point at a frame, or move with the arrow keys. Click zooms,
            Alt-click opens the sandwich, ? lists the keys.</span>`
        : describe(context, pointed)}</footer>`;
}

export function tooltipView(context: Context, pointed: Pointed | null):
TemplateResult | typeof nothing {
    return pointed === null || pointed.at === null ? nothing : describe(context, pointed);
}

function describe(context: Context, { tree, node }: Pointed): TemplateResult {
    const { model, main, comparison } = context;
    const frame = node === ROOT ? null : model.frame(tree.frame[node]!);
    return html`
        <strong>${frame === null ? "the whole graph" : frame.name}</strong>
        ${frame === null ? nothing : html`<span class="note">${frame.library}${
            frame.file === "" ? "" : ` · ${frame.file}`}</span>`}
        <span>${comparison === null ? singleText(tree, node, main!)
            : comparedText(comparison, tree, node)}</span>`;
}

type Main = NonNullable<Context["main"]>;
type Comparison = NonNullable<Context["comparison"]>;

function singleText(tree: CallTree, node: number, main: Main): string {
    const total = tree.totals[0][node]!;
    const self = tree.self[0][node]!;
    const unit = unitOf(main);
    return `${formatValue(total, unit)} (${formatShare(shareOf(main, total))}), `
        + `self ${formatValue(self, unit)}, ${tree.events[0][node]!.toFixed(0)} samples`;
}

function comparedText(comparison: Comparison, tree: CallTree, node: number): string {
    const found = nodeDifference(comparison, tree, node);
    const verdict = found.verdict === "same" ? "within chance" : found.verdict;
    return `A ${amount(comparison, found.a)}, B ${amount(comparison, found.b)}, `
        + `${deltaText(comparison, found.delta)}: ${verdict} `
        + `(${tree.events[0][node]!.toFixed(0)} and ${tree.events[1][node]!.toFixed(0)} samples)`;
}

const KEYS: readonly (readonly [string, string])[] = [
    ["/", "search"], ["1 2 3 4", "flame, inverted, sandwich, top"],
    ["arrows, Home", "move in the graph"], ["Enter", "zoom to the frame"],
    ["Backspace, Esc", "zoom out, a step or all the way"],
    ["s", "callers and callees of the frame"],
    ["x", "swap A and B"], ["d", "dark mode"], ["?", "this"],
];

export function helpView(): TemplateResult {
    return html`
        <h2>Keys</h2>
        <dl>${KEYS.map(([keys, what]) => html`<div><dt><kbd>${keys}</kbd></dt>
            <dd>${what}</dd></div>`)}</dl>
        <h2>Search</h2>
        <p>A text is found as it is in names of functions and of libraries, whether in
            capitals or not; /…/ is a regular expression in Go's syntax (RE2's), of
            at most ${LONGEST_PATTERN} characters.</p>
        <h2>What is compared</h2>
        <p>Values of A and B are divided by the requests that each served, where the
            profiles say how many, else they are shares of the whole. A frame is as wide as
            both together, so that what is new and what is gone both show.</p>
        <p>Grey is within chance. A profile counts events seen at random. If a function's
            rate did not change, the events of A among the n = a + b that both saw are
            binomial with p = exposure A / (exposure A + exposure B), the exposure being what
            values are divided by. A difference counts where twice the smaller tail is under
            0.001. Where events differ in their value x, bytes or the time of a stall, n is
            (Σx)² / Σx², and A and B have as much of it as of the value.</p>
        <form method="dialog"><button>Close</button></form>`;
}
