// Splits its CPU time 3:1:1 over heavy, light_a and light_b.
function heavy(n) { let s = 0; for (let i = 1; i < 3 * n; i++) s += 1 / (i * i + s); return s; }
function light_a(n) { let s = 0; for (let i = 1; i < n; i++) s += 1 / (i * i + s); return s; }
function light_b(n) { let s = 0; for (let i = 1; i < n; i++) s += 1 / (i * i + s); return s; }

const end = Date.now() + 300_000;
let sink = 0;
while (Date.now() < end) {
  sink += heavy(20000) + light_a(20000) + light_b(20000);
}
console.log(sink);
