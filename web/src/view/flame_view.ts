/*
 * The flame graph, upright and inverted, and the sandwich of two of them.
 */

import { html, nothing, type TemplateResult } from "lit-html";
import { type CallTree, type Direction, NONE, ROOT } from "../model/call_tree";
import { difference, type Verdict } from "../model/comparison";
import { focusKey } from "../model/page_state";
import { formatShare } from "../model/value_format";
import type { Context } from "./page_context";
import { FlameCanvas, type Picture } from "./flame_canvas";
import { differencePaint, framePaint, type Paint } from "./flame_colours";

/* Functions in the list of the sandwich; all can be typed. */
const OFFERED = 1000;

export class FlameViews {
    private context!: Context;
    private readonly canvases = new Map<Direction, FlameCanvas>();
    private readonly trees = new Map<Direction, CallTree>();

    template(context: Context): TemplateResult {
        this.context = context;
        if (context.state.view === "sandwich") {
            return this.sandwich(context);
        }
        const direction = context.state.view === "inverted" ? "callers" : "callees";
        return html`${legend(context)}
            <div class="graph">${this.canvas(direction).element}</div>`;
    }

    /* After the template is in the page: a canvas must know its width. */
    draw(context: Context): void {
        const { view } = context.state;
        if (view === "sandwich") {
            const focus = focusOf(context);
            if (focus !== NONE) {
                this.show("above", focus, true);
                this.show("below", focus, false);
            }
        } else {
            this.show(view === "inverted" ? "callers" : "callees", NONE, false);
        }
    }

    private sandwich(context: Context): TemplateResult {
        const focus = focusOf(context);
        if (focus === NONE) {
            return html`<p class="empty">No function to show.</p>`;
        }
        const { name, library } = context.model.frame(focus);
        return html`
            <div class="sandwich">
                <label class="pick">Function
                    <input list="functions" .value=${name} spellcheck="false"
                        @change=${(event: Event) => this.pick(event)}>
                    <datalist id="functions">${[...this.offered().keys()].slice(0, OFFERED)
                        .map(text => html`<option value=${text}></option>`)}</datalist>
                    <span class="library">${library}</span>
                </label>
                ${legend(context)}
                <h2>Callers</h2>
                <div class="graph">${this.canvas("above").element}</div>
                <h2>Callees</h2>
                <div class="graph">${this.canvas("below").element}</div>
            </div>`;
    }

    private offered(): ReadonlyMap<string, number> {
        const { model, main, comparison } = this.context;
        return model.offered(main!, comparison);
    }

    /* A name alone is the first function of that name. */
    private pick(event: Event): void {
        const { model, actions } = this.context;
        const wanted = (event.target as HTMLInputElement).value;
        const offered = this.offered();
        const found = offered.get(wanted)
            ?? [...offered.values()].find(frame => model.frame(frame).name === wanted);
        if (found === undefined) {
            actions.say(`No function here is called ${wanted}`);
        } else {
            const { library, name } = model.frame(found);
            actions.set({ focus: focusKey(library, name), zoom: [] });
        }
    }

    private canvas(direction: Direction): FlameCanvas {
        let canvas = this.canvases.get(direction);
        if (canvas === undefined) {
            canvas = new FlameCanvas(LABELS[direction], {
                zoom: node => this.zoom(direction, node),
                point: (node, at) =>
                    this.context.actions.point(this.trees.get(direction)!, node, at),
                open: node => {
                    const frame = this.trees.get(direction)!.frame[node]!;
                    if (frame !== NONE) {
                        this.context.actions.toSandwich(frame);
                    }
                },
            });
            this.canvases.set(direction, canvas);
        }
        return canvas;
    }

    private zoom(direction: Direction, node: number): void {
        const tree = this.trees.get(direction)!;
        const { actions, model } = this.context;
        if (direction === "above" || direction === "below") {
            const frame = tree.frame[node]!;
            if (frame !== NONE) {
                actions.toSandwich(frame);
            }
            return;
        }
        actions.set({ zoom: model.zoomOf(tree, node) });
    }

