/*
 * What the parts of the page are given: the state, what follows from it, and
 * what they may ask for.
 */

import type { Endpoint, Status } from "../model/endpoint";
import type { CallTree } from "../model/call_tree";
import type { ComparedFunction, Comparison } from "../model/comparison";
import type { LabelFilter } from "../model/label_filter";
import type { PageState, SideState } from "../model/page_state";
import type { Kind } from "../model/profile_kind";
import type { Recordings } from "../model/recordings";
import type { Selection } from "../model/sample_selection";
import type { PageModel, Search, Side } from "./page_model";

export type SideName = "a" | "b";

export interface Actions {
    readonly set: (change: Partial<PageState>) => void;
    readonly setSide: (side: SideName, change: Partial<SideState>) => void;
    /* of what there is now, which may be more than what is on the screen yet */
    readonly filter: (side: SideName, add: LabelFilter | null, remove: LabelFilter | null) => void;
    /* the id of a recording, "new:" and an id for one that is made now, or "file" */
    readonly choose: (side: SideName, source: string) => void;
    readonly openFiles: (files: Iterable<File>, side: SideName) => void;
    readonly swap: () => void;
    readonly retry: (side: SideName) => void;
    readonly toSandwich: (frame: number) => void;
    readonly point: (tree: CallTree, node: number | null,
                     at: { x: number; y: number } | null) => void;
    readonly help: () => void;
    readonly toggleTheme: () => void;
    readonly say: (text: string) => void;
}

export interface Context {
    readonly state: PageState;
    readonly dark: boolean;
    readonly model: PageModel;
    readonly recordings: Recordings;
    readonly endpoint: Endpoint | null;
    readonly status: Status | null;
    readonly stored: readonly string[];
    readonly kind: Kind;
    readonly a: Side;
    readonly b: Side;
    /* what is drawn: A's, or B's where A has none */
    readonly main: Selection | null;
    readonly comparison: Comparison | null;
    readonly compared: readonly ComparedFunction[];
    readonly search: Search;
    readonly actions: Actions;
}
