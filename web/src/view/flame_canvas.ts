/*
 * Draws a call tree on a canvas, and makes mouse, touch and keys point at its
 * nodes. It knows geometry and colours; what a node means it is told.
 *
 * It draws row by row, and lets go of the thread after some milliseconds, to go
 * on in the next frame: a graph may be tens of thousands of boxes. What is
 * pointed at changes its row alone.
 */

import type { CallTree } from "../model/call_tree";
import { ROOT } from "../model/call_tree";
import { type Box, boxAt, type Layout, layOut } from "../model/frame_layout";
import type { Paint } from "./flame_colours";

export interface Picture {
    readonly tree: CallTree;
    readonly zoom: number;
    readonly name: (node: number) => string;
    readonly paint: (node: number) => Paint;
    /* whether a node is what is searched for; null: nothing is */
    readonly matched: ((node: number) => boolean) | null;
    /* callers above what they call, as in the upper half of the sandwich */
    readonly upwards: boolean;
}

export interface Pointing {
    readonly zoom: (node: number) => void;
    /* node or null; where the pointer is, null if it was a key */
    readonly point: (node: number | null, at: { x: number; y: number } | null) => void;
    readonly open: (node: number) => void;
}

const ROW = 19;
const FONT = "11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
const PADDING = 4;
const MIN_WIDTH = 1;
const MIN_TEXT = 24;
const STRIPE = 8;
/* Milliseconds that are drawn for at once. */
const SLICE = 8;
/* What is surely as wide as characterWidth says. */
const PLAIN = /^[ -~…−+]*$/;

export class FlameCanvas {
    readonly element = document.createElement("canvas");
    private readonly context: CanvasRenderingContext2D;
    private picture: Picture | null = null;
    private layout: Layout = { boxes: [], rows: 0, byRow: [] };
    private width = 0;
    private characterWidth = 7;
    private textColour = "";
    private readonly stripes = new Map<string, CanvasPattern>();
    private hovered: number | null = null;
    /* what the keys are at */
    private cursor = ROOT;
    /* rows above it are drawn; of requestAnimationFrame(), while some are not */
    private nextRow = 0;
    private frame = 0;

    constructor(label: string, private readonly pointing: Pointing) {
        const { element } = this;
        element.tabIndex = 0;
        element.className = "flame";
        element.setAttribute("role", "application");
        element.setAttribute("aria-roledescription", "flame graph");
        element.setAttribute("aria-label", label);
        this.context = element.getContext("2d")!;
        element.addEventListener("pointermove", event => this.hover(event));
        element.addEventListener("pointerleave", () => this.leave());
        element.addEventListener("click", event => this.click(event));
        element.addEventListener("keydown", event => this.key(event));
        element.addEventListener("focus", () => this.drawRowOf(this.cursor));
        element.addEventListener("blur", () => this.drawRowOf(this.cursor));
        new ResizeObserver(() => this.resize()).observe(element);
    }

    show(picture: Picture): void {
        const other = this.picture?.tree !== picture.tree;
        if (other || this.picture?.zoom !== picture.zoom) {
            this.cursor = picture.zoom;
            this.hovered = null;
        }
        this.picture = picture;
        this.arrange();
    }

    private resize(): void {
        if (this.element.clientWidth !== this.width) {
            this.arrange();
        }
    }

    private arrange(): void {
        const { picture, element } = this;
        const width = element.clientWidth;
        if (picture === null || width === 0) {
            return;
        }
        this.width = width;
        this.layout = layOut(picture.tree, picture.zoom, width, MIN_WIDTH);
        const ratio = window.devicePixelRatio || 1;
        const height = Math.max(1, this.layout.rows) * ROW;
        const size = [Math.round(width * ratio), Math.round(height * ratio)] as const;
        /* to set them is to clear the canvas and all that was set of it */
        if (element.width !== size[0] || element.height !== size[1]) {
            [element.width, element.height] = size;
            element.style.height = `${height}px`;
            this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
            this.context.font = FONT;
            this.characterWidth = this.context.measureText("0").width;
        }
        this.draw();
    }

