//! What every input that came with names must hold.

use std::path::Path;

use analyze::{Filter, Input, Locator, Search, Shape, SymbolCache, analyze};

/// Imports, and joins at the call tree, once for each measure.
pub fn read(bytes: Vec<u8>) {
    let Ok(Input::Named(named)) = Input::from_bytes(Path::new("input"), bytes) else { return };
    let named = [*named];
    for measure in &named[0].measures {
        let filter = Filter { event: Some(measure.name.clone()), ..Filter::default() };
        let (locator, cache) = (Locator::new(Search::default()), SymbolCache::none());
        let Ok(analysis) = analyze(&[], &named, &filter, Shape::default(), &locator, &cache) else {
            continue;
        };
        assert_eq!(analysis.total.weight, analysis.tree.total());
    }
}
