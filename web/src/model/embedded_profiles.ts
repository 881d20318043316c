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
        bytes: Uint8Array.from(atob(data), character => character.charCodeAt(0)),
    }));
}
