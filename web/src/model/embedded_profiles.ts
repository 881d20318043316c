/*
 * Profiles inside the page: a report that opens from disk has them as JSON in
 * <script type="application/json" id="profiles">, a list of EmbeddedProfile
 * with the bytes in base64.
 */

export interface EmbeddedProfile {
    readonly id: string;
    readonly title: string;
    readonly fileName: string;
    readonly requests: number;
    readonly bytes: Uint8Array<ArrayBuffer>;
}

interface Written {
    readonly title: string;
    readonly file: string;
    readonly requests?: number;
    readonly data: string;
}

const SELECTOR = "script#profiles";

export function isEmbedded(document: Document): boolean {
    return document.querySelector(SELECTOR) !== null;
}

export function readEmbedded(document: Document): EmbeddedProfile[] {
    const text = document.querySelector(SELECTOR)?.textContent;
    const list = text == null ? [] : JSON.parse(text) as Written[];
    return list.map(({ title, file, requests, data }, i) => ({
        id: `inside:${i + 1}`, title, fileName: file, requests: requests ?? 0,
        bytes: bytesOf(data),
    }));
}

/* Uint8Array.from() would take ten times as long for a long text. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
        bytes[i] = text.charCodeAt(i);
    }
    return bytes;
}
