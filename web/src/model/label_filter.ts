/*
 * Filters by label, of samples and of requests.
 */

export interface LabelFilter {
    readonly name: string;
    readonly value: string;
}

/* Filters of one label are alternatives; all labels must agree. */
export function passesFilters(labels: ReadonlyMap<string, string>,
                              filters: readonly LabelFilter[]): boolean {
    const wanted = new Map<string, boolean>();
    for (const { name, value } of filters) {
        wanted.set(name, wanted.get(name) === true || labels.get(name) === value);
    }
    return [...wanted.values()].every(Boolean);
}
