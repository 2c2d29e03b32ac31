//! How long an epoch may become.

/// When an epoch is full. Ids and the recorder's tables start over with the next one, so these bound
/// the recorder's memory for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Length of an epoch.
    pub epoch_ns: u64,
    /// Bytes of an epoch in the file.
    pub epoch_bytes: u64,
    /// Call-path nodes. The default is 7/8 of 131,072: a hash table of (parent, module, address)
    /// is full at that load, and 131,072 slots of 21 bytes are 2.8 MB; one row more would double them.
    /// A compiler run with `-a` fills it in half a minute, a service in steady state never.
    pub nodes: u32,
    /// Stacks. The default is 7/8 of 65,536, 1.1 MB of hash table.
    pub stacks: u32,
    /// Rows of each other table. The default is 7/8 of 16,384: processes and threads of a fork storm.
    pub other_rows: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            epoch_ns: 600_000_000_000,
            epoch_bytes: 64 << 20,
            nodes: 114_688,
            stacks: 57_344,
            other_rows: 14_336,
        }
    }
}
