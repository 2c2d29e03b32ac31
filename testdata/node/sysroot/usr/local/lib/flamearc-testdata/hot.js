// Five functions of JavaScript that V8 compiles, the first three times as busy as each of the others; called
// through a table, so that none is inlined into the loop. Run with --perf-basic-prof, Node writes their
// names to /tmp/perf-PID.map.
'use strict';

function countPrimes() {
    const sieve = new Uint8Array(20000);
    let count = 0;
    for (let n = 2; n < sieve.length; n++) {
        if (sieve[n]) continue;
        count++;
        for (let multiple = n * n; multiple < sieve.length; multiple += n) sieve[multiple] = 1;
    }
    return count;
}

const text = 'flame'.repeat(2000);

function hashText() {
    let hash = 5381;
    for (let i = 0; i < text.length; i++) hash = (hash * 33 + text.charCodeAt(i)) | 0;
    return hash;
}

function sumSquares() {
    let sum = 0;
    for (let i = 0; i < 10000; i++) sum = (sum + i * i) % 1000003;
    return sum;
}

function collatz() {
    let longest = 0;
    for (let start = 1; start < 200; start++) {
        let steps = 0;
        for (let n = start; n !== 1; steps++) n = n % 2 ? 3 * n + 1 : n / 2;
        longest = Math.max(longest, steps);
    }
    return longest;
}

function countBits() {
    let bits = 0;
    for (let i = 0; i < 5000; i++) for (let n = i; n; n &= n - 1) bits++;
    return bits;
}

const tasks = [[countPrimes, 9n], [hashText, 3n], [sumSquares, 3n], [collatz, 3n], [countBits, 3n]];

function run(task, nanoseconds) {
    const end = process.hrtime.bigint() + nanoseconds;
    let result = 0;
    while (process.hrtime.bigint() < end) result += task();
    return result;
}

const end = Date.now() + 1000 * Number(process.argv[2] || 3);
let result = 0;
while (Date.now() < end) {
    for (const [task, milliseconds] of tasks) result += run(task, milliseconds * 1000000n);
}
console.log(result);
