// SPDX-License-Identifier: MIT

const ERRNO: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  4: 'EINTR',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  14: 'EFAULT',
  16: 'EBUSY',
  17: 'EEXIST',
  22: 'EINVAL',
  95: 'EOPNOTSUPP',
};

/** What a call returned, as a diagram writes it: `f1` (also if it is the only one in a list), `[f1 f2]`, `-EBUSY`; undefined where that says nothing. */
export function kernelValue(value: unknown, callee = ''): string | undefined {
  switch (typeof value) {
    case 'boolean':
      return String(value);
    case 'number':
      if (value < 0 && ERRNO[-value] !== undefined) return `-${ERRNO[-value]!}`;
      // Most numbers are entries or other packed words, which say nothing as numbers.
      return /seq|begin|count|nr_/.test(callee) ? String(value) : undefined;
    case 'object': {
      if (value === null) return 'NULL';
      if (Array.isArray(value)) {
        const items = value.map((item) => kernelValue(item, callee));
        if (items.includes(undefined)) return undefined;
        return items.length === 0 ? 'none' : items.length === 1 ? items[0] : `[${items.join(' ')}]`;
      }
      if ('pfn' in value && typeof value.pfn === 'number') return `f${value.pfn}`;
      if ('name' in value && typeof value.name === 'string') return value.name;
      return undefined;
    }
    default:
      return undefined;
  }
}
