// Constant load on /count, for k6 1.0 or later.
//
// Arrival rate, not number of users, is what is held constant: a slow server
// gets as many requests a second as a fast one, so that two versions can be
// compared. Every request has a connection of its own, as nginx closes idle
// ones when it reloads and a request that is sent at that very moment would be
// lost to HTTP itself, not to the server.
//
// Environment:
//   TARGET    the URL, default http://127.0.0.1:8080/count
//   SCENARIO  constant, the default: RATE for all of DURATION; or ramp: from RATE
//             to MAX_RATE within DURATION, ends at the first threshold that is
//             crossed and says which rate that was, which is the capacity
//   RATE      requests per second, a decimal number, default 50
//   MAX_RATE  of a ramp, default 20 times RATE
//   DURATION  seconds (30) or a duration of k6 (5m), default 30s
//   P95       milliseconds that the 95th percentile has to stay below, default
//             1000
//   VERSION   the version that every answer has to come from: 1.0.0 or 2.0.0;
//             without it any will do. All metrics have it as tag `version`.
//   COUNT     how many numbers every answer has to be about; without it any
//             positive number will do
//   SUMMARY   a file for the summary as JSON, or stderr; without it there is the
//             text on stdout only
//
// Exits with 99 if a request failed, an answer was wrong, an iteration was
// dropped or the 95th percentile was too high. Nothing is downloaded at run
// time.

import http from 'k6/http';
import { check } from 'k6';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080/count';
const RATE = positiveNumber('RATE', 50);
const DURATION = duration(__ENV.DURATION || '30s');
const VERSION = __ENV.VERSION || '';
const COUNT = positiveNumber('COUNT', 0);
const SUMMARY = __ENV.SUMMARY || '';
const RAMP = scenario() === 'ramp';
const MAX_RATE = RAMP ? positiveNumber('MAX_RATE', RATE * 20) : RATE;
const P95 = positiveNumber('P95', 1000);

// Iterations in flight that the server may pile up before k6 drops one. What a
// swap of versions delays is far less.
const MAX_IN_FLIGHT = Math.max(20, Math.ceil(MAX_RATE * 3));

// k6 wants whole numbers: a decimal rate is one over a longer unit.
const UNIT_SECONDS = 1000;

function perUnit(rate) {
  return Math.round(rate * UNIT_SECONDS);
}

const CONSTANT = {
  executor: 'constant-arrival-rate',
  rate: perUnit(RATE),
  timeUnit: `${UNIT_SECONDS}s`,
  duration: DURATION,
  preAllocatedVUs: MAX_IN_FLIGHT,
  gracefulStop: '30s',
};

const RAMPING = {
  executor: 'ramping-arrival-rate',
  startRate: perUnit(RATE),
  timeUnit: `${UNIT_SECONDS}s`,
  stages: [{ target: perUnit(MAX_RATE), duration: DURATION }],
  preAllocatedVUs: Math.min(MAX_IN_FLIGHT, 1000),
  gracefulStop: '0s',
};

function threshold(expression) {
  return [{ threshold: expression, abortOnFail: RAMP }];
}

export const options = {
  scenarios: { count: RAMP ? RAMPING : CONSTANT },
  tags: VERSION === '' ? {} : { version: VERSION },
  noConnectionReuse: true,
  thresholds: {
    http_req_failed: threshold('rate==0'),
    checks: threshold('rate==1'),
    dropped_iterations: threshold('count==0'),
    http_req_duration: threshold(`p(95)<${P95}`),
  },
  summaryTrendStats: ['min', 'avg', 'med', 'p(95)', 'p(99)', 'max'],
};

function scenario() {
  const name = __ENV.SCENARIO || 'constant';
  if (name !== 'constant' && name !== 'ramp') {
    throw new Error(`SCENARIO must be constant or ramp: ${name}`);
  }
  return name;
}

function positiveNumber(name, fallback) {
  if (!__ENV[name]) {
    return fallback;
  }
  const value = Number(__ENV[name]);
  if (!(value > 0)) {
    throw new Error(`${name} must be a positive number: ${__ENV[name]}`);
  }
  return value;
}

function duration(text) {
  return /^[0-9.]+$/.test(text) ? `${text}s` : text;
}

// The answer as an object; null if it is no JSON object.
function parse(response) {
  try {
    const answer = response.json();
    return answer !== null && typeof answer === 'object' ? answer : null;
  } catch (_) {
    return null;
  }
}

const CHECKS = {
  'status is 200': ({ response }) => response.status === 200,
  'answer is JSON': ({ answer }) => answer !== null,
  'version is the expected one': ({ answer }) =>
    answer !== null && (VERSION === '' || answer.version === VERSION),
  'count is right': ({ answer }) =>
    answer !== null && (COUNT === 0 ? answer.count > 0 : answer.count === COUNT),
  'distinct fits count': ({ answer }) =>
    answer !== null && answer.distinct >= 1 && answer.distinct <= answer.count,
  'min, median, max are in order': ({ answer }) =>
    answer !== null && answer.min <= answer.median && answer.median <= answer.max,
};

export default function () {
  const response = http.get(TARGET);
  check({ response, answer: parse(response) }, CHECKS);
}

// A value of a metric, 0 where there was nothing to measure.
function value(data, metric, name) {
  const found = data.metrics[metric];
  return found === undefined ? 0 : found.values[name];
}

function crossed(data) {
  return Object.keys(data.metrics).filter((name) =>
    Object.values(data.metrics[name].thresholds || {}).some(({ ok }) => !ok));
}

// The rate that a ramp had reached when it ended.
function reachedRate(seconds) {
  const planned = durationSeconds(DURATION);
  return RATE + (MAX_RATE - RATE) * Math.min(1, seconds / planned);
}

// "1h30m", "5m", "2.5s", "300ms"
function durationSeconds(text) {
  const units = { h: 3600, m: 60, s: 1, ms: 0.001 };
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/([0-9.]+)(ms|h|m|s)/g)) {
    sum += Number(number) * units[unit];
  }
  return sum;
}

function asText(data) {
  const seconds = data.state.testRunDurationMs / 1000;
  const requests = value(data, 'http_reqs', 'count');
  const ms = (name) => value(data, 'http_req_duration', name).toFixed(2);
  const failed = crossed(data);
  const lines = [
    `target      ${TARGET}${VERSION === '' ? '' : `, version ${VERSION}`}`,
    `requests    ${requests} in ${seconds.toFixed(1)} s, ` +
      `${(requests / seconds).toFixed(1)}/s`,
    `failed      ${value(data, 'http_req_failed', 'passes')} requests, ` +
      `${value(data, 'checks', 'fails')} checks, ` +
      `${value(data, 'dropped_iterations', 'count')} dropped`,
    `latency, ms p50 ${ms('med')}, p95 ${ms('p(95)')}, p99 ${ms('p(99)')}, ` +
      `max ${ms('max')}`,
  ];
  if (RAMP) {
    lines.push(`capacity    ${failed.length > 0 ? '' : 'more than '}` +
      `${reachedRate(seconds).toFixed(0)} requests/s`);
  }
  lines.push(failed.length > 0
    ? `thresholds  crossed: ${failed.join(', ')}` : 'thresholds  all kept');
  return `${lines.join('\n')}\n`;
}

// Any export named handleSummary replaces k6's own report.
export function handleSummary(data) {
  const summary = { stdout: asText(data) };
  if (SUMMARY !== '') {
    summary[SUMMARY] = `${JSON.stringify(data)}\n`;
  }
  return summary;
}
