/*
 * The page: keeps the state and the URL in step, listens, and renders. All
 * that is shown goes through lit-html's templates or a canvas, so that text of
 * a profile is never markup.
 */

import { html, nothing, render } from "lit-html";
import { Endpoint, type Status } from "../model/endpoint";
import { isEmbedded, readEmbedded } from "../model/embedded_profiles";
import type { CallTree } from "../model/call_tree";
import type { LabelFilter } from "../model/label_filter";
import {
    focusKey, INITIAL, type PageState, readState, VIEWS, writeState,
} from "../model/page_state";
import { checkSize } from "../model/profile_decode";
import { message, type Recording, Recordings } from "../model/recordings";
import { nextTask, slice } from "../model/slices";
import { FlameViews } from "./flame_view";
import type { Actions, Context, SideName } from "./page_context";
import { headerView, headlineView } from "./page_header";
import { PageModel } from "./page_model";
import {
    detailView, helpView, missingView, type Pointed, tooltipView, viewBar,
} from "./page_parts";
import { topTable } from "./top_table";

class Page {
    private state: PageState = readState(location.hash);
    private readonly model = new PageModel();
    private readonly endpoint = location.protocol.startsWith("http") && !isEmbedded(document)
        ? new Endpoint(new URL(".", location.href).href) : null;
    private readonly recordings = new Recordings(this.model.frames, this.endpoint,
                                                 () => this.render());
    private readonly flames = new FlameViews();
    private readonly main = document.querySelector("main")!;
    private readonly tooltip = document.querySelector<HTMLElement>("#tooltip")!;
    private readonly help = document.querySelector<HTMLDialogElement>("#help")!;
    private readonly notice = document.querySelector<HTMLElement>("#notice")!;
    private readonly scheme = matchMedia("(prefers-color-scheme: dark)");
    private status: Status | null = null;
    private stored: string[] = [];
    private pointed: Pointed | null = null;
    private context: Context | null = null;
    private noticeTimer = 0;
    private waiting = 0;
    /* whether something changed since the last preparation, and whether one is
       at work */
    private stale = false;
    private preparing = false;

    async start(): Promise<void> {
        this.listen();
        this.render();
        await this.loadEmbedded();
        this.render();
        if (this.endpoint !== null) {
            await this.askEndpoint(this.endpoint);
        }
        this.follow();
    }

    private async loadEmbedded(): Promise<void> {
        try {
            for (const { id, title, fileName, bytes, requests } of readEmbedded(document)) {
                await this.recordings.addBytes(id, title, fileName, bytes, requests);
            }
        } catch (reason) {
            this.say(`The profiles in this page can't be read: ${message(reason)}`);
        }
        const [first, second] = this.recordings.list;
        if (this.state.a.source === "" && first !== undefined) {
            this.state = {
                ...this.state,
                a: { ...this.state.a, source: first.id },
                b: { ...this.state.b, source: second?.id ?? "" },
            };
        }
    }

    private async askEndpoint(endpoint: Endpoint): Promise<void> {
        try {
            this.status = await endpoint.status();
            this.stored = (this.status.instance?.store?.stored ?? 0) > 0
                ? await endpoint.stored() : [];
        } catch {
            this.say("nginx does not answer");
        }
    }

    /* Opens and loads what the state names, and nothing else any more. */
    private follow(): void {
        for (const name of ["a", "b"] as const) {
            const recording = this.recordings.open(this.state[name].source);
            const kind = this.model.kind(this.state, this.recordings);
            if (recording !== undefined && !recording.errors.has(kind.id)
                && (recording.wait === 0 || recording.loaded.size === 0 || kind.instant)) {
                void this.recordings.load(recording, kind);
            }
        }
        this.recordings.keepFor([this.state.a.source, this.state.b.source]);
        this.render();
    }

    private set(change: Partial<PageState>): void {
        this.state = { ...this.state, ...change };
        history.replaceState(null, "", `#${writeState(this.state)}`);
        this.pointed = null;
        this.follow();
    }

