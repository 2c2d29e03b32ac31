//! A look-up on its own: `analyze symbolize FILE` reads addresses and prints what stands there.
//!
//! For people, and so that answers can be compared with other tools' on the same addresses. Input is
//! read in batches, so that memory does not grow with it; the addresses of a batch are asked each
//! once, in order, by all threads.

mod answer;
mod input;

use std::io::{self, BufRead, BufWriter, IsTerminal, Write};

use profile::NoName;
use render::safe_text::clean;

use crate::cached_symbols::CachedSymbols;
use crate::cli::Symbolize;
use crate::locate::Locator;
use crate::run::Outcome;
use crate::symbol_cache::SymbolCache;
use crate::{Error, fetched, plan};

use answer::Style;
use input::{Batch, Line};

/// Answers are handed on in pieces of this size, and at the end of each batch.
const OUTPUT_BYTES: usize = 256 << 10;

/// Answers standard input on standard output.
///
/// # Errors
/// When the file cannot be used, input cannot be read or output not written.
pub fn symbolize(request: &Symbolize) -> Result<Outcome, Error> {
    let locator = Locator::new(plan::search(&request.symbols, &[])?);
    let asked = locator.fetch_companions(&request.file, || locator.companions(&request.file).ok());
    for (label, text) in fetched::lines(&[&locator.asks_servers().then_some(asked)]) {
        eprintln!("{label}: {}", clean(&text));
    }
    let located = locator.companions(&request.file)?;
    for refused in locator.refused_debug_files() {
        eprintln!("Note: {}", clean(&refused));
    }
    let cache = if request.symbols.no_cache { SymbolCache::none() } else { SymbolCache::of_user() };
    let symbols = CachedSymbols::of(&located, &cache);
    let style = Style { json: request.json, raw_names: request.raw_names };
    // Whoever types addresses wants each answer at once.
    let batch = Batch::new(if io::stdin().is_terminal() { 1 } else { input::MAX_LINES });
    let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
    match answer_all(&symbols, io::stdin().lock(), batch, &mut out, style)? {
        Written::All => {}
        Written::ReaderGone => drop(out.into_parts()), // unwritten: nobody reads it
    }
    Ok(Outcome::Complete)
}

/// Whether somebody still reads the answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Written {
    All,
    ReaderGone,
}

fn answer_all(
    symbols: &CachedSymbols<'_>,
    mut input: impl BufRead,
    mut batch: Batch,
    mut out: impl Write,
    style: Style,
) -> Result<Written, Error> {
    loop {
        let more = batch
            .read(&mut input)
            .map_err(|source| Error::Read { path: "standard input".into(), source })?;
        let mut answers = symbols.names(&batch.addresses()).into_iter();
        let written = batch.lines.iter().try_for_each(|line| match line {
            Line::Address(address) => {
                let names = answers.next().unwrap_or(Err(NoName::OutOfRange));
                style.answer(&mut out, address.0, &names)
            }
            Line::Other(text) => style.echo(&mut out, text),
        });
        match written.and_then(|()| out.flush()) {
            Ok(()) if more => {}
            Ok(()) => return Ok(Written::All),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(Written::ReaderGone),
            Err(source) => return Err(Error::Write { path: "standard output".into(), source }),
        }
    }
}