    private show(direction: Direction, focus: number, upwards: boolean): void {
        const { context } = this;
        const { model, state, main, comparison, search } = context;
        const tree = model.tree(direction, main!, comparison, focus);
        this.trees.set(direction, tree);
        const { matched } = search;
        const picture: Picture = {
            tree, upwards,
            zoom: focus === NONE ? model.resolve(tree, state.zoom) : ROOT,
            name: node => nodeName(context, tree, node, focus),
            paint: painter(context, tree, focus),
            matched: matched === null ? null
                : node => matched[node === ROOT ? focus : tree.frame[node]!] === 1,
        };
        this.canvas(direction).show(picture);
    }
}

function focusOf({ state, model, main, comparison }: Context): number {
    return main === null ? NONE : model.focus(state, main, comparison);
}

const LABELS: Readonly<Record<Direction, string>> = {
    callees: "Flame graph: what calls what, from the root down",
    callers: "Inverted flame graph: from each innermost function to its callers",
    above: "Callers of the function",
    below: "What the function calls",
};

const SIGNS: Readonly<Record<Verdict, string>> = {
    new: "+ ", gone: "− ", more: "", less: "", same: "",
};

/* focus: what the root is, NONE for all */
function nodeName({ model, comparison }: Context, tree: CallTree, node: number,
                  focus: number): string {
    const frame = node === ROOT ? focus : tree.frame[node]!;
    const name = frame === NONE ? "all" : model.frame(frame).name;
    return comparison === null ? name
        : SIGNS[nodeDifference(comparison, tree, node).verdict] + name;
}

/* Chance is computed once for a node: a hover draws all of them anew. */
function painter(context: Context, tree: CallTree, focus: number): (node: number) => Paint {
    const { comparison, model, state, main, dark } = context;
    if (comparison !== null) {
        return node => differencePaint(nodeDifference(comparison, tree, node), dark);
    }
    const libraries = model.libraryColours(main!);
    const root: Paint = { fill: dark ? "#3a404a" : "#dfe3e8",
                          text: dark ? "#e8eaed" : "#14171c", hatched: false };
    return node => {
        const frame = node === ROOT ? focus : tree.frame[node]!;
        return frame === NONE ? root
            : framePaint(model.frame(frame), state.colour, libraries);
    };
}

type Comparison = NonNullable<Context["comparison"]>;
type Difference = ReturnType<typeof difference>;

const differences = new WeakMap<CallTree, Map<number, Difference>>();

export function nodeDifference(comparison: Comparison, tree: CallTree,
                               node: number): Difference {
    let known = differences.get(tree);
    if (known === undefined) {
        known = new Map();
        differences.set(tree, known);
    }
    let found = known.get(node);
    if (found === undefined) {
        found = difference(comparison, tree.sum(0, node), tree.sum(1, node));
        known.set(node, found);
    }
    return found;
}

function legend(context: Context): TemplateResult | typeof nothing {
    const { comparison, model, main, state } = context;
    if (main === null) {
        return nothing;
    }
    if (comparison !== null) {
        return html`<ul class="legend" aria-label="Colours">
            ${([["gone", "− gone"], ["less", "less in B"], ["same", "within chance (p ≥ 0.001)"],
                ["more", "more in B"], ["new", "+ new"]] as const).map(([name, text]) =>
                html`<li><span class="swatch ${name}"></span>${text}</li>`)}
            <li class="note">a frame is as wide as A + B</li>
        </ul>`;
    }
    if (state.colour !== "library") {
        return nothing;
    }
    const colours = model.libraryColours(main);
    return html`<ul class="legend" aria-label="Libraries by their own value">
        ${model.libraries(main).slice(0, 8).map(({ name, share }) => html`<li>
            <span class="swatch" .style=${`background:${colours.of(name)}`}></span>
            ${name || "no library"} <span class="note">${formatShare(share)}</span></li>`)}
    </ul>`;
}
