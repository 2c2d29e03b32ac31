//! What stands around a picture or a table: what was recorded, when, where, and what was lost.

/// Words around an output. Every output shows all of them; none of them is escaped yet.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Caption {
    /// One line above: what this is.
    pub title: String,
    /// One line below the title: the finding, or the total.
    pub subtitle: String,
    /// What limits trust, worst first: incomplete input, losses, missing names.
    pub warnings: Vec<Warning>,
    /// Provenance: host, kernel, window in UTC, event and rate, losses, tool version. One line each.
    pub footer: Vec<String>,
    /// What one weight means, for tooltips and totals.
    pub unit: &'static str,
    /// Weight of `unit` 1.0: 1e9 turns nanoseconds into seconds.
    pub weight_per_unit: u64,
}

/// One thing that limits trust.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Whether the input was cut off or damaged (starts with "INCOMPLETE: ").
    pub incomplete: bool,
    /// One sentence, with its figure.
    pub text: String,
}