    private readonly actions: Actions = {
        set: change => this.set(change),
        setSide: (name, change) =>
            this.set({ [name]: { ...this.state[name], ...change } }),
        filter: (name, add, remove) => this.filter(name, add, remove),
        choose: (name, source) => this.choose(name, source),
        openFiles: (files, name) => void this.openFiles([...files], name),
        swap: () => this.swap(),
        retry: name => this.retry(name),
        toSandwich: frame => {
            const { library, name } = this.model.frame(frame);
            this.set({ view: "sandwich", focus: focusKey(library, name) });
        },
        point: (tree, node, at) => this.point(tree, node, at),
        help: () => this.help.showModal(),
        toggleTheme: () => this.set({ theme: this.dark ? "light" : "dark" }),
        say: text => this.say(text),
    };

    private get dark(): boolean {
        return this.state.theme === null ? this.scheme.matches : this.state.theme === "dark";
    }

    private filter(name: SideName, add: LabelFilter | null, remove: LabelFilter | null): void {
        const kept = this.state[name].filters.filter(({ name: label, value }) =>
            label !== remove?.name || value !== remove.value);
        this.actions.setSide(name, { filters: add === null ? kept : [...kept, add] });
    }

    private choose(name: SideName, source: string): void {
        if (source === "file") {
            this.askForFile(name);
            this.render();
            return;
        }
        const [, fresh] = /^new:(.*)$/.exec(source) ?? [];
        const recording = fresh === undefined
            ? this.recordings.open(source) : this.recordings.record(fresh);
        if (recording !== undefined) {
            this.actions.setSide(name, { source: recording.id });
        }
        /* workers come and go, and files are stored */
        if (fresh !== undefined && this.endpoint !== null) {
            void this.askEndpoint(this.endpoint).then(() => this.render());
        }
    }

    private askForFile(name: SideName): void {
        const input = document.createElement("input");
        input.type = "file";
        input.multiple = true;
        input.addEventListener("change", () => this.actions.openFiles(input.files ?? [], name));
        input.click();
    }

    /* Two files are A and B; one is the side that it was dropped on. */
    private async openFiles(files: File[], name: SideName): Promise<void> {
        const opened: Recording[] = [];
        for (const file of files) {
            try {
                checkSize(file.size);
                const bytes = new Uint8Array(await file.arrayBuffer());
                opened.push(await this.recordings.addBytes(
                    `file:${file.name}`, file.name, file.name, bytes));
            } catch (reason) {
                this.say(`${file.name}: ${message(reason)}`);
            }
        }
        const [first, second] = opened;
        if (first === undefined) {
            return;
        }
        const side = { source: first.id, filters: [] };
        const kinds = [...first.loaded.keys()];
        this.set({
            ...(second === undefined ? { [name]: side }
                : { a: side, b: { source: second.id, filters: [] } }),
            kind: kinds.includes(this.state.kind) ? this.state.kind : kinds[0]!,
            zoom: [],
        });
    }

    private swap(): void {
        if (this.state.b.source !== "") {
            this.set({ a: this.state.b, b: this.state.a });
        }
    }

    private retry(name: SideName): void {
        const recording = this.recordings.find(this.state[name].source);
        const kind = this.model.kind(this.state, this.recordings);
        if (recording !== undefined) {
            void this.recordings.load(recording, kind);
        }
    }

    private point(tree: CallTree, node: number | null,
                  at: { x: number; y: number } | null): void {
        this.pointed = node === null ? null : { tree, node, at };
        if (this.context !== null) {
            render(detailView(this.context, this.pointed),
                   document.querySelector<HTMLElement>("#detail")!);
            render(tooltipView(this.context, this.pointed), this.tooltip);
        }
        this.placeTooltip(this.pointed?.at ?? null);
    }

    private placeTooltip(at: { x: number; y: number } | null): void {
        const { tooltip } = this;
        tooltip.hidden = at === null;
        if (at !== null) {
            const x = Math.min(at.x + 14, innerWidth - tooltip.offsetWidth - 8);
            const below = at.y + 18 + tooltip.offsetHeight < innerHeight;
            tooltip.style.left = `${Math.max(8, x)}px`;
            tooltip.style.top = `${below ? at.y + 18 : at.y - 10 - tooltip.offsetHeight}px`;
        }
    }

    private say(text: string): void {
        this.notice.textContent = text;
        this.notice.hidden = false;
        clearTimeout(this.noticeTimer);
        this.noticeTimer = window.setTimeout(() => {
            this.notice.hidden = true;
        }, 8000);
    }

