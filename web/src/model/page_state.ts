/*
 * What the page shows, and its form in the URL: all of it, so that a link
 * shows another person the same.
 */

import { BASES, type Basis } from "./comparison";
import type { LabelFilter } from "./label_filter";

export const VIEWS = ["flame", "inverted", "sandwich", "top"] as const;
export type View = (typeof VIEWS)[number];

export const COLOURS = ["library", "function"] as const;
export type Colour = (typeof COLOURS)[number];

export type Theme = "light" | "dark" | null;

export interface SideState {
    /* a recording's id (recordings.ts), "" for none */
    readonly source: string;
    readonly filters: readonly LabelFilter[];
}

export interface SortState {
    readonly column: string;
    readonly descending: boolean;
}

export interface PageState {
    /* a profile's kind (profile_kind.ts) */
    readonly kind: string;
    /* the count of events in place of their time or size */
    readonly counts: boolean;
    readonly view: View;
    readonly a: SideState;
    readonly b: SideState;
    readonly basis: Basis | null;
    readonly query: string;
    /* functions from the root to the one that is zoomed to: each its name, or its
       focusKey() where its name is not enough */
    readonly zoom: readonly string[];
    /* focusKey() of the function of the sandwich */
    readonly focus: string;
    readonly sort: SortState;
    readonly colour: Colour;
    readonly theme: Theme;
}

/* By which the state names a function: "library", a tab, "name". */
export function focusKey(library: string, name: string): string {
    return `${library}\t${name}`;
}

export function readFocus(key: string): { readonly library: string; readonly name: string } {
    const at = key.indexOf("\t");
    return { library: key.slice(0, Math.max(at, 0)), name: key.slice(at + 1) };
}

const NO_SIDE: SideState = { source: "", filters: [] };

export const DEFAULT_SORT: SortState = { column: "", descending: true };

export const INITIAL: PageState = {
    kind: "cpu", counts: false, view: "flame", a: NO_SIDE, b: NO_SIDE,
    basis: null, query: "", zoom: [], focus: "", sort: DEFAULT_SORT,
    colour: "library", theme: null,
};

export function writeState(state: PageState): string {
    const parameters = new URLSearchParams();
    const put = (name: string, value: string, fallback = ""): void => {
        if (value !== fallback) {
            parameters.append(name, value);
        }
    };
    put("a", state.a.source);
    state.a.filters.forEach(f => put("fa", `${f.name}=${f.value}`));
    put("b", state.b.source);
    state.b.filters.forEach(f => put("fb", `${f.name}=${f.value}`));
    put("kind", state.kind, INITIAL.kind);
    put("counts", state.counts ? "1" : "");
    put("view", state.view, INITIAL.view);
    put("basis", state.basis ?? "");
    put("q", state.query);
    state.zoom.forEach(name => put("zoom", name));
    put("focus", state.focus);
    if (state.sort.column !== "") {
        put("sort", `${state.sort.descending ? "-" : ""}${state.sort.column}`);
    }
    put("colour", state.colour, INITIAL.colour);
    put("theme", state.theme ?? "");
    return parameters.toString();
}

/* What is missing or makes no sense is as in the initial state. */
export function readState(fragment: string): PageState {
    const parameters = new URLSearchParams(fragment.replace(/^#/, ""));
    const get = (name: string): string => parameters.get(name) ?? "";
    const sort = get("sort");
    const theme = get("theme");
    return {
        kind: get("kind") || INITIAL.kind,
        counts: get("counts") === "1",
        view: oneOf(VIEWS, get("view")) ?? INITIAL.view,
        a: { source: get("a"), filters: parameters.getAll("fa").flatMap(readFilter) },
        b: { source: get("b"), filters: parameters.getAll("fb").flatMap(readFilter) },
        basis: oneOf(BASES, get("basis")) ?? null,
        query: get("q"),
        zoom: parameters.getAll("zoom"),
        focus: get("focus"),
        sort: sort === "" ? DEFAULT_SORT
            : { column: sort.replace(/^-/, ""), descending: sort.startsWith("-") },
        colour: oneOf(COLOURS, get("colour")) ?? INITIAL.colour,
        theme: theme === "light" || theme === "dark" ? theme : null,
    };
}

function readFilter(text: string): LabelFilter[] {
    const at = text.indexOf("=");
    return at < 1 ? [] : [{ name: text.slice(0, at), value: text.slice(at + 1) }];
}

function oneOf<T extends string>(values: readonly T[], text: string): T | undefined {
    return values.find(value => value === text);
}
