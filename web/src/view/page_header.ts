/*
 * The upper part of the page: kinds, what A and B are, filters, the sentence
 * that says what was found.
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { BASES, headline, obstacle } from "../model/comparison";
import type { LabelFilter } from "../model/label_filter";
import { hasHistory } from "../model/endpoint";
import { sentence } from "../model/headline_text";
import { labelValues, offeredValues } from "../model/profile";
import { offeredKinds, pastIds, pastTitle, type Recording } from "../model/recordings";
import { type Selection, unitOf } from "../model/sample_selection";
import { formatClock, formatCount, formatSeconds, formatValue } from "../model/value_format";
import type { Context, SideName } from "./page_context";
import type { Side } from "./page_model";

const WINDOWS = [10, 30, 300];
/* seconds, of one worker */
const WORKER_WINDOW = 30;

export function headerView(context: Context): TemplateResult {
    const { state, actions, dark } = context;
    return html`
        <header class="bar top">
            <h1><span class="mark" aria-hidden="true"></span>nginx profiler</h1>
            <nav class="tabs" aria-label="Kind of profile">
                ${offeredKinds(context.recordings.list).map(kind => html`
                    <button type="button" class="tab" data-kind=${kind.id} title=${kind.title}
                        aria-pressed=${String(context.kind.id === kind.id)}
                        ?data-empty=${!hasKind(context, kind.id)}
                        @click=${() => actions.set({ kind: kind.id, zoom: [] })}
                        >${kind.title}</button>`)}
            </nav>
            <span class="space"></span>
            <button type="button" class="plain" @click=${actions.toggleTheme}
                aria-label="Dark mode" aria-pressed=${String(dark)}
                title="Dark mode (d)">${dark ? "☀" : "☾"}</button>
            <button type="button" class="plain" @click=${actions.help}
                aria-label="Keys and help" title="Keys and help (?)">?</button>
        </header>
        <section class="sides" aria-label="What is shown">
            ${sideView(context, "a", context.a)}
            ${state.b.source === "" ? nothing : sideView(context, "b", context.b)}
        </section>`;
}

/* Whether it is there, or this nginx has it. */
function hasKind(context: Context, kind: string): boolean {
    const { a, status } = context;
    if (a.recording !== undefined && a.recording.fetch === null) {
        return a.recording.loaded.has(kind);
    }
    const type = kind === "alloc" || kind === "inuse" ? "heap" : kind;
    return status?.types?.includes(type) ?? true;
}

function sideView(context: Context, name: SideName, side: Side): TemplateResult {
    const { state, actions } = context;
    const comparing = state.b.source !== "";
    return html`
        <div class="side" data-side=${name}>
            ${comparing ? html`<span class="badge ${name}">${name.toUpperCase()}</span>` : nothing}
            ${sourceSelect(context, name)}
            ${filtersView(context, name, side)}
            ${side.selection === null ? nothing
                : html`<span class="facts">${factsOf(side.selection)}</span>`}
            <span class="space"></span>
            ${side.loaded === undefined ? nothing : takeAway(context, side)}
            ${name === "a" && !comparing && side.selection !== null ? html`
                <button type="button" class="compare"
                    @click=${() => actions.choose("b", state.a.source)}
                    >Compare…</button>` : nothing}
            ${name === "b" ? html`
                <button type="button" @click=${actions.swap} title="A becomes B"
                    >Swap</button>
                <button type="button" class="plain" aria-label="End the comparison"
                    @click=${() => actions.setSide("b", { source: "", filters: [] })}
                    >×</button>` : nothing}
        </div>`;
}

function factsOf(selection: Selection): string {
    const { profile } = selection;
    const parts = [formatValue(selection.total, unitOf(selection)),
        `${formatCount(selection.totalEvents)} samples`];
    if (profile.duration > 0) {
        parts.push(`over ${formatSeconds(profile.duration)}`);
    }
    if (selection.requests !== null) {
        parts.push(`${formatCount(selection.requests)} requests`);
    }
    if (profile.time > 0) {
        parts.push(`at ${formatClock(profile.time)}`);
    }
    return parts.join(" · ");
}