    private makeContext(): Context {
        const { state, model, recordings, endpoint, status, stored, actions, dark } = this;
        const kind = model.kind(state, recordings);
        const a = model.side("a", state, recordings);
        const b = model.side("b", state, recordings);
        const comparison = model.comparison(state, a.selection, b.selection);
        return {
            state, dark, model, recordings, endpoint, status, stored, kind, a, b,
            main: a.selection, comparison, actions,
            compared: comparison === null ? [] : model.compared(comparison),
            search: model.search(state.query, [a.selection, b.selection]),
        };
    }

    /* Shows what is now: in this task, if what it takes is computed in some
       milliseconds, else in later ones. */
    private render(): void {
        this.stale = true;
        if (!this.preparing) {
            void this.prepare();
        }
    }

    private async prepare(): Promise<void> {
        this.preparing = true;
        try {
            while (this.stale) {
                this.stale = false;
                const steps = this.model.prepare(this.state, this.recordings);
                while (slice(steps) === undefined) {
                    await nextTask();
                }
            }
        } finally {
            this.preparing = false;
        }
        this.show();
    }

    private show(): void {
        const context = this.makeContext();
        this.context = context;
        document.documentElement.dataset.theme = context.dark ? "dark" : "light";
        const missing = missingView(context);
        render(html`
            ${headerView(context)}
            ${missing === null ? html`
                ${headlineView(context)}
                ${viewBar(context)}
                ${context.state.view === "top" ? topTable(context)
                    : this.flames.template(context)}` : missing}
            <div id="detail"></div>`, this.main);
        render(missing === null && context.state.view !== "top"
            ? detailView(context, this.pointed) : nothing,
               document.querySelector<HTMLElement>("#detail")!);
        this.tooltip.hidden = this.pointed?.at == null;
        if (missing === null && context.state.view !== "top") {
            this.flames.draw(context);
        }
        this.keepProgress(missing !== null && isLoading(context));
    }

    /* While something is waited for its bar moves. */
    private keepProgress(waits: boolean): void {
        clearTimeout(this.waiting);
        if (waits) {
            this.waiting = window.setTimeout(() => this.render(), 250);
        }
    }

    private listen(): void {
        this.scheme.addEventListener("change", () => this.render());
        addEventListener("hashchange", () => {
            this.state = readState(location.hash);
            this.follow();
        });
        addEventListener("keydown", event => this.key(event));
        addEventListener("dragover", event => {
            event.preventDefault();
            document.body.classList.add("dropping");
        });
        addEventListener("dragleave", event => {
            if (event.relatedTarget === null) {
                document.body.classList.remove("dropping");
            }
        });
        addEventListener("drop", event => this.drop(event));
        render(helpView(), this.help);
    }

    /* With a profile shown, one dropped on the lower half is compared to it. */
    private drop(event: DragEvent): void {
        event.preventDefault();
        document.body.classList.remove("dropping");
        const onB = this.state.a.source !== "" && event.clientY > innerHeight / 2;
        this.actions.openFiles(event.dataTransfer?.files ?? [], onB ? "b" : "a");
    }

    private key(event: KeyboardEvent): void {
        const target = event.target as HTMLElement;
        const typing = target.matches("input, select, textarea");
        if (event.ctrlKey || event.metaKey || event.altKey || this.help.open
            || (typing && event.key !== "Escape")) {
            return;
        }
        switch (event.key) {
            case "/": document.querySelector<HTMLElement>("#search")?.focus(); break;
            case "1": case "2": case "3": case "4":
                this.set({ view: VIEWS[Number(event.key) - 1]! });
                break;
            case "Escape": this.escape(target, typing); break;
            case "x": this.swap(); break;
            case "d": this.actions.toggleTheme(); break;
            case "?": this.help.showModal(); break;
            default: return;
        }
        event.preventDefault();
    }

    private escape(target: HTMLElement, typing: boolean): void {
        if (typing) {
            target.blur();
        }
        if (target.id === "search" && this.state.query !== "") {
            this.set({ query: INITIAL.query });
        } else {
            this.set({ zoom: [] });
        }
    }
}

function isLoading({ a, b, kind }: Context): boolean {
    return [a, b].some(({ recording }) => recording?.loading.has(kind.id));
}

void new Page().start();
