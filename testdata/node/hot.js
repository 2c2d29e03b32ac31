// Two functions of JavaScript that V8 compiles, one three times as busy as the other. Run with
// --perf-basic-prof, Node writes their names to /tmp/perf-PID.map.
'use strict';

function countPrimes(limit) {
    const sieve = new Uint8Array(limit);
    let count = 0;
    for (let n = 2; n < limit; n++) {
        if (sieve[n]) continue;
        count++;
        for (let multiple = n * n; multiple < limit; multiple += n) sieve[multiple] = 1;
    }
    return count;
}

function hashText(text) {
    let hash = 5381;
    for (let i = 0; i < text.length; i++) hash = (hash * 33 + text.charCodeAt(i)) | 0;
    return hash;
}

const end = Date.now() + 1000 * Number(process.argv[2] || 3);
const text = 'flame'.repeat(2000);
let result = 0;
while (Date.now() < end) {
    const start = process.hrtime.bigint();
    while (process.hrtime.bigint() - start < 6000000n) result += countPrimes(20000);
    const middle = process.hrtime.bigint();
    while (process.hrtime.bigint() - middle < 2000000n) result += hashText(text);
}
console.log(result);
