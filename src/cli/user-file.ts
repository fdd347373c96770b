// SPDX-License-Identifier: MIT
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as Esbuild from 'esbuild';
import type { Message, Plugin } from 'esbuild';
import { type Scenario, UsageError } from '../core/scenario.js';
import { instrument, TransformError } from '../transform/index.js';
import { nearest } from './near.js';
import { originOf, lineOf } from './source-lines.js';

/** A user's scenario file, made ready to run: plain data, so that it can go to worker threads. */
export interface UserFile {
  /** As the user named it. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** One JavaScript module: the file and what it imports by relative path, instrumented. */
  readonly code: string;
  /** Source map of `code`, JSON; its sources are relative to the working directory. */
  readonly map: string;
}

const ENTRIES: Readonly<Record<string, string>> = {
  shootdown: '../litmus/index.js',
  'shootdown/linux': '../linux/index.js',
  'shootdown/live': '../core/live.js',
};
const SOURCE = /\.[cm]?[jt]s$/;
/** What V8 calls the bundle in stack traces. */
const STACK_NAME = 'shootdown-user-file';

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
  if (!SOURCE.test(path)) throw new UsageError(`${name}: expected a .ts, .mts, .js or .mjs file`);
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
  return `${shown(resolve(location.file))}:${location.line}:${location.column + 1}: ${text}`;
}

/** Relative to the working directory where that is no longer. */
function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
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
                text: `${shown(importer)}: there is no ${path}; import from ${Object.keys(ENTRIES).slice(0, 2).join(' or ')}`,
              },
            ],
          };
        }
        return { path: new URL(entry, import.meta.url).href, external: true };
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
      build.onLoad({ filter: SOURCE, namespace: 'file' }, async ({ path }) => {
        if (isLibrary(path)) return undefined;
        const source = readFileSync(path, 'utf8');
        const file = shown(path);
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

const loaded = new Map<string, Promise<readonly Scenario[]>>();
const places = new Map<number, UserFile>();

/** Runs the file, once in each thread, and returns the scenarios that it exports. Throws a UsageError otherwise. */
export function loadUserFile(user: UserFile): Promise<readonly Scenario[]> {
  let scenarios = loaded.get(user.path);
  if (scenarios === undefined) loaded.set(user.path, (scenarios = load(user)));
  return scenarios;
}

async function load(user: UserFile): Promise<readonly Scenario[]> {
  const number = places.size;
  places.set(number, user);
  const code = `${user.code.replace(/\n\/\/# sourceMappingURL=.*\n?$/, '')}\n//# sourceURL=${STACK_NAME}-${number}\n`;
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`)) as {
      default?: unknown;
    };
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${user.name}: ${error.message}`, { cause: error });
    const text = (await missingExport(error)) ?? errorText(error);
    throw new UsageError(userError(error) ?? `${user.name}: ${text}`, { cause: error });
  }
  if (exported.default === undefined)
    throw new UsageError(
      `${user.name}: exports no scenario; it must say: export default scenario({ id: …, … })`,
    );
  const scenarios: unknown[] = Array.isArray(exported.default) ? exported.default : [exported.default];
  if (scenarios.length === 0) throw new UsageError(`${user.name}: its default export is an empty array`);
  scenarios.forEach((scenario, i) => {
    if (isScenario(scenario)) return;
    const which = Array.isArray(exported.default)
      ? `element ${i} of the default export`
      : 'the default export';
    throw new UsageError(`${user.name}: ${which} is not a scenario: make it with scenario({ … })`);
  });
  return scenarios as Scenario[];
}

/** Node names the file of the package, which the user has never seen: names the entry instead. */
async function missingExport(error: unknown): Promise<string | undefined> {
  const found = /module '(.*)' does not provide an export named '(.*)'/.exec(errorText(error));
  if (found === null) return undefined;
  const [, url = '', name = ''] = found;
  const entry = Object.entries(ENTRIES).find(([, path]) => new URL(path, import.meta.url).href === url)?.[0];
  if (entry === undefined) return undefined;
  const near = nearest(name, Object.keys((await import(url)) as object));
  return `${entry} has no export ${name}${near.length > 0 ? `; near it: ${near.join(', ')}` : ''}`;
}

function isScenario(value: unknown): value is Scenario {
  if (typeof value !== 'object' || value === null) return false;
  const { id, variants, build } = value as Partial<Scenario>;
  return typeof id === 'string' && Array.isArray(variants) && typeof build === 'function';
}

/**
 * One line about an error that was thrown in, or called from, a user's file: `file:line: what`. Undefined if no user's
 * code is on the stack: then the error is ours.
 */
export function userError(error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frame = new RegExp(`${STACK_NAME}-(\\d+):(\\d+):(\\d+)`).exec(stack);
  const user = frame === null ? undefined : places.get(Number(frame[1]));
  if (frame === null || user === undefined) return undefined;
  const origin = originOf(user.map)(Number(frame[2]), Number(frame[3]) - 1);
  const file = origin === undefined ? user.name : shown(sourcePath(origin.file));
  return `${file}${origin === undefined ? '' : `:${origin.line}`}: ${errorText(error)}`;
}

function sourcePath(source: string): string {
  return source.startsWith('file:') ? fileURLToPath(source) : resolve(source);
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const message = error.message.split('\n', 1)[0]!;
  return error.name === 'Error' ? message : `${error.name}: ${message}`;
}

/** Does an argument name a file, rather than a scenario's id? */
export function looksLikeFile(argument: string): boolean {
  return /[\\/]/.test(argument) || SOURCE.test(basename(argument).split('#')[0]!);
}
