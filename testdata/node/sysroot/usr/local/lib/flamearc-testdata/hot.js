// Five functions of JavaScript that V8 compiles, the first three times as busy as each of the others; called
// through a table, so that none is inlined into the loop. Run with --perf-basic-prof, Node writes their
// names to /tmp/perf-PID.map.
'use strict';

const sieve = new Uint8Array(20000);

function countPrimes() {
    for (let n = 0; n < sieve.length; n++) sieve[n] = 0;
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

const tasks = [[countPrimes, 9], [hashText, 3], [sumSquares, 3], [collatz, 3], [countBits, 3]];

// CPU time and not the clock's, which goes on while other programs run.
function usedMicroseconds() {
    const { user, system } = process.cpuUsage();
    return user + system;
}

function run(task, microseconds) {
    const end = usedMicroseconds() + microseconds;
    let result = 0;
    while (usedMicroseconds() < end) result += task();
    return result;
}

const end = Date.now() + 1000 * Number(process.argv[2] || 3);
let result = 0;
while (Date.now() < end) {
    for (const [task, milliseconds] of tasks) result += run(task, milliseconds * 1000);
}
console.log(result);
