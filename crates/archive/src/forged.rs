//! Tests with archives that nobody's writer makes: every checksum holds, and the content lies.

use profile::{NodeId, RecordingFacts, StackEnd, StackId};
use rayon::iter::ParallelIterator;

use crate::frames::{Frames, Summary};
use crate::header::{FileHeader, Kind};
use crate::{Archive, Damage, Error, LostReason, facts, schema};

fn start() -> schema::Start {
    schema::Start {
        recording_id: vec![1; 16],
        backend: schema::Backend::Bpf.into(),
        scope: schema::Scope::PerTask.into(),
        ..schema::Start::default()
    }
}

fn some_facts() -> RecordingFacts {
    facts::read_facts(start()).unwrap()
}

/// An archive of the given definitions and data, each data with the header it wants.
fn forge(defs: Vec<schema::Defs>, data: Vec<(Summary, schema::Data)>) -> Vec<u8> {
    let mut frames = Frames::new(&some_facts()).unwrap();
    let block = schema::Block { epoch: 1, ..schema::Block::default() };
    let first = schema::Block { start: Some(start()), ..block.clone() };
    frames.push(Kind::Defs, Summary::default(), first).unwrap();
    for defs in defs {
        let block = schema::Block { defs: Some(defs), ..block.clone() };
        frames.push(Kind::Defs, Summary::default(), block).unwrap();
    }
    for (summary, data) in data {
        let block = schema::Block { data: Some(data), ..block.clone() };
        frames.push(Kind::Data, summary, block).unwrap();
    }
    frames.bytes
}

fn open(defs: Vec<schema::Defs>, data: Vec<(Summary, schema::Data)>) -> (Archive, Damage) {
    let archive = Archive::from_bytes(forge(defs, data)).unwrap();
    archive.data_blocks().filter_map(Result::ok).for_each(|block| block.for_each_sample(|_| ()));
    let damage = archive.damage();
    (archive, damage)
}

fn samples(rows: usize) -> schema::Samples {
    schema::Samples {
        event: 1,
        run_cpu: vec![0],
        run_rows: vec![rows as u32],
        time: vec![0; rows],
        thread: vec![0; rows],
        stack: vec![0; rows],
        period: 10,
        ..schema::Samples::default()
    }
}

fn data(samples: schema::Samples) -> (Summary, schema::Data) {
    let rows = samples.stack.len() as u32;
    let weight = 10u64.wrapping_mul(rows.into());
    let data = schema::Data { samples: Some(samples), ..schema::Data::default() };
    (Summary { event: 1, rows, weight, ..Summary::default() }, data)
}

fn lost_reason(bad: (Summary, schema::Data)) -> LostReason {
    let (archive, damage) = open(vec![], vec![bad]);
    assert!(damage.statements[0].contains("data block 1"), "{:?}", damage.statements);
    let blocks: Vec<_> = archive.data_blocks().collect();
    blocks.into_iter().next().unwrap().unwrap_err().reason
}

#[test]
fn columns_of_unequal_length_are_a_damaged_block() {
    let malformed = LostReason::Content("its content is not what the schema says");
    assert_eq!(lost_reason(data(schema::Samples { time: vec![0; 4], ..samples(5) })), malformed);
    assert_eq!(lost_reason(data(schema::Samples { thread: vec![1], ..samples(5) })), malformed);
    assert_eq!(lost_reason(data(schema::Samples { run_rows: vec![4], ..samples(5) })), malformed);
    let longer = schema::Samples { run_rows: vec![u32::MAX], ..samples(5) };
    assert_eq!(lost_reason(data(longer)), malformed);
    assert_eq!(lost_reason(data(schema::Samples { run_cpu: vec![], ..samples(5) })), malformed);
}

#[test]
fn a_header_that_counts_something_else_is_a_damaged_block() {
    let count = LostReason::Content("its rows are not those its header counts");
    let (summary, content) = data(samples(5));
    assert_eq!(lost_reason((Summary { rows: 6, ..summary }, content.clone())), count);
    assert_eq!(lost_reason((Summary { weight: 51, ..summary }, content.clone())), count);
    let span = LostReason::Content("its span is not the one its header states");
    assert_eq!(lost_reason((Summary { last_ns: 1, ..summary }, content)), span);
}

