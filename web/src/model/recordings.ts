/*
 * Where profiles come from: this nginx, files that were opened, and what is
 * inside the page itself. A recording has a profile for each kind that was
 * loaded of it.
 */

import { type Endpoint, shellWord } from "./endpoint";
import type { FrameTable } from "./frame_table";
import { ProfileError } from "./message_fields";
import type { Profile } from "./profile";
import { readProfile } from "./profile_decode";
import { type Kind, KINDS, kindsOf } from "./profile_kind";
import { formatClock, formatSeconds } from "./value_format";

export interface Loaded {
    readonly profile: Profile;
    /* as it came, to download */
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly fileName: string;
}

export interface Loading {
    /* Date.now() at the start, and how long it must take, milliseconds */
    readonly since: number;
    readonly takes: number;
    readonly abort: AbortController;
    /* when it is loaded, or there is an error */
    readonly done: Promise<void>;
}

type Fetch = (kind: Kind, signal: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>;

export interface Recording {
    /* as in the URL: "live:30", "live:30@PID" of one worker, "last:300",
       "file:v1.cpu.pb.gz" */
    readonly id: string;
    title: string;
    readonly loaded: Map<string, Loaded>;
    readonly loading: Map<string, Loading>;
    readonly errors: Map<string, string>;
    /* the bytes of one kind from the endpoint; null where there is no more */
    readonly fetch: Fetch | null;
    /* whether fetch can have that kind */
    readonly has: (kind: Kind) => boolean;
    /* seconds that a fetch waits for a window to pass */
    readonly wait: number;
    /* what has to be loaded first */
    readonly after: Recording | undefined;
    readonly command: (kind: Kind) => string;
}

export class Recordings {
    readonly list: Recording[] = [];

    constructor(private readonly frames: FrameTable,
                private readonly endpoint: Endpoint | null,
                private readonly changed: () => void) {}

    find(id: string): Recording | undefined {
        return this.list.find(recording => recording.id === id);
    }

    /* The recording of an id in a URL: made, if the endpoint can. */
    open(id: string): Recording | undefined {
        return this.find(id) ?? this.make(id);
    }

    /* A new one of that id, even if there is one of it: it is later now. */
    record(id: string): Recording | undefined {
        return this.make(this.free(id));
    }

    /* The id, with a number behind it if it is taken. */
    private free(id: string): string {
        let free = id;
        for (let n = 2; this.find(free); n++) {
            free = `${id}:${n}`;
        }
        return free;
    }

    /* What is in the page or was opened; another one of the same id (a file's
       name) stands beside the first. requests: what the profile served, if
       somebody else knows. */
    async addBytes(id: string, title: string, fileName: string,
                   bytes: Uint8Array<ArrayBuffer>, requests = 0): Promise<Recording> {
        const read = await readProfile(bytes, this.frames);
        const profile = read.requests.all > 0 ? read
            : { ...read, requests: { all: requests, sets: [] } };
        const unique = this.free(id);
        const recording = this.push({
            id: unique, title: title + unique.slice(id.length).replace(":", " "),
            command: () => `go tool pprof ${fileWord(fileName)}`,
        });
        for (const kind of kindsOf(profile)) {
            recording.loaded.set(kind.id, { profile, bytes, fileName });
        }
        this.changed();
        return recording;
    }

    /* Ends what is on its way for none of those that are shown: a browser has but
       six connections to a host, and nginx 64 profiles at work. Of those that
       nginx can give again some are kept, not all of a page that is open for
       weeks. */
    keepFor(shown: readonly string[]): void {
        const wanted = this.list.filter(({ id }) => shown.includes(id))
            .flatMap(recording => [recording, recording.after]);
        const others = this.list.filter(recording =>
            recording.fetch !== null && !wanted.includes(recording));
        for (const { loading } of others) {
            loading.forEach(({ abort }) => abort.abort(NOT_SHOWN));
        }
        const old = others.filter(({ loaded }) => loaded.size > 0).slice(0, -KEPT);
        const gone = new Set([...old, ...others.filter(({ loaded }) => loaded.size === 0)]);
        this.list.splice(0, this.list.length,
                         ...this.list.filter(recording => !gone.has(recording)));
    }

    /* Loads one kind unless it is there; if it is on its way, waits for that. */
    async load(recording: Recording, kind: Kind): Promise<void> {
        const { fetch } = recording;
        if (fetch !== null && recording.has(kind) && !recording.loaded.has(kind.id)) {
            await (recording.loading.get(kind.id)?.done ?? this.begin(recording, kind, fetch));
        }
    }

    private begin(recording: Recording, kind: Kind, fetch: Fetch): Promise<void> {
        const abort = new AbortController();
        recording.errors.delete(kind.id);
        const done = this.read(recording, kind, fetch, abort).then(() => {
            recording.loading.delete(kind.id);
            this.changed();
        });
        recording.loading.set(kind.id, {
            since: Date.now(), takes: kind.instant ? 0 : 1000 * recording.wait, abort, done,
        });
        this.changed();
        return done;
    }

    private async read(recording: Recording, kind: Kind, fetch: Fetch,
                       abort: AbortController): Promise<void> {
        try {
            const bytes = await fetch(kind, abort.signal);
            const profile = await readProfile(bytes, this.frames);
            if (!kindsOf(profile).some(({ id }) => id === kind.id)) {
                throw new ProfileError(`this has no ${kind.title} profile`);
            }
            const fileName = `${kind.path}-${recording.id.replace(/\W+/g, "-")}.pb.gz`;
            recording.loaded.set(kind.id, { profile, bytes, fileName });
        } catch (reason) {
            if (reason !== NOT_SHOWN) {
                recording.errors.set(kind.id, abort.signal.aborted
                    ? "cancelled" : message(reason));
            }
        }
    }

    private make(id: string): Recording | undefined {
        const { endpoint } = this;
        const [how = "", argument = ""] = split(id);
        const [, length, worker] = /^(\d+)(?:@(\d+))?/.exec(argument) ?? [];
        const seconds = Number(length);
        if (endpoint === null) {
            return undefined;
        }
        if (how === "store") {
            const path = `store/${encodeURIComponent(argument)}`;
            return this.push({
                id, title: argument,
                fetch: (_, signal) => endpoint.fetch(path, signal),
                command: () => endpoint.command(path),
            });
        }
        const query = QUERIES.get(how);
        /* of one worker there is nothing but what it counts from now on */
        if (query === undefined || !(seconds > 0) || (worker !== undefined && how !== "live")) {
            return undefined;
        }
        const last = how === "before" ? this.latest(`last:${seconds}`) : undefined;
        const path = (kind: Kind): string => {
            const parameters = [
                ...(kind.instant ? [] : [query.parameters(seconds, startOf(last, kind, seconds))]),
                ...(worker === undefined ? [] : [`worker=${worker}`]),
            ];
            return [kind.path, ...(parameters.length > 0 ? [parameters.join("&")] : [])].join("?");
        };
        const of = worker === undefined ? "" : `, worker ${worker}`;
        return this.push({
            id, title: query.title(seconds) + of, after: last,
            fetch: async (kind, signal) => {
                await this.loadBefore(last, kind);
                signal.throwIfAborted();
                return endpoint.fetch(path(kind), signal);
            },
            wait: how === "live" ? seconds : 0,
            command: kind => endpoint.command(path(kind)),
            has: kind => kind.path !== "" && (how !== "before" || !kind.instant),
        });
    }

    /* The latest of that window, made if there is none. */
    private latest(id: string): Recording | undefined {
        return this.list.findLast(recording => windowId(recording.id) === id) ?? this.make(id);
    }

    /* The window that ends where `last` begins: that must be known. */
    private async loadBefore(last: Recording | undefined, kind: Kind): Promise<void> {
        if (last !== undefined) {
            await this.load(last, kind);
            const error = last.errors.get(kind.id);
            if (error !== undefined) {
                throw new Error(`${last.title}: ${error}`);
            }
        }
    }

    private push({ fetch = null, wait = 0, after, ...rest }: Made): Recording {
        const recording: Recording = {
            has: kind => fetch !== null && kind.path !== "",
            ...rest, fetch, wait, after,
            loaded: new Map(), loading: new Map(), errors: new Map(),
        };
        this.list.push(recording);
        return recording;
    }
}

/* What a recording is made of; the rest follows. */
type Made = Pick<Recording, "id" | "title" | "command">
    & Partial<Pick<Recording, "fetch" | "wait" | "after" | "has">>;

/* Why a fetch was ended that nobody sees the end of. */
const NOT_SHOWN = "not shown any more";

/* Recordings of nginx that are kept though nothing shows them. */
const KEPT = 20;

interface Query {
    readonly title: (seconds: number) => string;
    /* start: of the last window of that length, Unix seconds */
    readonly parameters: (seconds: number, start: number) => string;
}

const QUERIES: ReadonlyMap<string, Query> = new Map<string, Query>([
    ["live", {
        title: seconds => `${formatSeconds(seconds)} from ${formatClock(Date.now())}`,
        parameters: seconds => `seconds=${seconds}`,
    }],
    ["last", {
        title: seconds => `last ${formatSeconds(seconds)}, at ${formatClock(Date.now())}`,
        parameters: seconds => `last=${seconds}s`,
    }],
    ["before", {
        title: seconds => `the ${formatSeconds(seconds)} before that`,
        parameters: (seconds, start) => `from=${start - seconds}&to=${start}`,
    }],
]);

/* By nginx's own clock, which the browser's may not agree with. */
function startOf(last: Recording | undefined, kind: Kind, seconds: number): number {
    const time = last?.loaded.get(kind.id)?.profile.time ?? 0;
    return Math.floor(time > 0 ? time / 1000 : Date.now() / 1000 - seconds);
}

/* An id without the number that tells those of one window apart: to record
   the same again, of the same worker. */
export function windowId(id: string): string {
    return /^\w+:\d+(?:@\d+)?/.exec(id)?.[0] ?? id;
}

/* seconds */
const PAST = [30, 300, 3600];
const HISTORY = 3600;

/* What to offer of the past, as ids: nginx keeps an hour. What was in use
   before was not kept: there is but what it changed by, which does not compare
   with what is. */
export function pastIds(kind: Kind): string[] {
    return PAST.flatMap(seconds => [`last:${seconds}`,
        ...(kind.instant || 2 * seconds > HISTORY ? [] : [`before:${seconds}`])]);
}

/* The title of an id of pastIds(). */
export function pastTitle(id: string): string {
    const [how = "", seconds] = split(id);
    return how === "last" ? `last ${formatSeconds(Number(seconds))}`
        : QUERIES.get(how)!.title(Number(seconds));
}

/* The kinds to offer tabs for: those known, and what recordings have besides. */
export function offeredKinds(recordings: readonly Recording[]): Kind[] {
    const kinds = [...KINDS];
    for (const { loaded } of recordings) {
        for (const { profile } of loaded.values()) {
            for (const kind of kindsOf(profile)) {
                if (!kinds.some(known => known.id === kind.id)) {
                    kinds.push(kind);
                }
            }
        }
    }
    return kinds;
}

/* A file's name that is not taken for an option. */
function fileWord(name: string): string {
    return shellWord(name.startsWith("-") ? `./${name}` : name);
}

function split(id: string): string[] {
    const at = id.indexOf(":");
    return [id.slice(0, at), id.slice(at + 1)];
}

export function message(reason: unknown): string {
    return reason instanceof Error ? reason.message : String(reason);
}
