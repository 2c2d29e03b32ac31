//! The two kinds of lines that `perf script` prints: of a sample, and of a frame.

use crate::import::text::fixed_point;

/// The first line of a sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Header<'a> {
    pub comm: &'a str,
    pub pid: Option<&'a str>,
    pub tid: &'a str,
    pub time_ns: Option<u64>,
    pub period: Option<u64>,
    pub event: &'a str,
}

/// Whether a line begins a sample.
#[must_use]
pub fn is_header(line: &str) -> bool {
    header(line).is_some()
}

/// "comm pid/tid [cpu] seconds.fraction: period event:"; all but comm, tid and event may be missing.
pub fn header(line: &str) -> Option<Header<'_>> {
    let line = line.trim_end();
    if line.starts_with(['#', '\t']) || !line.contains(':') {
        return None;
    }
    // A name may have blanks in it: the thread's number is the first word that is one and has a time, a
    // CPU or an event behind it.
    let words: Vec<(usize, &str)> = line
        .split_whitespace()
        .map(|word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
        .collect();
    let is_ids = |word: &str| {
        let (pid, tid) = word.split_once('/').unwrap_or((word, word));
        let number = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        };
        number(pid) && number(tid)
    };
    let after = |index: usize| words.get(index + 1).map_or("", |(_, word)| *word);
    let place = (1..words.len()).find(|index| {
        is_ids(words[*index].1) && (after(*index).starts_with('[') || after(*index).ends_with(':'))
    })?;
    let comm = line[..words[place].0].trim();
    let ids = words[place].1;
    let (pid, tid) = ids.split_once('/').map_or((None, ids), |(pid, tid)| (Some(pid), tid));
    let mut rest = words[place + 1..].iter().map(|(_, word)| *word).peekable();
    rest.next_if(|word| word.starts_with('['));
    let time_ns = rest.next_if(|word| is_time(word)).and_then(nanoseconds);
    let period = rest.peek().and_then(|word| word.parse().ok());
    if period.is_some() {
        rest.next();
    }
    let event = rest.next().unwrap_or("").trim_end_matches(':');
    Some(Header { comm, pid, tid, time_ns, period, event })
}

fn is_time(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    word.strip_suffix(':')
        .and_then(|time| time.split_once('.'))
        .is_some_and(|(seconds, fraction)| digits(seconds) && digits(fraction))
}

/// "5180.123456:" in nanoseconds.
fn nanoseconds(word: &str) -> Option<u64> {
    fixed_point(word.strip_suffix(':')?, 9)
}

/// What perf prints in place of a module.
pub const INLINED: &str = "inlined";

/// Symbol and module of a line "address symbol+0x12 (module)".
pub fn frame_line(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (rest, module) = match line.strip_suffix(')') {
        Some(open) => {
            let open = open.strip_suffix(" (deleted)").unwrap_or(open);
            let at = open.rfind('(').filter(|at| open[..*at].ends_with([' ', '\t']))?;
            (open[..at].trim_end(), &open[at + 1..])
        }
        None => (line, ""),
    };
    let is_hex = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_hexdigit());
    let symbol = match rest.split_once([' ', '\t']) {
        Some((address, symbol)) if is_hex(address) => symbol.trim_start(),
        // Without an address only a module says that this is a frame.
        _ if module.is_empty() => return None,
        _ => rest,
    };
    let symbol = match symbol.rsplit_once("+0x") {
        Some((name, offset)) if is_hex(offset) => name,
        _ => symbol,
    };
    Some((symbol, module))
}