#[test]
fn weights_beyond_64_bits_are_a_damaged_block() {
    let overflow = LostReason::Content("its weights overflow");
    let heavy = schema::Samples { weight: vec![u64::MAX, 1], ..samples(2) };
    assert_eq!(lost_reason(data(heavy)), overflow);
    assert_eq!(lost_reason(data(schema::Samples { period: u64::MAX, ..samples(2) })), overflow);
    let one = schema::Samples { weight: vec![u64::MAX - 3], ..samples(1) };
    let (summary, content) = data(one);
    let block = (Summary { weight: u64::MAX - 3, ..summary }, content);
    let (archive, damage) = open(vec![], vec![block.clone(), block]);
    let lost: Vec<_> = archive.data_blocks().filter_map(Result::err).collect();
    assert_eq!(lost[0].reason, LostReason::Content("the weights overflow"));
    assert!(!damage.complete);
}

fn nodes(first: u32, parent_distance: Vec<u32>) -> schema::Nodes {
    let rows = parent_distance.len();
    schema::Nodes {
        first,
        parent_distance,
        module: vec![0; rows],
        address: (0..rows as i64).collect(),
    }
}

fn stacks(first: u32, user: Vec<u32>) -> schema::Stacks {
    let rows = user.len();
    let zeros = || vec![0; rows];
    schema::Stacks { first, user, kernel: zeros(), end: vec![0; rows], ..schema::Stacks::default() }
}

#[test]
fn a_path_that_leads_to_itself_or_forward_is_lost_with_its_stacks() {
    // Own id - distance: 1 is a root, 2 its own parent, 3 beyond the root, 4 a child of 2, 5 of 1.
    let nodes = nodes(1, vec![1, 0, 9, 2, 4]);
    let stacks = stacks(1, vec![1, 2, 3, 4, 5, 6, u32::MAX]);
    let defs = schema::Defs { nodes: Some(nodes), stacks: Some(stacks), ..schema::Defs::default() };
    let five = schema::Samples { stack: vec![1, 2, 4, 5, 7], ..samples(5) };
    let (archive, _) = open(vec![defs], vec![data(five)]);
    assert_eq!(archive.tables().nodes.len(), 2);
    assert_eq!(archive.tables().nodes.walk(NodeId(2)).count(), 2);
    let read: Vec<Vec<StackId>> = archive
        .data_blocks()
        .map(|block| {
            let mut stacks = Vec::new();
            block.unwrap().for_each_sample(|sample| stacks.push(sample.stack));
            stacks
        })
        .collect();
    assert_eq!(read, [[1, 0, 0, 2, 0].map(StackId)]);
    assert_eq!(archive.tables().stacks.get(StackId(0)).end, StackEnd::LostBlock);
}

#[test]
fn rows_that_were_numbered_before_are_refused() {
    let defs =
        |first| schema::Defs { nodes: Some(nodes(first, vec![1])), ..schema::Defs::default() };
    let (archive, damage) = open(vec![defs(1), defs(1), defs(0), defs(u32::MAX)], vec![]);
    assert_eq!(archive.tables().nodes.len(), 1, "the last one has its parent in a hole");
    let lost = damage.statements.iter().filter(|s| s.starts_with("definition block")).count();
    assert_eq!(lost, 2, "{:?}", damage.statements);
}

#[test]
fn columns_of_unequal_length_are_a_damaged_definition_block() {
    let mut short = nodes(1, vec![1, 1]);
    short.address.pop();
    let module = schema::Module { kind: 1, ..schema::Module::default() };
    let defs = schema::Defs {
        first_module: 1,
        modules: vec![module],
        nodes: Some(short),
        ..schema::Defs::default()
    };
    let (archive, damage) = open(vec![defs], vec![]);
    assert_eq!(archive.tables().modules.len(), 0, "all of the block or nothing");
    assert!(damage.statements[0].starts_with("definition block 1 is lost"));
}

#[test]
fn definitions_that_inflate_without_measure_are_refused() {
    let row = schema::Process::default();
    let rows = vec![row; 400_000];
    let defs = schema::Defs { first_process: 1, processes: rows, ..schema::Defs::default() };
    let mut bomb = vec![defs; 20];
    for (index, defs) in bomb.iter_mut().enumerate() {
        defs.first_process = 1 + 400_000 * index as u32;
    }
    let (archive, damage) = open(bomb, vec![]);
    assert_eq!(archive.tables().processes.len(), 1, "equal rows are one");
    assert!(damage.statements.iter().any(|s| s.contains("too large for the file")));
}

