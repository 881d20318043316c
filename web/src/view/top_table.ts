/*
 * The table of functions: self and total, of one profile or of A and B.
 */

import { html, nothing, type TemplateResult } from "lit-html";
import type { Comparison, Difference } from "../model/comparison";
import { amount } from "../model/headline_text";
import { shareOf, unitOf } from "../model/sample_selection";
import { formatDelta, formatShare, formatShareDelta, formatValue } from "../model/value_format";
import type { Context } from "./page_context";

interface Column {
    readonly id: string;
    readonly title: string;
    readonly hint: string;
    readonly key: (row: Row) => number | string;
    readonly cell: (row: Row) => unknown;
    readonly text?: boolean;
}

interface Row {
    readonly frame: number;
    readonly name: string;
    readonly library: string;
    readonly self: Difference;
    readonly total: Difference;
}

const PAGE = 200;

let shown = PAGE;

export function topTable(context: Context): TemplateResult {
    const columns = context.comparison === null
        ? singleColumns(context) : comparedColumns(context, context.comparison);
    const { state, actions, search } = context;
    const sorted = columns.find(column => column.id === state.sort.column)
        ?? columns.find(column => column.id === "delta") ?? columns[1]!;
    const all = rowsOf(context).filter(row => search.matched?.[row.frame] !== 0);
    all.sort(order(sorted, state.sort.descending));
    const rest = all.length - shown;
    return html`
        <div class="scroll" tabindex="0" role="region" aria-label="Table of functions">
            <table class="functions">
                <thead><tr>${columns.map(column => html`
                    <th scope="col" class=${column.text ? "text" : ""}
                        aria-sort=${column !== sorted ? "none"
                            : state.sort.descending ? "descending" : "ascending"}>
                        <button type="button" title=${column.hint}
                            @click=${() => actions.set({ sort: {
                                column: column.id,
                                descending: column === sorted
                                    ? !state.sort.descending : !column.text } })}
                            >${column.title}</button></th>`)}</tr></thead>
                <tbody>${all.slice(0, shown).map(row => html`
                    <tr>${columns.map(column => html`
                        <td class=${column.text ? "text" : ""}>${column.cell(row)}</td>`)}
                    </tr>`)}</tbody>
            </table>
            ${all.length === 0 ? html`<p class="empty">No function matches.</p>` : nothing}
            ${rest > 0 ? html`<button type="button" class="more" @click=${() => {
                shown += 10 * PAGE;
                actions.set({});
            }}>Show more, ${rest} are left</button>` : nothing}
        </div>`;
}

function rowsOf({ model, main, compared, comparison }: Context): Row[] {
    const row = (frame: number, self: Difference, total: Difference): Row => {
        const { name, library } = model.frame(frame);
        return { frame, name, library, self, total };
    };
    if (comparison !== null) {
        return compared.map(({ frame, self, total }) => row(frame, self, total));
    }
    const values = model.functions(main!);
    const one = (a: number): Difference => ({ a, b: 0, delta: 0, verdict: "same" });
    const rows: Row[] = [];
    values.total.forEach((total, frame) => {
        if (total !== 0) {
            rows.push(row(frame, one(values.self[frame]!), one(total)));
        }
    });
    return rows;
}

function order(column: Column, descending: boolean): (x: Row, y: Row) => number {
    const sign = descending ? -1 : 1;
    return (x, y) => {
        const [p, q] = [column.key(x), column.key(y)];
        const by = typeof p === "string" ? p.localeCompare(String(q)) : p - Number(q);
        return sign * by || x.name.localeCompare(y.name);
    };
}

function nameColumns(context: Pick<Context, "actions">): [Column, Column] {
    return [{
        id: "function", title: "Function", hint: "Name; opens the sandwich", text: true,
        key: row => row.name,
        cell: row => html`<button type="button" class="function" title=${row.name}
            @click=${() => context.actions.toSandwich(row.frame)}>${row.name}</button>`,
    }, {
        id: "library", title: "Library", hint: "Which file its code is in", text: true,
        key: row => row.library,
        cell: row => row.library,
    }];
}

function singleColumns(context: Context): Column[] {
    const main = context.main!;
    const unit = unitOf(main);
    const [name, library] = nameColumns(context);
    const column = (id: "self" | "total", title: string, hint: string): Column[] => [{
        id, title, hint,
        key: row => row[id].a,
        cell: row => formatValue(row[id].a, unit),
    }, {
        id: `${id}-share`, title: "%", hint: `${title}, of the whole`,
        key: row => row[id].a,
        cell: row => html`<span class="meter" .style=${`--part:${Math.max(0, shareOf(main, row[id].a))}`}
            >${formatShare(shareOf(main, row[id].a))}</span>`,
    }];
    return [name, ...column("self", "Self", "In the function itself"),
            ...column("total", "Total", "In the function and what it calls"), library];
}

function comparedColumns(context: Context, comparison: Comparison): Column[] {
    const [name, library] = nameColumns(context);
    return [name,
            ...differenceColumns(comparison, "self", "Self", "In the function itself"),
            ...differenceColumns(comparison, "total", "Total",
                                 "In the function and what it calls"),
            library];
}

function differenceColumns(comparison: Comparison, part: "self" | "total",
                           title: string, hint: string): Column[] {
    const value = (side: "a" | "b"): Column => ({
        id: `${part}-${side}`, title: `${title} ${side.toUpperCase()}`,
        hint: `${hint}, ${side.toUpperCase()}`,
        key: row => row[part][side],
        cell: row => (row[part][side] === 0 ? "–" : amount(comparison, row[part][side])),
    });
    return [value("a"), value("b"), {
        id: part === "self" ? "delta" : "total-delta", title: "Difference",
        hint: `${title}: B less A; sorted by size. Grey: within chance`,
        key: row => Math.abs(row[part].delta),
        cell: row => {
            const { delta, verdict } = row[part];
            return html`<span class="delta ${verdict}">${deltaText(comparison, delta)}</span>
                ${verdict === "new" || verdict === "gone"
                    ? html`<span class="tag ${verdict}">${verdict}</span>` : nothing}`;
        },
    }];
}

export function deltaText({ basis, a }: Comparison, delta: number): string {
    return basis === "share" ? formatShareDelta(delta) : formatDelta(delta, unitOf(a));
}
