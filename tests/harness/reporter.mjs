// Reporter of node's test runner: one line a test on standard output, the failures with their reason, and one line of
// JSON a test in the file $TEST_RESULTS, from which ./test counts. Suites are not counted, only tests.
import { appendFileSync } from 'node:fs';
import path from 'node:path';

const results = process.env.TEST_RESULTS;

function fileOf(data) {
  return data.file ? path.relative(process.cwd(), data.file) : '';
}

// Without process isolation of names, node 18 reports each file as a test of its own; so does any node for a file that
// could not be loaded. Only the latter tells something.
function isFile(data) {
  return data.nesting === 0 && (path.isAbsolute(data.name) || /^tests\/.*\.(js|mjs)$/.test(data.name));
}

function reason(error) {
  if (!error) return '';
  const cause = error.cause ?? error;
  return String(cause.stack ?? cause.message ?? cause);
}

export default async function* report(source) {
  const parents = [];
  let file = '';
  const childrenFailed = new Set();
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      parents[data.nesting] = data.name;
      continue;
    }
    if (type === 'test:diagnostic' || type === 'test:stderr' || type === 'test:stdout') {
      const text = data.message;
      if (text && type !== 'test:diagnostic') yield text.endsWith('\n') ? text : `${text}\n`;
      continue;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const failed = type === 'test:fail';
    const suite = data.details?.type === 'suite';
    if (failed && data.nesting > 0) childrenFailed.add(data.nesting - 1);
    const becauseOfChildren = failed && (data.details?.error?.failureType === 'subtestsFailed');
    if (isFile(data)) {
      if (failed && !becauseOfChildren) {
        const line = { file: path.isAbsolute(data.name) ? path.relative(process.cwd(), data.name) : data.name, name: 'the file itself', state: 'failed' };
        if (results) appendFileSync(results, `${JSON.stringify(line)}\n`);
        yield `not ok ${line.file}\n${reason(data.details?.error)}\n`;
      }
      continue;
    }
    file = fileOf(data) || file;
    if (suite && !(failed && !becauseOfChildren)) continue;
    const state = data.skip !== undefined && data.skip !== false ? 'skipped'
      : data.todo !== undefined && data.todo !== false && failed ? 'skipped' : failed ? 'failed' : 'passed';
    const name = [...parents.slice(0, data.nesting), data.name].filter(Boolean).join(' > ');
    if (results) appendFileSync(results, `${JSON.stringify({ file, name, state })}\n`);
    const took = data.details?.duration_ms === undefined ? '' : ` (${Math.round(data.details.duration_ms)} ms)`;
    yield `${state === 'failed' ? 'not ok' : 'ok'} ${file}: ${name}${state === 'skipped' ? ' # skipped' : ''}${took}\n`;
    if (failed) yield `${reason(data.details?.error)}\n`;
  }
}
