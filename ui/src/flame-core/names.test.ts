// Names of many languages: whose code it is, and what fits into a narrow box.
import { describe, expect, it } from 'vitest';
import { cut, fitting, frameName, labelForms, packageOf } from './names';
import { FLAG_UNSYMBOLISED, layout } from './tree';

describe('packageOf', () => {
  it.each([
    ['vesta_shop::search::matches_at', 'vesta_shop'],
    ['<alloc::vec::Vec<T,A> as core::ops::Drop>::drop', 'alloc'],
    ['<&mut serde_json::ser::Serializer<W,F> as serde::ser::Serializer>::serialize_str', 'serde_json'],
    ['<dyn core::any::Any>::is', 'core'],
    ['core::ops::function::FnOnce::call_once{{vtable.shim}}', 'core'],
    ['void llvm::detail::run<int, 3>(llvm::Function&)', 'llvm'],
    ['std::vector<int, std::allocator<int> >::push_back(int const&)', 'std'],
    ['(anonymous namespace)::helper(int)', ''],
    ['encoding/json.(*decodeState).object', 'encoding/json'],
    ['github.com/acme/shop.(*Till).Checkout.func1', 'github.com/acme/shop'],
    ['runtime.mallocgc', 'runtime'],
    ['com.acme.shop.Checkout.total', 'com.acme.shop'],
    ['finish_task_switch.isra.0', ''],
    ['_PyEval_EvalFrameDefault.cold', ''],
    ['run.constprop.0.cold.12', ''],
    ['main.func1.2', 'main'],
    ['malloc@@GLIBC_2.34', ''],
    ['0x1098eb', ''],
    ['[Python frames not read yet]', ''],
    ['JS:*fib /app/work.js:5:12', ''],
    ['', ''],
    ['::', ''],
    ['<<<<', ''],
  ])('%s', (name, want) => {
    expect(packageOf(name)).toBe(want);
  });
});

describe('labels', () => {
  it.each([
    ['vesta_shop::search::matches_at', ['search::matches_at', 'matches_at']],
    [
      '<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter',
      ['alloc::vec::Vec::from_iter', 'Vec::from_iter', 'from_iter'],
    ],
    [
      'tokio::runtime::task::core::Core<T,S>::poll::{{closure}}',
      ['tokio::runtime::task::core::Core::poll::{{closure}}', 'poll::{{closure}}'],
    ],
    ['std::thread::spawn::h0123456789abcdef', ['std::thread::spawn', 'thread::spawn', 'spawn']],
    [
      'encoding/json.(*decodeState).object',
      ['json.(*decodeState).object', '(*decodeState).object', 'object'],
    ],
    [
      'com.acme.shop.Checkout.total(int, java.lang.String)',
      ['com.acme.shop.Checkout.total', 'Checkout.total', 'total'],
    ],
    ['std::operator<(a, b)', ['std::operator<', 'operator<']],
    ['malloc', []],
    ['JS:*fib /app/work.js:5:12', []],
  ])('%s', (name, shorter) => {
    expect(labelForms(name)).toEqual([name, ...shorter]);
  });

  it('takes the longest form that fits, and cuts the shortest one', () => {
    const forms = labelForms('vesta_shop::search::matches_at');
    expect(fitting(forms, 40)).toBe('vesta_shop::search::matches_at');
    expect(fitting(forms, 20)).toBe('search::matches_at');
    expect(fitting(forms, 12)).toBe('matches_at');
    expect(fitting(forms, 7)).toBe('matche…');
    expect(cut('abc', 1)).toBe('a');
    expect(cut('abc', 0)).toBe('');
  });

  it('survives any text, however long or unbalanced', () => {
    const parts = ['<', '>', '(', ')', '::', '.', '/', ' as ', '->', 'a', '&', 'operator<', '{', '@', ' '];
    let seed = 1;
    for (let round = 0; round < 3000; round++) {
      let text = '';
      for (let k = 0; k < 12; k++) {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        text += parts[(seed >>> 16) % parts.length];
      }
      const forms = labelForms(text);
      expect(forms[0]).toBe(text);
      for (let i = 1; i < forms.length; i++) expect(forms[i].length).toBeLessThan(forms[i - 1].length);
      expect(typeof packageOf(text)).toBe('string');
    }
    const start = performance.now();
    for (const piece of ['.1', '1', '.cold', '<', '(', '::', ' as ', '/', '&']) {
      const text = `a.isra${piece.repeat(900)}`;
      labelForms(text);
      packageOf(text);
    }
    // Linear work takes microseconds; a pattern that tries every split would not end.
    expect(performance.now() - start).toBeLessThan(1_000);
    const long = '<'.repeat(100_000);
    expect(labelForms(long)).toEqual([long]);
    expect(packageOf(long)).toBe('');
  });

  it('says in which library an address lies', () => {
    const t = layout({
      depth: [0, 1, 1],
      name: [0, 1, 2],
      library: [0, 1, 1],
      file: [0, 0, 0],
      line: [0, 0, 0],
      total: [2, 1, 1],
      self: [0, 1, 1],
      flags: [0, FLAG_UNSYMBOLISED, 0],
      names: ['total', '0x1098eb', 'malloc'],
      libraries: ['', '/usr/lib/libc.so.6'],
      files: [''],
    });
    expect(frameName(t, 1)).toBe('libc.so.6 0x1098eb');
    expect(frameName(t, 2)).toBe('malloc');
  });
});
