'use strict';
// Subcommands as people call them: what they list, and what they say when the database is not where they look.
const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { runProgram } = require('../harness/environment');

const NOWHERE = 'postgresql://cathay@/cathay?host=%2Fnowhere';

test('the overview lists every subcommand, -h and --version', async () => {
  const { code, stdout } = await runProgram(['--help'], {});
  assert.strictEqual(code, 0);
  const names = [...fs.readFileSync(path.resolve(__dirname, '../../src/app/main.c'), 'utf8').matchAll(/^ +\{"([a-z-]+)", \w+_command/gm)].map(([, name]) => name);
  assert.ok(names.length >= 12);
  for (const name of [...names, '-h, --help', '--version']) assert.match(stdout, new RegExp(`^  ${name} +\\S`, 'm'), name);
  assert.deepStrictEqual(await runProgram(['-h'], {}), { code: 0, stdout, stderr: '' });
  const version = await runProgram(['--version'], {});
  assert.match(version.stdout, /^cathay \d+\.\d+\.\d+(-dev)?\n$/);
});

test('a subcommand whose database is away answers with one line, not with a log', async () => {
  for (const line of [['verify'], ['tasks', 'list'], ['migrate'], ['migrate', '--status'], ['sql-check'], ['user', 'list']]) {
    const { code, stdout, stderr } = await runProgram(line, { database_url: NOWHERE });
    assert.notStrictEqual(code, 0, line.join(' '));
    assert.doesNotMatch(stdout + stderr, /^\{/m, line.join(' '));
    assert.match(stderr, /"\/nowhere\/\.s\.PGSQL\.5432" failed/, 'libpq\'s words, with their quotes');
  }
});

test('without DATABASE_URL a subcommand says what to do', async () => {
  if (await new Promise((resolve) => { fs.access('/var/run/postgresql/.s.PGSQL.5432', (error) => resolve(!error)); })) return; // somebody else's server answers there
  const { code, stderr } = await runProgram(['verify'], {});
  assert.notStrictEqual(code, 0);
  assert.match(stderr, /DATABASE_URL is not set, so \S+ was asked\. Beside \.\/run, read its settings first: \. var\/environment\n$/);
});
