//! Which merged row an epoch's row became.

/// Ids of one table in one epoch, mapped to merged ids. Lost definition blocks leave holes; a hole takes
/// no memory, however long a hostile file says it is.
#[derive(Default, Debug)]
pub(crate) struct IdMap {
    /// By first id; one in an undamaged file.
    runs: Vec<Run>,
}

#[derive(Debug)]
struct Run {
    first: u32,
    /// 0: the row itself, or one it depends on, was lost.
    merged: Vec<u32>,
}

impl IdMap {
    /// Begins a list of rows. `false` when the numbers were given out before.
    pub fn begin(&mut self, first: u32) -> bool {
        let end =
            self.runs.last().map_or(1, |run| run.first.saturating_add(run.merged.len() as u32));
        if first < end {
            return false;
        }
        if self.runs.is_empty() || first > end {
            self.runs.push(Run { first, merged: Vec::new() });
        }
        true
    }

    /// Adds the next row of the list; 0 for a lost one.
    pub fn push(&mut self, merged: u32) {
        if let Some(run) = self.runs.last_mut() {
            run.merged.push(merged);
        }
    }

    /// The merged id; 0 for none and for lost rows.
    #[inline]
    pub fn get(&self, id: u32) -> u32 {
        let run = match &self.runs[..] {
            [run] => run,
            runs => match runs[..runs.partition_point(|run| run.first <= id)].last() {
                Some(run) => run,
                None => return 0,
            },
        };
        run.merged.get(id.wrapping_sub(run.first) as usize).copied().unwrap_or(0)
    }

    /// Like `get`, but tells no reference (`Some(0)`) from one to a lost row (`None`).
    pub fn resolve(&self, id: u32) -> Option<u32> {
        match (id, self.get(id)) {
            (0, _) => Some(0),
            (_, 0) => None,
            (_, merged) => Some(merged),
        }
    }

    /// Frees the map where no data refers to the table.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_lost_and_takes_nothing() {
        let mut map = IdMap::default();
        assert!(map.begin(1));
        [10, 0].into_iter().for_each(|id| map.push(id));
        assert!(map.begin(3), "goes on");
        map.push(30);
        assert!(map.begin(4_000_000_000), "a hole");
        map.push(40);
        assert!(!map.begin(4_000_000_000), "given out before");
        let read: Vec<u32> = [0, 1, 2, 3, 4, 4_000_000_000, u32::MAX].map(|id| map.get(id)).into();
        assert_eq!(read, [0, 10, 0, 30, 0, 40, 0]);
        assert_eq!((map.resolve(0), map.resolve(2), map.resolve(3)), (Some(0), None, Some(30)));
        assert_eq!(map.runs.len(), 2);
    }
}
