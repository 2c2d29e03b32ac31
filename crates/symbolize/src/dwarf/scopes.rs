//! In which namespaces and classes an entry stands: a name that no linker made lacks them.

use gimli::Dwarf;

use super::abbreviations::{Attribute, Kind};
use super::form::Value;
use super::unit::Unit;
use super::{Damaged, Slice};
use crate::ranges::{Range, RangeMap};
use crate::span::Span;

/// Deeper nesting is left out of names.
const MAX_DEPTH: usize = 32;

/// What stands behind so many in one unit is not qualified.
const MAX_SCOPES: usize = 1 << 18;

/// Longer qualified names are cut.
const MAX_BYTES: usize = 16 << 10;

/// The namespaces and classes of a unit.
pub(super) struct Scopes {
    /// By position.
    scopes: Vec<Scope>,
    /// Positions of entries -> the innermost scope they stand in.
    map: RangeMap,
}

struct Scope {
    /// Of its entry, in the unit.
    position: usize,
    kind: Kind,
    name: Option<Value>,
    /// The entry that declares a class defined elsewhere: that one stands in its namespace.
    declared_at: Option<usize>,
    outer: Option<u32>,
}

impl Scopes {
    /// Reads a whole unit.
    pub fn read(unit: &Unit<'_>) -> Self {
        let mut scopes = Self { scopes: Vec::new(), map: RangeMap::default() };
        let mut ranges = Vec::new();
        // What stands before a damaged entry is right.
        let _ = scopes.run(unit, &mut ranges);
        scopes.map = RangeMap::flatten(ranges);
        scopes
    }

    fn run(&mut self, unit: &Unit<'_>, ranges: &mut Vec<Range>) -> Result<(), Damaged> {
        let mut cursor = unit.entries();
        let mut depth = 0usize;
        let mut open: Vec<(usize, u32)> = Vec::new();
        while !cursor.is_at_end() {
            let position = cursor.position();
            let code = cursor.uleb()?;
            if code == 0 {
                depth = depth.saturating_sub(1);
                while let Some((_, closed)) = open.pop_if(|(outer, _)| *outer >= depth) {
                    let begin = self.scopes[closed as usize].position as u64;
                    ranges.push(Range { begin: begin + 1, end: position as u64, owner: closed });
                }
                continue;
            }
            let plan = unit.abbreviations.plan(code)?;
            if !matches!(plan.kind, Kind::Namespace | Kind::Class) {
                match unit.abbreviations.skip(&mut cursor, plan)? {
                    // A class within a function: its members are declared in it all the same.
                    Some(sibling) if plan.has_children && plan.kind == Kind::Other => {
                        cursor.jump(sibling.number)?;
                    }
                    _ => depth += usize::from(plan.has_children),
                }
                continue;
            }
            if self.scopes.len() >= MAX_SCOPES {
                return Err(Damaged);
            }
            let (mut name, mut declared_at) = (None, None);
            unit.abbreviations.read_attributes(&mut cursor, plan, |attribute, value| {
                match attribute {
                    Attribute::Name => name = Some(value),
                    Attribute::Specification => declared_at = unit.reference(value),
                    _ => {}
                }
            })?;
            let declared_at = declared_at
                .filter(|at| at.in_supplement == unit.in_supplement)
                .and_then(|at| at.offset.checked_sub(unit.offset));
            let outer = open.last().map(|(_, outer)| *outer);
            let number = self.scopes.len() as u32;
            self.scopes.push(Scope { position, kind: plan.kind, name, declared_at, outer });
            if plan.has_children {
                open.push((depth, number));
                depth += 1;
            }
        }
        Ok(())
    }

    /// A name with the names of all it stands in before it.
    pub fn qualify<'a>(
        &self,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<'a>,
        position: usize,
        name: &[u8],
    ) -> Vec<u8> {
        let mut outward: Vec<&[u8]> = vec![name];
        let mut at = self.map.find(position as u64, &mut { Span::ALL });
        while let Some(scope) = at.and_then(|number| self.scopes.get(number as usize)) {
            if outward.len() > MAX_DEPTH {
                break;
            }
            let declaration = scope.declared_at.and_then(|position| {
                let at = self.scopes.binary_search_by_key(&position, |s| s.position).ok()?;
                Some(&self.scopes[at])
            });
            let scope = declaration.unwrap_or(scope);
            let text = scope.name.and_then(|name| unit.text(dwarf, name));
            outward.push(match (text, scope.kind) {
                (Some(text), _) => text,
                (None, Kind::Namespace) => b"(anonymous namespace)",
                (None, _) => b"(anonymous class)",
            });
            at = scope.outer;
        }
        outward.reverse();
        let mut qualified = outward.join(&b"::"[..]);
        qualified.truncate(MAX_BYTES);
        qualified
    }

    pub fn heap_bytes(&self) -> usize {
        self.scopes.capacity() * size_of::<Scope>() + self.map.heap_bytes()
    }
}
