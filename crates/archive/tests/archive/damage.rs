//! Nothing that happens to a file makes its reader panic or lie.

use archive::{Archive, Error};
use profile::{EventId, StackEnd};
use rayon::iter::ParallelIterator;

use crate::recipe::{LONG, Numbers, SMALL, START_NS, Sums, accounted, samples, visited};
use crate::stored::{FILE_HEADER_BYTES, Stored, frames};

const DEFS: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 5;

fn sums_of<'a>(frames: impl Iterator<Item = &'a Stored>) -> Sums {
    let mut sums = Sums::new();
    for frame in frames.filter(|frame| frame.rows > 0) {
        let sum = sums.entry(frame.event).or_default();
        *sum = (sum.0 + frame.rows, sum.1 + frame.weight);
    }
    sums
}

#[test]
fn a_whole_file_is_complete() {
    let archive = Archive::from_bytes(SMALL.write()).unwrap();
    let damage = archive.damage();
    assert_eq!(damage.statements, [""; 0]);
    assert!(damage.complete);
    assert_eq!(damage.unknown_after_ns, None);
    assert_eq!(visited(&archive).values().map(|sum| sum.0).sum::<u64>(), 2 * 3 * 24);
}

#[test]
fn a_file_cut_at_any_byte_yields_what_is_whole_and_says_what_is_not() {
    let file = SMALL.write();
    let frames = frames(&file);
    for length in 0..file.len() {
        let archive = Archive::from_bytes(file[..length].to_vec());
        if length < frames[0].body.end {
            let error = archive.err().unwrap_or_else(|| panic!("{length} bytes opened"));
            let expected = match length {
                0 => matches!(error, Error::Empty),
                _ => matches!(error, Error::NoFacts { .. }),
            };
            assert!(expected, "{length} bytes: {error}");
            continue;
        }
        let archive = archive.unwrap_or_else(|error| panic!("{length} bytes: {error}"));
        let whole = sums_of(frames.iter().filter(|frame| frame.body.end <= length));
        assert_eq!(visited(&archive), whole, "{length} bytes");
        let known = sums_of(frames.iter().filter(|frame| frame.header.end <= length));
        assert_eq!(
            accounted(&archive),
            known,
            "{length} bytes: the cut block is known by its header"
        );
        let damage = archive.damage();
        assert!(!damage.complete && archive.end().is_none(), "{length} bytes");
        let headers = frames.iter().filter(|f| f.kind == DATA && f.header.end <= length);
        let until = headers.map(|frame| frame.last_ns).max().unwrap_or(START_NS);
        assert_eq!(damage.unknown_after_ns, Some(until), "{length} bytes");
        let said = damage.statements.last().unwrap();
        assert!(said.starts_with("the archive ends without an end"), "{said}");
    }
}

/// Opens a damaged copy and checks the equation of weights.
fn check_mutation(original: &[u8], sums: &Sums, mutated: Vec<u8>, what: &str) -> Archive {
    let unchanged = mutated == original;
    let archive = Archive::from_bytes(mutated).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(&accounted(&archive), sums, "{what}: {:?}", archive.damage());
    assert_eq!(archive.damage().complete, unchanged, "{what}");
    archive
}

#[test]
fn any_changed_byte_is_noticed_and_costs_no_more_than_its_frame() {
    let file = SMALL.write();
    let frames = frames(&file);
    let sums = sums_of(frames.iter());
    for at in 0..file.len() {
        for flip in [0x01, 0xff] {
            let mut mutated = file.clone();
            mutated[at] ^= flip;
            let what = format!("byte {at} ^ {flip:#x}");
            let archive = check_mutation(&file, &sums, mutated, &what);
            // Of the header's envelope a reader has no need.
            let spared = |frame: &&Stored| !(frame.header.start + 8..frame.body.end).contains(&at);
            assert_eq!(visited(&archive), sums_of(frames.iter().filter(spared)), "{what}");
        }
    }
}

#[test]
fn bytes_removed_or_inserted_in_a_frame_cost_no_other() {
    let file = SMALL.write();
    let frames = frames(&file);
    let sums = sums_of(frames.iter());
    for (index, frame) in frames.iter().enumerate().filter(|(_, frame)| frame.kind == DATA) {
        let others = || frames.iter().enumerate().filter(|(other, _)| *other != index);
        let at = frame.body.start + 11;
        for (removed, inserted) in [(7, 0), (0, 7), (0, 900)] {
            let mut mutated = file.clone();
            mutated.splice(at..at + removed, std::iter::repeat_n(0x55, inserted));
            let what = format!("frame {index}: {removed} bytes removed, {inserted} inserted");
            let archive = check_mutation(&file, &sums, mutated, &what);
            assert_eq!(visited(&archive), sums_of(others().map(|(_, frame)| frame)), "{what}");
        }
    }
}

#[test]
fn any_changed_place_is_noticed_and_no_weight_vanishes() {
    let file = SMALL.write();
    let sums = sums_of(frames(&file).iter());
    let mut numbers = Numbers(77);
    for round in 0..1500 {
        let bytes = 1 + numbers.below(64) as usize;
        let at = numbers.below((file.len() - bytes) as u64) as usize;
        let mut mutated = file.clone();
        let what = match round % 3 {
            0 => {
                mutated[at..at + bytes].fill_with(|| numbers.below(256) as u8);
                "overwritten"
            }
            1 => {
                mutated.drain(at..at + bytes);
                "removed"
            }
            _ => {
                let inserted = (0..bytes).map(|_| numbers.below(256) as u8).collect::<Vec<_>>();
                mutated.splice(at..at, inserted);
                "inserted"
            }
        };
        check_mutation(&file, &sums, mutated, &format!("{bytes} bytes {what} at {at}"));
    }
}

