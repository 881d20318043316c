/*
 * Numbers for people: three digits, the unit that fits, thousands separated by
 * commas, whatever the browser's locale, as the demo and the documents do.
 */

interface Step {
    readonly from: number;
    readonly unit: string;
}

const TIME: readonly Step[] = [
    { from: 3.6e12, unit: "h" }, { from: 6e10, unit: "min" },
    { from: 1e9, unit: "s" }, { from: 1e6, unit: "ms" },
    { from: 1e3, unit: "µs" }, { from: 1, unit: "ns" },
];

const BYTES: readonly Step[] = [
    { from: 2 ** 40, unit: "TiB" }, { from: 2 ** 30, unit: "GiB" },
    { from: 2 ** 20, unit: "MiB" }, { from: 2 ** 10, unit: "KiB" },
    { from: 1, unit: "B" },
];

/* A unit is anybody's text: "constructor" is none of an object's. */
const STEPS: ReadonlyMap<string, readonly Step[]> = new Map([
    ["nanoseconds", TIME], ["bytes", BYTES],
]);

export function formatValue(value: number, unit: string): string {
    const steps = STEPS.get(unit);
    if (steps === undefined) {
        return value === Math.round(value)
            ? formatCount(value) : threeDigits(value);
    }
    if (value === 0) {
        return `0 ${steps[steps.length - 1]!.unit}`;
    }
    const step = steps.find(s => Math.abs(value) >= s.from) ?? steps[steps.length - 1]!;
    return `${threeDigits(value / step.from)} ${step.unit}`;
}

/* With a sign, the minus a real one. */
export function formatDelta(value: number, unit: string): string {
    return signed(value, formatValue(Math.abs(value), unit));
}

export function formatShare(share: number): string {
    const percent = Math.abs(100 * share);
    return `${minus(share)}${percent >= 99.95 || percent === 0
        ? percent.toFixed(0) : percent.toFixed(percent < 0.1 ? 2 : 1)} %`;
}

export function formatShareDelta(delta: number): string {
    return signed(delta, `${Math.abs(100 * delta).toFixed(1)} pp`);
}

export function formatCount(value: number): string {
    return minus(value) + Math.round(Math.abs(value)).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

/* "30 s", "5 min", "1 h" */
export function formatSeconds(seconds: number): string {
    return formatValue(seconds * 1e9, "nanoseconds");
}

/* "04:12:33" of milliseconds since the epoch, of the browser's zone. */
export function formatClock(time: number): string {
    const date = new Date(time);
    return [date.getHours(), date.getMinutes(), date.getSeconds()]
        .map(part => part.toString().padStart(2, "0")).join(":");
}

/* "9.5", "12": how many times one is the other */
export function formatFactor(factor: number): string {
    return threeDigits(factor);
}

function signed(value: number, text: string): string {
    return value === 0 ? text : `${minus(value) || "+"}${text}`;
}

/* The minus of a number, not a hyphen. */
function minus(value: number): string {
    return value < 0 ? "−" : "";
}

function threeDigits(value: number): string {
    const size = Math.abs(value);
    if (size >= 1000) {
        return formatCount(value);
    }
    const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
    return minus(value) + size.toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}
