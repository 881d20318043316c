/*
 * Functions, each known by a small number. All profiles of a page share one
 * table, so that a number means the same function in each of them.
 *
 * A function is its name and its library: two libraries may each have a
 * static function of one name. A library goes by its file name without folder
 * and version, so that libc.so.6 of one host is that of another.
 */

export interface Frame {
    readonly name: string;
    /* "libc.so", "nginx"; "" where the profile names no mapping */
    readonly library: string;
    /* source file, "" if unknown */
    readonly file: string;
}

export class FrameTable {
    readonly frames: Frame[] = [];
    private readonly ids = new Map<string, number>();

    /* The first file that comes with a function is the one that is kept. */
    intern(name: string, library: string, file: string): number {
        const key = `${library}\0${name}`;
        let id = this.ids.get(key);
        if (id === undefined) {
            id = this.frames.length;
            this.frames.push({ name, library, file });
            this.ids.set(key, id);
        }
        return id;
    }

    find(name: string, library: string): number | undefined {
        return this.ids.get(`${library}\0${name}`);
    }
}

/* What a mapping's file is called: "/lib/libssl.so.1.1 (deleted)" gives
   "libssl.so". */
export function libraryName(path: string): string {
    const file = path.replace(/ \(deleted\)$/, "");
    const base = file.slice(file.lastIndexOf("/") + 1);
    return base.replace(/(\.so)(\.\d+)+$/, "$1").replace(/-\d[\d.]*(\.so)$/, "$1");
}
