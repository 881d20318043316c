/*
 * The nginx that served the page: its profiles are beside it.
 */

/* What of `status` the page goes by; a field that is missing is a feature
   that this nginx does not have. */
export interface Status {
    readonly profiler?: string;
    readonly reason?: string;
    readonly types?: readonly string[];
    readonly instance?: {
        readonly history?: unknown;
        /* how many files were stored */
        readonly store?: { readonly stored: number };
        readonly workers?: readonly { readonly pid: number }[];
    };
}

/* Whether it can be asked for what lies behind. */
export function hasHistory(status: Status | null): boolean {
    return status?.instance?.history !== undefined;
}

export class Endpoint {
    /* base: the URL of the endpoint, with the slash at its end */
    constructor(readonly base: string) {}

    async fetch(path: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
        let reply: Response;
        try {
            reply = await fetch(new URL(path, this.base), { signal, cache: "no-store" });
        } catch (reason) {
            signal.throwIfAborted();
            throw new Error("nginx does not answer", { cause: reason });
        }
        if (!reply.ok) {
            throw new Error(await refusal(reply));
        }
        return new Uint8Array(await reply.arrayBuffer());
    }

    async status(): Promise<Status> {
        const reply = await fetch(new URL("status", this.base), { cache: "no-store" });
        return reply.ok ? await reply.json() as Status : {};
    }

    /* Names of the files that profiler_store has kept, the newest first. */
    async stored(): Promise<string[]> {
        const reply = await fetch(new URL("store/", this.base), { cache: "no-store" });
        const text = reply.ok ? await reply.text() : "";
        return [...new Set(text.match(/[\w.:+-]+\.pb\.gz/g) ?? [])].sort().reverse();
    }

    command(path: string): string {
        return `go tool pprof ${shellWord(new URL(path, this.base).href)}`;
    }
}

/* Its own words, if it is the endpoint that refuses. */
async function refusal(reply: Response): Promise<string> {
    const text = (await reply.text()).trim();
    return reply.headers.has("X-Go-Pprof") && text !== ""
        ? `nginx says: ${text}` : `nginx answered ${reply.status}`;
}

/* A word as a shell reads it. */
export function shellWord(text: string): string {
    return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