    /* All of it, anew. */
    private draw(): void {
        cancelAnimationFrame(this.frame);
        this.textColour = getComputedStyle(this.element).color;
        this.context.textBaseline = "middle";
        this.context.clearRect(0, 0, this.width, this.layout.rows * ROW);
        this.nextRow = 0;
        this.drawOn();
    }

    /* Rows from the root on, until it is time for something else. */
    private drawOn(): void {
        const end = performance.now() + SLICE;
        do {
            this.drawRow(this.nextRow++);
        } while (this.nextRow < this.layout.rows && performance.now() < end);
        const busy = this.nextRow < this.layout.rows;
        this.element.setAttribute("aria-busy", String(busy));
        if (busy) {
            this.frame = requestAnimationFrame(() => this.drawOn());
        }
    }

    private drawRow(row: number): void {
        const { picture, context } = this;
        if (picture === null) {
            return;
        }
        const focused = document.activeElement === this.element;
        const marked = this.hovered ?? (focused ? this.cursor : null);
        context.clearRect(0, this.top(row), this.width, ROW);
        for (const box of this.layout.byRow[row] ?? []) {
            this.drawBox(box, picture);
        }
        if (marked !== null && picture.tree.depth[marked] === row) {
            this.outline(marked);
        }
    }

    /* The row of a node again, which is pointed at or is so no more. */
    private drawRowOf(node: number | null): void {
        const row = node === null ? undefined : this.picture?.tree.depth[node];
        if (row !== undefined && row < this.nextRow) {
            this.drawRow(row);
        }
    }

    private drawBox(box: Box, picture: Picture): void {
        const { context } = this;
        const paint = picture.paint(box.node);
        const y = this.top(box.row);
        const width = Math.max(box.width - 0.5, 0.5);
        const dimmed = picture.matched !== null && !picture.matched(box.node);
        context.globalAlpha = dimmed ? 0.28 : box.above ? 0.6 : 1;
        context.fillStyle = paint.fill;
        context.fillRect(box.x, y, width, ROW - 1);
        if (paint.hatched && width > 3) {
            this.hatch(box.x, y, width, paint.text);
        }
        context.globalAlpha = dimmed || box.above ? 0.75 : 1;
        if (box.width >= MIN_TEXT) {
            this.drawText(picture.name(box.node), box, y,
                          dimmed ? this.textColour : paint.text);
        }
        context.globalAlpha = 1;
    }

    private drawText(name: string, box: Box, y: number, colour: string): void {
        const room = Math.floor((box.width - 2 * PADDING) / this.characterWidth);
        const text = name.length <= room ? name
            : room < 3 ? "" : `${name.slice(0, room - 1)}…`;
        this.context.fillStyle = colour;
        /* with a bound of its width a text is measured each time */
        if (PLAIN.test(text)) {
            this.context.fillText(text, box.x + PADDING, y + ROW / 2);
        } else {
            this.context.fillText(text, box.x + PADDING, y + ROW / 2, box.width - 2 * PADDING);
        }
    }

    /* Stripes are a pattern: to clip each box would take most of the time. */
    private hatch(x: number, y: number, width: number, colour: string): void {
        let stripes = this.stripes.get(colour);
        if (stripes === undefined) {
            stripes = stripesOf(colour, this.context);
            this.stripes.set(colour, stripes);
        }
        this.context.fillStyle = stripes;
        this.context.fillRect(x, y, width, ROW - 1);
    }

    private outline(node: number): void {
        const box = this.boxOf(node);
        if (box !== undefined && this.picture !== null) {
            this.context.strokeStyle = this.textColour;
            this.context.lineWidth = 2;
            this.context.strokeRect(box.x + 1, this.top(box.row) + 1,
                                    Math.max(box.width - 2.5, 1), ROW - 3);
        }
    }

    private top(row: number): number {
        return (this.picture?.upwards ? this.layout.rows - 1 - row : row) * ROW;
    }

