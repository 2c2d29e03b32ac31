//! How much of the CPU time ran in code that has a name, who said the names, and why the rest has none.

use std::collections::BTreeMap;

use profile::{NameSource, NoName};

use crate::wording::{apportion, share_of_tenths};

/// Whose name a piece of code has, or why it has none.
pub type Named = Result<NameSource, NoName>;

/// CPU time by who named the code that ran (the innermost function of each sample).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Naming {
    by_source: BTreeMap<NameSource, u64>,
    by_reason: BTreeMap<NoName, u64>,
}

impl Naming {
    /// Counts some time.
    pub fn add(&mut self, named: Named, weight: u64) {
        match named {
            Ok(source) => *self.by_source.entry(source).or_default() += weight,
            Err(reason) => *self.by_reason.entry(reason).or_default() += weight,
        }
    }

    /// CPU time in code that has a name.
    #[must_use]
    pub fn named_weight(&self) -> u64 {
        self.by_source.values().sum()
    }

    /// Of CPU time: "97.2 % of the CPU time ran in code with a name (DWARF 77.2 %, symtab 20.0 %), 2.8 % in code
    /// without (file not found 2.8 %)". The parts add up, to each other and to all of it.
    #[must_use]
    pub fn describe(&self, noun: &str) -> String {
        let nameless_weight: u64 = self.by_reason.values().sum();
        let parts = [self.named_weight(), nameless_weight];
        if parts == [0, 0] {
            return "nothing ran".into();
        }
        let whole = parts[0] + parts[1];
        let [named, nameless] = [0, 1].map(|i| apportion(&parts, 1_000)[i]);
        let sources = list(self.by_source.iter().map(|(s, w)| (s.describe(), *w)), named, whole);
        let reasons = list(self.by_reason.iter().map(|(r, w)| (r.describe(), *w)), nameless, whole);
        let share = |i: usize, tenths| share_of_tenths(tenths, parts[i], whole);
        match parts {
            [0, _] => format!("all of the {noun} ran in code without a name ({reasons})"),
            [_, 0] => format!("all of the {noun} ran in code with a name ({sources})"),
            _ => format!(
                "{} of the {noun} ran in code with a name ({sources}), {} in code without ({reasons})",
                share(0, named),
                share(1, nameless)
            ),
        }
    }
}

/// Parts of what is so many tenths of a percent of `whole`, the largest first.
fn list(parts: impl Iterator<Item = (&'static str, u64)>, tenths: u64, whole: u64) -> String {
    let mut parts: Vec<(&str, u64)> = parts.filter(|(_, weight)| *weight > 0).collect();
    parts.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let weights: Vec<u64> = parts.iter().map(|(_, weight)| *weight).collect();
    let shares = apportion(&weights, tenths);
    let described = parts.iter().zip(shares).map(|((what, weight), tenths)| {
        format!("{what} {}", share_of_tenths(tenths, *weight, whole))
    });
    described.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(rows: &[(Named, u64)]) -> Naming {
        let mut naming = Naming::default();
        rows.iter().for_each(|(named, weight)| naming.add(*named, *weight));
        naming
    }

    #[test]
    fn the_parts_add_up_to_what_they_are_parts_of() {
        let thirds = naming(&[
            (Ok(NameSource::Dwarf), 1),
            (Ok(NameSource::Symtab), 1),
            (Ok(NameSource::Kallsyms), 1),
            (Err(NoName::NoFile), 1),
            (Err(NoName::Unmapped), 2),
        ]);
        assert_eq!(
            thirds.describe("CPU time"),
            "50.0 % of the CPU time ran in code with a name (DWARF 16.7 %, symtab 16.7 %, \
             kallsyms 16.6 %), 50.0 % in code without (in no known mapping 33.3 %, \
             file not found 16.7 %)"
        );
        assert_eq!(thirds.named_weight(), 3);
    }

    #[test]
    fn a_part_is_never_called_the_whole_or_nothing() {
        let nearly = naming(&[(Ok(NameSource::Pclntab), 99_999), (Err(NoName::OutOfRange), 1)]);
        assert_eq!(
            nearly.describe("CPU time"),
            "> 99.9 % of the CPU time ran in code with a name (pclntab > 99.9 %), \
             < 0.1 % in code without (outside every function < 0.1 %)"
        );
        let all = naming(&[(Ok(NameSource::Dwarf), 7)]);
        assert_eq!(
            all.describe("CPU time"),
            "all of the CPU time ran in code with a name (DWARF 100 %)"
        );
        let none = naming(&[(Err(NoName::NoFile), 7)]);
        assert!(
            none.describe("CPU time")
                .starts_with("all of the CPU time ran in code without a name (")
        );
        assert_eq!(Naming::default().describe("CPU time"), "nothing ran");
    }
}
