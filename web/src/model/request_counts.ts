/*
 * How many requests a profile is of, as its comments say:
 *   requests=120
 *   requests{location="/count",version="1.0.0"}=60
 * the first of all, the others of each set of labels that requests had.
 */

import { type LabelFilter, passesFilters } from "./label_filter";
import type { LabelSet } from "./profile";

export interface RequestCounts {
    /* 0 if the profile does not say */
    readonly all: number;
    /* empty if it does not say of which labels they were */
    readonly sets: readonly { readonly labels: LabelSet; readonly requests: number }[];
}

const COMMENT = /^requests(\{.*\})?=(\d+)$/s;
const LABEL = /([^{},="]+)="((?:[^"\\]|\\.)*)"/gs;

/* A label of where samples were taken: requests have none of it. */
const NO_REQUESTS_LABEL = "thread";

export function requestCounts(comments: readonly string[]): RequestCounts {
    let all = 0;
    const sets: { labels: LabelSet; requests: number }[] = [];
    for (const comment of comments) {
        const [, labels, number] = COMMENT.exec(comment) ?? [];
        if (number !== undefined && labels === undefined) {
            all = Number(number);
        } else if (labels !== undefined) {
            sets.push({ labels: labelsOf(labels), requests: Number(number) });
        }
    }
    return { all, sets };
}

function labelsOf(text: string): LabelSet {
    return new Map([...text.matchAll(LABEL)].map(([, name, value]): [string, string] =>
        [name!, value!.replaceAll(/\\(.)/gs, (_, c: string) => (c === "n" ? "\n" : c))]));
}

/* Those whose labels pass the filters; null if the profile does not say. */
export function servedRequests({ all, sets }: RequestCounts,
                               filters: readonly LabelFilter[]): number | null {
    const wanted = filters.filter(({ name }) => name !== NO_REQUESTS_LABEL);
    if (wanted.length === 0) {
        return all > 0 ? all : null;
    }
    return sets.length === 0 ? null
        : sets.filter(({ labels }) => passesFilters(labels, wanted))
            .reduce((sum, { requests }) => sum + requests, 0);
}
