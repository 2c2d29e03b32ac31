//! Whether a file's code keeps frame pointers, by a look at its unwind tables.
//!
//! Code that keeps them says so in the table of nearly every function: `DW_CFA_def_cfa_register` with the
//! frame pointer's number, once it is set. Code that does not has that in the few functions whose frames
//! change their size while they run. Sources: "Linux Standard Base Core Specification", Exception Frames;
//! DWARF 5, 6.4.2.

/// As much of a table is looked at: of a large library a thousand functions.
const LOOK_BYTES: usize = 64 << 10;
/// What one function in so many does is the habit of all.
const SHARE: usize = 4;
/// Fewer functions tell nothing.
const MIN_FUNCTIONS: usize = 8;

/// `DW_CFA_def_cfa_register` and the number of x86-64's frame pointer.
const SETS_FRAME_POINTER: [u8; 2] = [0x0d, 6];
/// A distance from the field itself, in 4 bytes with a sign: what all linkers write.
const PC_RELATIVE_32: u8 = 0x1b;

/// Looks through `read(offset, length)`, which may return fewer bytes, at the tables that the header
/// `.eh_frame_hdr` at a file offset leads to. `None`: they do not tell.
pub(crate) fn are_kept(read: &impl Fn(u64, usize) -> Vec<u8>, header_offset: u64) -> Option<bool> {
    let header = read(header_offset, 8);
    let [1, PC_RELATIVE_32, _, _, distance @ ..] = header.first_chunk::<8>()? else { return None };
    let distance = i64::from(i32::from_le_bytes(*distance));
    let start = header_offset.checked_add(4)?.checked_add_signed(distance)?;
    share(&read(start, LOOK_BYTES))
}

fn share(mut table: &[u8]) -> Option<bool> {
    let (mut functions, mut with) = (0, 0);
    while let Some((length, rest)) = table.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((entry, next)) = rest.split_at_checked(length).filter(|_| length > 0) else {
            break;
        };
        table = next;
        // A zero in the place of the way to the common part: this is one.
        if entry.first_chunk::<4>().is_some_and(|common| *common != [0; 4]) {
            functions += 1;
            with += usize::from(entry.windows(2).any(|pair| pair == SETS_FRAME_POINTER));
        }
    }
    (functions >= MIN_FUNCTIONS).then_some(with * SHARE >= functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content: &[u8]) -> Vec<u8> {
        let mut bytes = (content.len() as u32).to_le_bytes().to_vec();
        bytes.extend(content);
        bytes
    }

    /// A header at 16, tables at 64: of `functions`, the first `with` set a frame pointer.
    fn file(functions: usize, with: usize) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[16..20].copy_from_slice(&[1, PC_RELATIVE_32, 3, 0x3b]);
        bytes[20..24].copy_from_slice(&(64i32 - 20).to_le_bytes());
        bytes.extend(entry(&[0, 0, 0, 0, 1, 0x0d, 6, 0]));
        for i in 0..functions {
            let sets: &[u8] =
                if i < with { &[0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6] } else { &[0; 8] };
            bytes.extend(entry(&[&[1, 0, 0, 0][..], &[0; 9], sets].concat()));
        }
        bytes.extend([0; 4]); // the end
        bytes.extend(entry(&[1, 0, 0, 0, 0x0d, 6])); // no longer of the table
        bytes
    }

    fn of(bytes: &[u8]) -> Option<bool> {
        let read = |offset: u64, length: usize| {
            let start = (offset as usize).min(bytes.len());
            bytes[start..start.saturating_add(length).min(bytes.len())].to_vec()
        };
        are_kept(&read, 16)
    }

    #[test]
    fn the_habit_of_a_quarter_of_the_functions_is_that_of_all() {
        assert_eq!(of(&file(40, 40)), Some(true));
        assert_eq!(of(&file(40, 10)), Some(true));
        assert_eq!(of(&file(40, 9)), Some(false));
        assert_eq!(of(&file(40, 0)), Some(false));
        assert_eq!(of(&file(7, 7)), None, "too few to tell");
        let large = file(20_000, 20_000);
        assert_eq!(of(&large), Some(true), "only its beginning is read");
    }

    #[test]
    fn what_is_cut_off_or_hostile_tells_nothing_wrong() {
        let whole = file(9, 9);
        for cut in 0..whole.len() {
            assert_ne!(of(&whole[..cut]), Some(false), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            of(&bytes);
        }
    }

    #[test]
    fn programs_with_and_without_are_told_apart() {
        let of = |case: &str| {
            let testdata = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");
            let path = format!("{testdata}/{case}/sysroot/usr/local/lib/flamearc-testdata");
            let program = std::fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
            let bytes = std::fs::read(program).unwrap();
            let read = |offset: u64, length: usize| {
                let start = (offset as usize).min(bytes.len());
                bytes[start..start.saturating_add(length).min(bytes.len())].to_vec()
            };
            crate::elf_facts::read(read).unwrap().keeps_frame_pointers
        };
        assert_eq!(of("mixed"), Some(true));
        assert_eq!(of("cgo"), None, "of its C code alone, which has none");
    }
}
