//! Which call paths changed: from the root down, only below what changed, and towards functions that did. (Of a
//! process that is busy all the time the root never changes.)

use profile::Grade;

use super::pairs::Paired;
use super::verdict::Tester;

/// The weight of a path itself, in one unit.
#[derive(Clone, Copy)]
struct Piece {
    place: u32,
    unit: u32,
    weight: f64,
}

/// What may be said of each path.
#[must_use]
pub fn descend(pairs: &Paired, tester: &Tester, changed: &[bool]) -> Vec<Grade> {
    let mut grades = vec![Grade::Noise; pairs.nodes.len()];
    if tester.cut < 0.0 {
        return grades;
    }
    let places = pairs.places();
    let pieces = [0, 1].map(|side: usize| {
        let of_cell = &tester.sides[side].units.of_cell;
        let mut pieces: Vec<Piece> = pairs.rows[side]
            .iter()
            .map(|row| Piece {
                place: places[row.node as usize].0,
                unit: of_cell[row.cell as usize],
                weight: row.weight as f64,
            })
            .collect();
        pieces.sort_unstable_by_key(|piece| piece.place);
        pieces
    });
    let sums = |node: u32| {
        let (from, to) = places[node as usize];
        [0, 1].map(|side: usize| {
            let pieces = &pieces[side];
            let first = pieces.partition_point(|piece| piece.place < from);
            let mut sums = vec![0.0; tester.sides[side].units.count];
            for piece in pieces[first..].iter().take_while(|piece| piece.place < to) {
                sums[piece.unit as usize] += piece.weight;
            }
            sums
        })
    };
    let mut leads_to_change = vec![false; pairs.nodes.len()];
    for (index, node) in pairs.nodes.iter().enumerate().skip(1).rev() {
        if changed[pairs.frames.function(node.frame) as usize] {
            leads_to_change[index] = true;
        }
        if leads_to_change[index] {
            leads_to_change[node.parent as usize] = true;
        }
    }
    let children = pairs.children();
    let mut todo = children[0].clone();
    while let Some(node) = todo.pop() {
        let [before, after] = sums(node);
        let grade = tester.path(&before, &after);
        grades[node as usize] = grade;
        let below = children[node as usize].iter();
        todo.extend(below.filter(|c| grade != Grade::Noise || leads_to_change[**c as usize]));
    }
    grades
}
