// SPDX-License-Identifier: MIT
// Writes what the commands in README.md and the guides print now into their console blocks: node scripts/fill-docs.mjs [docs/guide.md …]
// test/docs compares them on every run; read the diff before you commit it.
import { cpSync, mkdirSync, readFileSync, writeFileSync, mkdtempSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist', 'cli', 'main.js');
const dir = mkdtempSync(join(tmpdir(), 'fill '));
const wanted = process.argv.slice(2);
const all = ['README.md', 'docs/guide.md', 'docs/driver-guide.md'];
for (const doc of (wanted.length > 0 ? wanted : all).map((name) => join(root, name))) {
  let md = readFileSync(doc, 'utf8');
  let status = 0;
  md = md.replace(/^```(\w+)\n([\s\S]*?)^```$/gm, (block, lang, body) => {
    const named = /^(?:\/\/|#) file: (\S+)\n/.exec(body);
    if ((lang === 'ts' || lang === 'text') && named) {
      mkdirSync(dirname(join(dir, named[1])), { recursive: true });
      writeFileSync(join(dir, named[1]), body.slice(named[0].length));
      return block;
    }
    if (lang !== 'console') return block;
    let out = '';
    for (const part of body.split(/^\$ /m).slice(1)) {
      const line = part.split('\n')[0];
      if (line === 'echo $?') {
        out += `$ ${line}\n${status}\n`;
        continue;
      }
      const copied = /^cp -r node_modules\/shootdown\/(\S+) (\S+)$/.exec(line);
      if (copied) {
        cpSync(join(root, copied[1]), join(dir, copied[2]), { recursive: true });
        out += `$ ${line}\n`;
        continue;
      }
      const run = spawnSync(process.execPath, [main, ...line.split(' ').slice(2)], {
        cwd: dir,
        encoding: 'utf8',
      });
      status = run.status;
      const text = (run.stdout === '' ? run.stderr : run.stdout).trimEnd();
      out += `$ ${line}\n${text}\n`;
    }
    return '```console\n' + out + '```';
  });
  writeFileSync(doc, md);
}