#[test]
fn any_frame_may_be_missing_whole() {
    let file = LONG.write();
    let frames = frames(&file);
    let sums = sums_of(frames.iter());
    for frame in frames.iter().step_by(7) {
        let mut mutated = file.clone();
        mutated.drain(frame.header.start..frame.body.end);
        check_mutation(&file, &sums, mutated, &format!("{frame:?}"));
    }
}

#[test]
fn several_damaged_blocks_of_a_killed_recording_are_counted_too() {
    let file = SMALL.write();
    let frames = frames(&file);
    let data: Vec<&Stored> = frames.iter().filter(|frame| frame.kind == DATA).collect();
    let end = frames.iter().find(|frame| frame.kind == END).unwrap();
    let mut mutated = file[..end.header.start].to_vec();
    mutated[data[1].header.start + 20] ^= 1; // known by the totals of later blocks only
    mutated[data[3].body.start + 9] ^= 1;
    let last = data[data.len() - 1];
    mutated[last.body.start + 9] ^= 1; // known by its header only
    let archive = Archive::from_bytes(mutated).unwrap();
    assert_eq!(accounted(&archive), sums_of(frames.iter()));
    assert_eq!(archive.damage().unknown_after_ns, Some(last.last_ns));
}

#[test]
fn samples_keep_their_weight_when_their_definitions_are_lost() {
    let file = SMALL.write();
    let whole = samples(&Archive::from_bytes(file.clone()).unwrap()).unwrap();
    // The definitions of the first epoch; the frame before them holds the facts.
    let defs = frames(&file).into_iter().filter(|frame| frame.kind == DEFS).nth(1).unwrap();
    let mut mutated = file.clone();
    mutated[defs.body.start + 20] ^= 4;
    let archive = Archive::from_bytes(mutated).unwrap();
    let read = samples(&archive).unwrap();
    assert_eq!(read.len(), whole.len());
    let boundary = START_NS + 3_000_000_000;
    for (before, after) in whole.iter().zip(&read) {
        assert_eq!((before.time_ns, before.weight), (after.time_ns, after.weight));
        let lost = format!("[] / [] / {:?}", StackEnd::LostBlock);
        let first_epoch = before.time_ns < boundary;
        assert_eq!(after.stack == lost, first_epoch, "{after:?}");
        assert!(first_epoch || before == after);
    }
    assert!(!archive.damage().complete);
}

#[test]
fn a_second_archive_behind_the_first_is_left_out() {
    let file = SMALL.write();
    let sums = sums_of(frames(&file).iter());
    let other = {
        let mut bytes = LONG.write();
        let mut id = crate::recipe::facts();
        id.recording_id = [3; 16];
        let writer = archive::Writer::new(Vec::new(), &id, archive::Limits::default()).unwrap();
        let flush = crate::recipe::flush(1, 2, &[]);
        bytes.clear();
        bytes.extend(writer.finish(&flush, &crate::recipe::end_at(2)).unwrap());
        bytes
    };
    let archive = Archive::from_bytes([&file[..], &other[..]].concat()).unwrap();
    assert_eq!(visited(&archive), sums);
    let said = archive.damage().statements.join("; ");
    assert!(said.contains("3 blocks of another archive"), "{said}");
    let twice = Archive::from_bytes([&file[..], &file[..]].concat()).unwrap();
    assert_eq!(visited(&twice), sums);
    assert_eq!(twice.damage().lost(EventId(1)).rows, 0);
    let said = twice.damage().statements.join("; ");
    assert!(said.contains("were there before and are left out"), "{said}");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    for bytes in
        [&b"PERFILE2"[..], &[0; 5000], b"\x1f\x8b", &[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7]]
    {
        let error = Archive::from_bytes(bytes.to_vec()).unwrap_err();
        assert!(matches!(error, Error::NotAnArchive), "{bytes:?}: {error}");
    }
}

#[test]
fn a_file_without_its_first_kilobyte_is_read_from_the_next_frame_on() {
    let file = LONG.write();
    let cut = frames(&file)[3].header.start + 5;
    let archive = Archive::from_bytes(file[cut..].to_vec()).unwrap();
    let sums = sums_of(frames(&file).iter());
    assert_eq!(accounted(&archive), sums);
    assert_eq!(archive.facts().host, "web1".into());
    assert!(FILE_HEADER_BYTES < cut && !archive.damage().complete);
}

#[test]
fn a_damaged_block_comes_as_what_its_header_knows() {
    let mut file = SMALL.write();
    let frames = frames(&file);
    let (at, frame) = frames.iter().enumerate().find(|(_, frame)| frame.kind == DATA).unwrap();
    file[frame.body.end - 1] ^= 1;
    let archive = Archive::from_bytes(file).unwrap();
    let lost: Vec<_> = archive.data_blocks().filter_map(Result::err).collect();
    assert_eq!(lost.len(), 1);
    let lost = lost[0];
    assert_eq!((lost.seq, lost.epoch, lost.event), (at as u32, 1, EventId(frame.event)));
    assert_eq!((lost.rows, lost.weight), (frame.rows, frame.weight));
    assert_eq!((lost.first_ns, lost.last_ns), (START_NS, frame.last_ns));
    let text =
        format!("data block {at} with {} samples is lost: its checksum does not hold", lost.rows);
    assert_eq!(lost.to_string(), text);
    assert!(archive.damage().statements.contains(&text));
}
