//! What every input that came with names must hold.

use std::path::Path;

use analyze::{Locator, NamedInput, Opened, Question, Search, SymbolCache, analyze};

/// Imports, and joins at the call tree, once for each measure.
pub fn read(bytes: Vec<u8>) {
    let Ok(Opened::Named(named)) = Opened::from_bytes(Path::new("input"), bytes) else { return };
    let input = [NamedInput::from(*named)];
    for measure in &input[0].named.measures {
        let question = Question { event: Some(measure.name.clone()), ..Question::default() };
        let (locator, cache) = (Locator::new(Search::default()), SymbolCache::none());
        let Ok(analysis) = analyze(&[], &input, &question, &locator, &cache) else { continue };
        assert_eq!(analysis.total.weight, analysis.tree.total());
    }
}
