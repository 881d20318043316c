/*
 * Long work in short tasks: what takes more than some milliseconds is written
 * as a generator that yields now and then, and is run a slice at a time, so
 * that the browser can draw and listen in between.
 */

/* Work that yields every millisecond or so, and returns its result. */
export type Steps<T> = Generator<undefined, T, undefined>;

/* Milliseconds. A task is felt from 50 on; a step may be slow to yield. */
const SLICE = 12;

/* The result, in this task, however long that takes. */
export function finish<T>(steps: Steps<T>): T {
    for (;;) {
        const next = steps.next();
        if (next.done === true) {
            return next.value;
        }
    }
}

/* One step of its own. */
export function* step<T>(make: () => T): Steps<T> {
    const value = make();
    yield;
    return value;
}

/* A slice of it; the result, or undefined if there is more to do. */
export function slice<T>(steps: Steps<T>): { readonly value: T } | undefined {
    const end = performance.now() + SLICE;
    do {
        const next = steps.next();
        if (next.done === true) {
            return { value: next.value };
        }
    } while (performance.now() < end);
    return undefined;
}

/* All of it, a slice in each task. */
export async function inSlices<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
        const result = slice(steps);
        if (result !== undefined) {
            return result.value;
        }
        await nextTask();
    }
}

/* Lets the browser draw and listen. A timer would do, too, but waits for 4 ms
   once there were some. */
export function nextTask(): Promise<void> {
    return new Promise(resolve => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
            port1.close();
            resolve();
        };
        port2.postMessage(null);
    });
}

/* Items that are sorted at once, or merged between two yields. */
const RUN = 512;

/* What items.sort(compare) gives, as a new list. */
export function* sorted<T>(items: readonly T[], compare: (x: T, y: T) => number): Steps<T[]> {
    let runs: T[][] = [];
    for (let at = 0; at < items.length; at += RUN) {
        runs.push(items.slice(at, at + RUN).sort(compare));
        yield;
    }
    while (runs.length > 1) {
        const merged: T[][] = [];
        for (let i = 0; i < runs.length; i += 2) {
            merged.push(yield* mergeOf(runs[i]!, runs[i + 1] ?? [], compare));
        }
        runs = merged;
    }
    return runs[0] ?? [];
}

/* Of equals, those of x come first: the sort is stable. */
function* mergeOf<T>(x: readonly T[], y: readonly T[],
                     compare: (x: T, y: T) => number): Steps<T[]> {
    const merged: T[] = [];
    for (let i = 0, j = 0; i < x.length || j < y.length;) {
        const first = j === y.length || (i < x.length && compare(x[i]!, y[j]!) <= 0);
        merged.push(first ? x[i++]! : y[j++]!);
        if (merged.length % RUN === 0) {
            yield;
        }
    }
    return merged;
}
