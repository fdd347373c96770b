// SPDX-License-Identifier: MIT
// Writes what the commands in README.md and docs/guide.md print now into their console blocks: node scripts/fill-docs.mjs
// test/docs compares them on every run; read the diff before you commit it.
import { readFileSync, writeFileSync, mkdtempSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist', 'cli', 'main.js');
const dir = mkdtempSync(join(tmpdir(), 'fill '));
for (const doc of ['README.md', 'docs/guide.md'].map((name) => join(root, name))) {
  let md = readFileSync(doc, 'utf8');
  let status = 0;
  md = md.replace(/^```(\w+)\n([\s\S]*?)^```$/gm, (all, lang, body) => {
    const named = /^(?:\/\/|#) file: (\S+)\n/.exec(body);
    if ((lang === 'ts' || lang === 'text') && named) {
      writeFileSync(join(dir, named[1]), body.slice(named[0].length));
      return all;
    }
    if (lang !== 'console') return all;
    let out = '';
    for (const part of body.split(/^\$ /m).slice(1)) {
      const line = part.split('\n')[0];
      if (line === 'echo $?') {
        out += `$ ${line}\n${status}\n`;
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
