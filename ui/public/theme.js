// Runs before the first paint so that the page never flashes in the wrong theme.
(() => {
  let t = null;
  try {
    t = localStorage.getItem('vesta.theme');
  } catch {
    // Storage may be blocked: the system's preference is used then.
  }
  const dark = t === 'dark' || (t !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