    private boxOf(node: number): Box | undefined {
        const row = this.picture?.tree.depth[node];
        return row === undefined ? undefined
            : this.layout.byRow[row]?.find(box => box.node === node);
    }

    private at(event: MouseEvent): Box | undefined {
        const line = Math.floor(event.offsetY / ROW);
        const row = this.picture?.upwards ? this.layout.rows - 1 - line : line;
        return boxAt(this.layout, row, event.offsetX);
    }

    private hover(event: PointerEvent): void {
        const node = this.at(event)?.node ?? null;
        if (node !== this.hovered) {
            this.element.style.cursor = node === null ? "default" : "pointer";
            this.mark(node, this.cursor);
        }
        this.pointing.point(node, { x: event.clientX, y: event.clientY });
    }

    /* What the mouse is over, and what the keys are at, from now on. */
    private mark(hovered: number | null, cursor: number): void {
        const before = this.hovered ?? this.cursor;
        this.hovered = hovered;
        this.cursor = cursor;
        this.drawRowOf(before);
        this.drawRowOf(hovered ?? cursor);
    }

    private leave(): void {
        this.mark(null, this.cursor);
        this.pointing.point(null, null);
    }

    private click(event: MouseEvent): void {
        const box = this.at(event);
        if (box === undefined) {
            return;
        }
        if (event.altKey) {
            this.pointing.open(box.node);
        } else {
            this.pointing.zoom(box.node);
        }
    }

    private key(event: KeyboardEvent): void {
        const { picture } = this;
        if (picture === null || event.ctrlKey || event.metaKey || event.altKey) {
            return;
        }
        const [up, down] = picture.upwards ? ["ArrowDown", "ArrowUp"]
            : ["ArrowUp", "ArrowDown"];
        switch (event.key) {
            case up: this.move(picture.tree.parent[this.cursor]!); break;
            case down: this.moveToChild(); break;
            case "ArrowLeft": this.moveAside(-1); break;
            case "ArrowRight": this.moveAside(1); break;
            case "Home": this.move(ROOT); break;
            case "Enter": this.pointing.zoom(this.cursor); break;
            case "Backspace":
                this.pointing.zoom(Math.max(picture.tree.parent[picture.zoom]!, ROOT));
                break;
            case "s": this.pointing.open(this.cursor); break;
            default: return;
        }
        event.preventDefault();
        event.stopPropagation();
    }

    private move(node: number): void {
        if (this.boxOf(node) === undefined) {
            return;
        }
        this.mark(null, node);
        this.pointing.point(node, null);
    }

    private moveToChild(): void {
        const box = this.boxOf(this.cursor);
        const below = this.layout.byRow[(box?.row ?? 0) + 1] ?? [];
        const child = below.find(({ node }) =>
            this.picture!.tree.parent[node] === this.cursor);
        if (child !== undefined) {
            this.move(child.node);
        }
    }

    private moveAside(step: 1 | -1): void {
        const box = this.boxOf(this.cursor);
        const row = this.layout.byRow[box?.row ?? 0] ?? [];
        const index = row.findIndex(({ node }) => node === this.cursor);
        const next = row[index + step];
        if (next !== undefined) {
            this.move(next.node);
        }
    }
}

/* Diagonal stripes, a quarter as strong as the colour. */
function stripesOf(colour: string, context: CanvasRenderingContext2D): CanvasPattern {
    const tile = document.createElement("canvas");
    tile.width = STRIPE;
    tile.height = STRIPE;
    const drawing = tile.getContext("2d")!;
    drawing.globalAlpha = 0.25;
    drawing.strokeStyle = colour;
    drawing.lineWidth = 1.5;
    for (const at of [-STRIPE, 0, STRIPE]) {
        drawing.moveTo(at - 1, STRIPE + 1);
        drawing.lineTo(at + STRIPE + 1, -1);
    }
    drawing.stroke();
    return context.createPattern(tile, "repeat")!;
}
