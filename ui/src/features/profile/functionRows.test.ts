// How names are cut in the table of functions.
import { describe, expect, it } from 'vitest';
import { nameParts } from './functionRows';

describe('names in the table', () => {
  it.each([
    ['vesta_shop::search::matches_at', ['vesta_shop::search::', 'matches_at', '']],
    ['llvm::Pass::run(llvm::runner&)', ['llvm::Pass::', 'run', '(llvm::runner&)']],
    ['malloc', ['', 'malloc', '']],
    ['a::b<c>', ['a::', 'b', '<c>']],
  ])('is shown in three parts that make the whole: %s', (name, parts) => {
    expect(nameParts(name)).toEqual(parts);
    expect(nameParts(name).join('')).toBe(name);
  });
});
