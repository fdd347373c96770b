// SPDX-License-Identifier: MIT
import { readFileSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import type * as Esbuild from 'esbuild';
import type { Message, Plugin } from 'esbuild';
import { UsageError } from '../core/scenario.js';
import { instrument, TransformError } from '../transform/index.js';
import { ENTRIES, shownPath, SOURCE_FILE } from './paths.js';
import { lineOf } from './source-lines.js';
import type { UserFile } from './user-file.js';

/**
 * Transpiles, instruments and bundles a scenario file. `shootdown` resolves to the running package, from any directory.
 * Throws a UsageError that names file and line.
 */
export async function bundleUserFile(name: string): Promise<UserFile> {
  const path = resolve(name);
  let isFile: boolean;
  try {
    isFile = statSync(path).isFile();
  } catch {
    throw new UsageError(`${name}: no such file`);
  }
  if (!isFile) throw new UsageError(`${name}: not a file`);
  if (!SOURCE_FILE.test(path)) throw new UsageError(`${name}: expected a .ts, .mts, .js or .mjs file`);
  const esbuild = await import('esbuild');
  try {
    const { outputFiles } = await esbuild.build({
      entryPoints: [path],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      sourcemap: 'external',
      sourcesContent: false,
      outfile: resolve('shootdown-user-file.js'),
      tsconfigRaw: {},
      logLevel: 'silent',
      plugins: [resolvePackage(), instrumentSources(path, esbuild.transform)],
    });
    const text = (ending: string): string =>
      outputFiles.find((output) => output.path.endsWith(ending))?.text ?? '';
    return { name, path, code: text('.js'), map: text('.map') };
  } catch (error) {
    const [first] = (error as { errors?: Message[] }).errors ?? [];
    if (first === undefined) throw error;
    throw new UsageError(messageText(first), { cause: error });
  }
}

function messageText({ text, location, pluginName }: Message): string {
  if (pluginName !== '') return text;
  if (location === null) return text;
  return `${shownPath(resolve(location.file))}:${location.line}:${location.column + 1}: ${text}`;
}

function resolvePackage(): Plugin {
  return {
    name: 'shootdown-package',
    setup(build) {
      build.onResolve({ filter: /^shootdown(\/|$)/ }, ({ path, importer }) => {
        const entry = ENTRIES[path];
        if (entry === undefined) {
          return {
            errors: [
              {
                text: `${shownPath(importer)}: there is no ${path}; import from ${Object.keys(ENTRIES).slice(0, 2).join(' or ')}`,
              },
            ],
          };
        }
        return { path: entry, external: true };
      });
    },
  };
}

function instrumentSources(entry: string, transform: typeof Esbuild.transform): Plugin {
  const isLibrary = (path: string): boolean =>
    /(^|[\\/])node_modules[\\/]/.test(relative(dirname(entry), path));
  return {
    name: 'shootdown-instrument',
    setup(build) {
      build.onLoad({ filter: SOURCE_FILE, namespace: 'file' }, async ({ path }) => {
        if (isLibrary(path)) return undefined;
        const source = readFileSync(path, 'utf8');
        const file = shownPath(path);
        let emitted;
        try {
          emitted = await transform(source, {
            loader: /\.[cm]?ts$/.test(path) ? 'ts' : 'js',
            target: 'node20',
            format: 'esm',
            sourcemap: 'external',
            sourcesContent: false,
            sourcefile: path,
            tsconfigRaw: {},
          });
        } catch (error) {
          const { errors = [] } = error as { errors?: Message[] };
          if (errors.length === 0) throw error;
          return {
            errors: errors.map(({ text, location }) => ({
              text: `${file}:${location?.line ?? 1}:${(location?.column ?? 0) + 1}: ${text}`,
            })),
          };
        }
        try {
          const { code } = instrument(emitted.code, {
            file,
            live: 'shootdown/live',
            lineOf: lineOf(emitted.map),
          });
          // Instrumenting keeps lines, so the map still finds them.
          const map = Buffer.from(emitted.map).toString('base64');
          return {
            contents: `${code}\n//# sourceMappingURL=data:application/json;base64,${map}`,
            loader: 'js',
          };
        } catch (error) {
          if (error instanceof TransformError) return { errors: [{ text: error.message }] };
          throw error;
        }
      });
    },
  };
}