#[test]
fn unknown_kinds_of_blocks_are_hopped_over_and_checked() {
    let mut frames = Frames::new(&some_facts()).unwrap();
    let block = schema::Block { epoch: 1, start: Some(start()), ..schema::Block::default() };
    frames.push(Kind::Defs, Summary::default(), block).unwrap();
    let block = schema::Block { epoch: 1, ..schema::Block::default() };
    frames.push(Kind::Other(77), Summary::default(), block).unwrap();
    let end = schema::End { reason: 1, ..schema::End::default() };
    let block = schema::Block { epoch: 1, end: Some(end), ..schema::Block::default() };
    frames.push(Kind::End, Summary::default(), block).unwrap();
    let mut bytes = frames.bytes.clone();
    assert!(Archive::from_bytes(frames.bytes).unwrap().damage().complete);
    let other_at = bytes.windows(5).position(|w| w[..4] == *b"FARC" && w[4] == 77).unwrap();
    bytes[other_at + 60 + 6] ^= 1;
    let damage = Archive::from_bytes(bytes).unwrap().damage();
    assert_eq!(damage.statements, ["block 1 is lost: its checksum does not hold"]);
}

#[test]
fn a_newer_format_is_opened_only_when_it_says_that_it_may_be() {
    let mut bytes = forge(vec![], vec![]);
    let mut header = FileHeader::parse(&bytes).unwrap();
    header.format = 2;
    bytes[..header.encode().len()].copy_from_slice(&header.encode());
    assert!(Archive::from_bytes(bytes.clone()).is_ok());
    header.oldest_reader = 2;
    bytes[..header.encode().len()].copy_from_slice(&header.encode());
    let error = Archive::from_bytes(bytes).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { format: 2, oldest_reader: 2 }));
    assert!(error.to_string().contains("use a newer version"), "{error}");
}

#[test]
fn totals_below_what_was_read_are_said() {
    let (summary, mut content) = data(samples(5));
    content.totals = vec![schema::EventTotal { event: 1, rows: 4, weight: 40 }];
    let (_, damage) = open(vec![], vec![(summary, content)]);
    assert!(damage.statements[0].starts_with("more samples were read"), "{:?}", damage.statements);
    assert_eq!(damage.lost, []);
}

#[test]
fn slices_whose_columns_do_not_fit_together_are_refused() {
    let whole = schema::Slices {
        stack: vec![1],
        looked_at_words: vec![4],
        kept: vec![2],
        place: vec![6, 30],
        module: vec![0, 0],
        value: vec![8, 8],
        other: None,
    };
    let read = |slices: schema::Slices| {
        let mut frames = Frames::new(&some_facts()).unwrap();
        let block = schema::Block { epoch: 1, start: Some(start()), ..schema::Block::default() };
        frames.push(Kind::Defs, Summary::default(), block).unwrap();
        let block = schema::Block { epoch: 1, slices: Some(slices), ..schema::Block::default() };
        frames.push(Kind::Slices, Summary::default(), block).unwrap();
        let archive = Archive::from_bytes(frames.bytes).unwrap();
        archive.slice_blocks().all(|block| block.is_ok())
    };
    assert!(read(whole.clone()));
    let slices = |change: fn(&mut schema::Slices)| {
        let mut slices = whole.clone();
        change(&mut slices);
        slices
    };
    assert!(!read(slices(|s| s.kept[0] = 3)), "more words than there are");
    assert!(!read(slices(|s| s.kept[0] = 1)), "fewer");
    assert!(!read(slices(|s| s.kept[0] = u32::MAX)), "absurdly many");
    assert!(!read(slices(|s| s.place[1] = 0)), "two words in one place");
    assert!(!read(slices(|s| s.place = vec![u32::MAX, 1])), "places that wrap");
    assert!(!read(slices(|s| s.value.truncate(1))), "columns of unequal length");
    assert!(!read(slices(|s| s.looked_at_words.clear())), "a column missing");

    let of_two_stacks = |other| schema::Slices { other: Some(Box::new(other)), ..whole.clone() };
    assert!(read(of_two_stacks(whole.clone())));
    assert!(!read(of_two_stacks(slices(|s| s.kept[0] = 3))), "the other stack's likewise");
}
