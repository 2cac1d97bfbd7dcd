'use strict';
// docs/tour.md, line by line: its ```sh blocks run in one shell, as a reader would type them, against a fresh demo shop. No
// command may fail, and a ```text block that follows says what is printed; there `…` stands for anything in a line.
const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const { Environment } = require('../harness');
const { project } = require('../harness/services');

const BLOCK_TIMEOUT_MS = 60000;
const file = path.resolve(__dirname, '../../docs/tour.md');

/** [{title, line, script, expected}] */
function blocksOf(text) {
  const blocks = [];
  let heading = '';
  let open = null;
  for (const [index, line] of text.split('\n').entries()) {
    if (open) {
      if (line.trimEnd() === '```') {
        if (open.kind === 'sh') blocks.push({ title: heading, line: open.line, script: open.lines.join('\n'), expected: null });
        else if (open.kind === 'text' && blocks.length > 0) blocks[blocks.length - 1].expected = open.lines;
        open = null;
      } else {
        open.lines.push(line);
      }
    } else if (line.startsWith('```')) {
      open = { kind: line.slice(3).trim(), line: index + 1, lines: [] };
    } else if (line.startsWith('#')) {
      heading = line.replace(/^#+\s*/, '');
    }
  }
  return blocks;
}

/** A shell that runs one block after the other, variables kept. */
class Shell {
  constructor(environment, cwd) {
    this.child = spawn('bash', ['--noprofile', '--norc'], { env: environment, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    this.text = '';
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (data) => { this.text += data; this.wake?.(); });
    this.child.on('exit', () => { this.ended = true; this.wake?.(); });
    this.child.stdin.write("set -o pipefail\ntrap 'tour_failed=$BASH_COMMAND' ERR\n");
    this.count = 0;
  }

  async run(script) {
    this.text = '';
    const mark = `tour-block-${this.count += 1}-ends`;
    this.child.stdin.write(`tour_failed=\n${script}\nprintf '\\n%s [%s]\\n' ${mark} "$tour_failed"\n`);
    const end = new RegExp(`\\n${mark} \\[([^]*)\\]\\n$`);
    const deadline = Date.now() + BLOCK_TIMEOUT_MS;
    while (!end.test(this.text)) {
      if (this.ended) throw new Error(`the shell ended; output:\n${this.text}`);
      if (Date.now() > deadline) throw new Error(`still running after ${BLOCK_TIMEOUT_MS} ms; output:\n${this.text}`);
      await new Promise((resolve) => { this.wake = resolve; setTimeout(resolve, 200); });
    }
    return { failed: end.exec(this.text)[1], output: this.text.replace(end, '') };
  }

  close() {
    this.child.stdin.end();
    this.child.kill();
  }
}

function fits(expected, line) {
  const pattern = expected.trimEnd().split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*');
  return new RegExp(`^${pattern}$`).test(line.trimEnd());
}

const blocks = blocksOf(fs.readFileSync(file, 'utf8'));
let environment;
let shell;
let home;

before(async () => {
  environment = await Environment.start({ demo: true, settings: { sandbox_parcel_step_ms: 500 } });
  // As ./run leaves a checkout: its settings are in a file, not in the reader's shell.
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'a tour '));
  for (const name of ['var', 'tmp']) fs.mkdirSync(path.join(home, name));
  fs.symlinkSync(path.join(project, path.dirname(process.env.TEST_PROGRAM ?? 'build/cathay')), path.join(home, 'build'));
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  fs.writeFileSync(path.join(home, 'var/environment'),
    Object.entries(environment.variables).map(([name, value]) => `export ${name}=${quoted(value)}\n`).join(''), { mode: 0o600 });
  const bare = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(CATHAY_|TEST_|DATABASE_URL|REDIS_URL)/.test(name)));
  shell = new Shell({ ...bare, TMPDIR: path.join(home, 'tmp'), SHOP: environment.url, PARTNERS: environment.sandboxUrl }, home);
});
after(async () => {
  shell?.close();
  if (home) fs.rmSync(home, { recursive: true });
  await environment?.stop();
});

test('the tour has something to run', () => {
  assert.ok(blocks.length > 5);
});

let broken = false;
for (const block of blocks) {
  test(`docs/tour.md:${block.line} ${block.title}`, async () => {
    assert.ok(!broken, 'an earlier step failed');
    broken = true; // until it went well
    const { failed, output } = await shell.run(block.script);
    assert.strictEqual(failed, '', `a command failed: ${failed}\n${output}`);
    if (block.expected) {
      const lines = output.trimEnd().split('\n');
      const good = lines.length === block.expected.length && lines.every((line, index) => fits(block.expected[index], line));
      assert.ok(good, `expected:\n${block.expected.join('\n')}\nprinted:\n${output}`);
    }
    broken = false;
  });
}

test('the tour leaves nothing behind, and writes to no place that a second reader would share', () => {
  assert.deepStrictEqual(fs.readdirSync(path.join(home, 'tmp')), []);
  assert.doesNotMatch(blocks.map(({ script }) => script).join('\n'), /\/tmp\b/);
});

test('after the tour every invariant holds', async () => {
  await environment.verify();
});
