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
//   RATE      requests per second, a decimal number, default 50
//   DURATION  seconds (30) or a duration of k6 (5m), default 30s
//   VERSION   the version that every answer has to come from: 1.0.0 or 2.0.0;
//             without it any will do
//   COUNT     how many numbers every answer has to be about; without it any
//             positive number will do
//   SUMMARY   a file for the summary as JSON; without it JSON goes to stdout
//
// Exits with 99 if a request failed, an answer was wrong or an iteration was
// dropped. Nothing is downloaded at run time.

import http from 'k6/http';
import { check } from 'k6';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080/count';
const RATE = positiveNumber('RATE', 50);
const DURATION = duration(__ENV.DURATION || '30s');
const VERSION = __ENV.VERSION || '';
const COUNT = positiveNumber('COUNT', 0);
const SUMMARY = __ENV.SUMMARY || 'stdout';

// Iterations in flight that the server may pile up before k6 drops one. What a
// swap of versions delays is far less.
const MAX_IN_FLIGHT = Math.max(20, Math.ceil(RATE * 3));

export const options = {
  scenarios: {
    count: {
      executor: 'constant-arrival-rate',
      // k6 wants whole numbers: a decimal rate is one over a longer unit.
      rate: Math.round(RATE * 1000),
      timeUnit: '1000s',
      duration: DURATION,
      preAllocatedVUs: MAX_IN_FLIGHT,
      gracefulStop: '30s',
    },
  },
  noConnectionReuse: true,
  thresholds: {
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    dropped_iterations: ['count==0'],
  },
  summaryTrendStats: ['min', 'avg', 'med', 'p(95)', 'p(99)', 'max'],
};

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

// Any export named handleSummary replaces k6's own report.
export function handleSummary(data) {
  return { [SUMMARY]: `${JSON.stringify(data, null, 2)}\n` };
}
