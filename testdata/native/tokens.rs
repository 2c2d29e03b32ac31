//! Rust whose hot work is inlined through iterators, closures and a trait: built with v0 names,
//! stripped, its debug file kept apart.

use std::time::{Duration, Instant};

trait Measure {
    fn measure(&self, word: &str) -> u64;
}

struct Vowels;

impl Measure for Vowels {
    #[inline(always)]
    fn measure(&self, word: &str) -> u64 {
        word.bytes().filter(|b| matches!(b, b'a' | b'e' | b'i' | b'o' | b'u')).count() as u64
    }
}

#[inline(never)]
fn score<M: Measure>(measure: &M, text: &str) -> u64 {
    words(text).map(|word| measure.measure(word) * word.len() as u64).sum()
}

#[inline(always)]
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

#[inline(never)]
fn fold_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| mix(hash, byte))
}

#[inline(always)]
fn mix(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let text = "a profile that names what was inlined is worth more than one that does not ".repeat(50);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut sum = 0u64;
    while Instant::now() < end {
        for _ in 0..100 {
            sum = sum.wrapping_add(score(&Vowels, &text)).wrapping_add(fold_hash(&text));
        }
    }
    println!("{sum}");
}