function sourceSelect(context: Context, name: SideName): TemplateResult {
    const { state, actions, recordings, endpoint, status, stored } = context;
    const { source } = state[name];
    const option = (value: string, text: string): TemplateResult =>
        html`<option value=${value} ?selected=${value === source}
            .selected=${value === source}>${text}</option>`;
    const stale = source !== "" && recordings.find(source) === undefined;
    const history = endpoint !== null && hasHistory(status);
    const workers = endpoint === null ? [] : status?.instance?.workers ?? [];
    return html`
        <select class="source" aria-label=${`Profile ${name.toUpperCase()}`}
            @change=${(event: Event) => {
                const box = event.target as HTMLSelectElement;
                const chosen = box.value;
                /* shows what is drawn, also where nothing comes of the choice */
                box.value = source;
                actions.choose(name, chosen);
            }}>
            ${source === "" || stale ? option(source, "Choose a profile") : nothing}
            ${group("Recorded", recordings.list.map(
                (recording: Recording) => option(recording.id, recording.title)))}
            ${endpoint === null ? nothing : group("Record now, from this nginx",
                WINDOWS.map(seconds => option(`new:live:${seconds}`, `next ${formatSeconds(seconds)}`)))}
            ${workers.length < 2 ? nothing : group("Record now, one worker alone",
                workers.map(({ pid }) => option(`new:live:${WORKER_WINDOW}@${pid}`,
                    `worker ${pid}, next ${formatSeconds(WORKER_WINDOW)}`)))}
            ${history ? group("Already recorded by this nginx", pastIds(context.kind).map(
                id => option(`new:${id}`, pastTitle(id)))) : nothing}
            ${stored.length > 0 ? group("Stored by this nginx",
                stored.filter(file => storedKind(file, context.kind.id))
                    .map(file => option(`store:${file}`, file))) : nothing}
            <option value="file">Open a file…</option>
        </select>`;
}

/* A stored file is of one type, by which its name begins. */
function storedKind(file: string, kind: string): boolean {
    const type = file.slice(0, file.indexOf("-"));
    return type === kind || (type === "heap" && (kind === "alloc" || kind === "inuse"));
}

function group(label: string, options: TemplateResult[]): TemplateResult | typeof nothing {
    return options.length === 0 ? nothing
        : html`<optgroup label=${label}>${options}</optgroup>`;
}

function filtersView(context: Context, name: SideName, side: Side): TemplateResult {
    const { state, actions } = context;
    return html`
        ${state[name].filters.map(filter => html`
            <span class="chip">${filter.name} = ${filter.value}
                <button type="button" class="plain" aria-label=${`Remove the filter ${filter.name}`}
                    @click=${() => actions.filter(name, null, filter)}>×</button>
            </span>`)}
        ${side.loaded === undefined ? nothing : html`
            <select class="filter" aria-label=${`Filter ${name.toUpperCase()} by a label`}
                @change=${(event: Event) => {
                    const box = event.target as HTMLSelectElement;
                    const added = JSON.parse(box.value) as LabelFilter;
                    box.value = "";
                    actions.filter(name, added, null);
                }}>
                <option value="" selected>+ label</option>
                ${[...labelValues(side.loaded.profile)].map(([label, values]) => group(label,
                    offeredValues(values).map(value => html`
                        <option value=${JSON.stringify({ name: label, value })}
                            >${label} = ${value}</option>`)) )}
            </select>`}`;
}

function takeAway(context: Context, { recording, loaded }: Side): TemplateResult {
    const command = recording!.command(context.kind);
    return html`
        <button type="button" class="take" title="The profile as it came, for any tool that reads pprof"
            @click=${() => download(loaded!.bytes, loaded!.fileName)}>Download</button>
        <button type="button" class="take command" title=${command}
            @click=${() => void copy(context, command)}>Copy go tool pprof</button>`;
}

function download(bytes: Uint8Array<ArrayBuffer>, fileName: string): void {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    link.download = fileName;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/* A page that is not from https or localhost has no clipboard. */
async function copy({ actions }: Context, text: string): Promise<void> {
    try {
        await navigator.clipboard.writeText(text);
        actions.say(`Copied: ${text}`);
    } catch {
        actions.say(text);
    }
}

export function headlineView(context: Context): TemplateResult | typeof nothing {
    const { comparison, compared, model, actions, state } = context;
    if (comparison === null) {
        return nothing;
    }
    const found = headline(comparison, [...compared], model.frames);
    const { before, name, after } = sentence(comparison, found);
    return html`
        <section class="headline" aria-label="What changed">
            <p>${before}${found.function === undefined || name === "" ? nothing : html`
                <button type="button" class="function" @click=${() =>
                    actions.toSandwich(found.function!.frame)}>${name}</button>`}${after}</p>
            <label class="basis">compare
                <select @change=${(event: Event) => actions.set({
                    basis: (event.target as HTMLSelectElement).value as typeof BASES[number] })}>
                    ${BASES.map(basis => {
                        const reason = obstacle(basis, comparison.a, comparison.b);
                        return html`<option value=${basis} ?disabled=${reason !== null}
                            .selected=${basis === comparison.basis}
                            title=${reason ?? ""}>${BASIS_TEXT[basis]}</option>`;
                    })}
                </select>
            </label>
            ${state.basis !== null && state.basis !== comparison.basis ? html`
                <p class="note">Not ${BASIS_TEXT[state.basis]}:
                    ${obstacle(state.basis, comparison.a, comparison.b)}.</p>` : nothing}
        </section>`;
}

const BASIS_TEXT: Readonly<Record<typeof BASES[number], string>> = {
    request: "per request", second: "per second of the window",
    share: "by share", absolute: "absolute values",
};
