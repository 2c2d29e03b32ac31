//! What the writer took is what the reader gives, whatever the rows.

use std::io::{self, Write};

use archive::{Archive, Error, Limits, Sample, Writer};
use profile::*;
use proptest::prelude::*;
use rayon::iter::ParallelIterator;

use crate::recipe::{Resolved, SMALL, START_NS, end_at, facts, flush, resolve, samples, visited};

/// Rows of one epoch. Every reference is a number to be taken modulo what there is.
#[derive(Clone, Debug)]
struct Epoch {
    modules: Vec<Vec<u8>>,
    threads: Vec<(u32, Vec<u8>)>,
    nodes: Vec<(usize, usize, u64)>,
    stacks: Vec<[usize; 4]>,
    labels: Vec<Vec<u8>>,
    samples: Vec<RawSample>,
    flush_every: usize,
}

type RawSample = (u8, u32, u64, usize, usize, Option<u64>, usize);

fn epoch() -> impl Strategy<Value = Epoch> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..12);
    let pick = 0..1000usize;
    let address = prop_oneof![0..0x4_0000u64, any::<u64>()];
    let time = prop_oneof![START_NS..START_NS + 1_000_000_000, any::<u64>()];
    let sample = (
        0..2u8,
        prop_oneof![0..4u32, any::<u32>()],
        time,
        pick.clone(),
        pick.clone(),
        prop::option::of(0..1u64 << 40),
        pick.clone(),
    );
    (
        prop::collection::vec(bytes(), 1..6),
        prop::collection::vec((any::<u32>(), bytes()), 1..6),
        prop::collection::vec((pick.clone(), pick.clone(), address), 1..60),
        prop::collection::vec(prop::array::uniform4(pick), 1..30),
        prop::collection::vec(bytes(), 0..4),
        prop::collection::vec(sample, 0..80),
        1..40usize,
    )
        .prop_map(|(modules, threads, nodes, stacks, labels, samples, flush_every)| Epoch {
            modules,
            threads,
            nodes,
            stacks,
            labels,
            samples,
            flush_every,
        })
}

/// A table that gives back written ids and holds the same rows for comparison.
#[derive(Default)]
struct Model {
    tables: Tables,
}

impl Model {
    fn define(&mut self, writer: &mut Writer<Vec<u8>>, epoch: &Epoch) {
        for path in &epoch.modules {
            let row = Module::new(ModuleKind::File, path.clone());
            self.tables.modules.push(row.clone());
            assert_eq!(writer.module(&row).index(), self.tables.modules.len());
        }
        for (tid, comm) in &epoch.threads {
            let (process, comm) = (ProcessId::NONE, comm.clone().into());
            let row = Thread { tid: Tid(*tid), process, comm, start_ns: 1 };
            self.tables.threads.push(row.clone());
            assert_eq!(writer.thread(&row).index(), self.tables.threads.len());
        }
        for (parent, module, address) in &epoch.nodes {
            let parent = NodeId((parent % (self.tables.nodes.len() + 1)) as u32);
            let module = ModuleId((module % (epoch.modules.len() + 1)) as u32);
            let row = Node { parent, module, address: *address };
            assert_eq!(writer.node(row), self.tables.nodes.push(row));
        }
        for [user, kernel, goroutine, end] in &epoch.stacks {
            let node = |pick: &usize| NodeId((pick % (epoch.nodes.len() + 1)) as u32);
            let ends = [StackEnd::Complete, StackEnd::Fault, StackEnd::NoUser, StackEnd::NotCode];
            let (user, kernel, end) = (node(user), node(kernel), ends[end % ends.len()]);
            // In most epochs no stack has one.
            let in_go = epoch.flush_every < 10;
            let goroutine = if in_go { node(goroutine) } else { NodeId::NONE };
            let row = Stack { user, kernel, goroutine, end };
            assert_eq!(writer.stack(row), self.tables.stacks.push(row));
        }
        for value in &epoch.labels {
            let row = LabelSet { keys: vec!["k".into()], values: vec![value.clone().into()] };
            self.tables.label_sets.push(row.clone());
            assert_eq!(writer.label_set(&row).index(), self.tables.label_sets.len());
        }
    }
}

fn sample_of(epoch: &Epoch, raw: &RawSample) -> Sample {
    let (event, cpu, time_ns, thread, stack, weight, label_set) = *raw;
    let pick = |pick: usize, rows: usize| (pick % (rows + 1)) as u32;
    Sample {
        event: EventId(1 + u32::from(event)),
        cpu,
        time_ns,
        thread: ThreadId(pick(thread, epoch.threads.len())),
        stack: StackId(pick(stack, epoch.stacks.len())),
        weight,
        label_set: LabelSetId(pick(label_set, epoch.labels.len())),
    }
}

fn write(epochs: &[Epoch]) -> (Vec<u8>, Vec<Resolved>) {
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    let mut written = Vec::new();
    let second = flush(START_NS, START_NS + 1_000_000_000, &[]);
    for (index, epoch) in epochs.iter().enumerate() {
        if index > 0 {
            writer.begin_epoch(&facts()).unwrap();
        }
        assert_eq!(writer.epoch() as usize, index + 1);
        let mut model = Model::default();
        model.define(&mut writer, epoch);
        for chunk in epoch.samples.chunks(epoch.flush_every) {
            for raw in chunk {
                let sample = sample_of(epoch, raw);
                writer.sample(&sample);
                let period = facts().events[sample.event.index() - 1].period;
                let weight = Some(sample.weight.unwrap_or(period));
                written.push(resolve(&model.tables, &Sample { weight, ..sample }));
            }
            writer.flush(&second).unwrap();
        }
    }
    (writer.finish(&second, &end_at(START_NS + 1)).unwrap(), written)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn everything_written_is_read(epochs in prop::collection::vec(epoch(), 1..4)) {
        let (file, mut written) = write(&epochs);
        let archive = Archive::from_bytes(file).unwrap();
        prop_assert_eq!(archive.damage().statements, Vec::<String>::new());
        let mut read = samples(&archive).unwrap();
        written.sort();
        read.sort();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn bytes_of_any_kind_open_or_say_why_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Archive::from_bytes(bytes).is_err());
    }
}

#[test]
fn facts_and_the_end_come_back() {
    let archive = Archive::from_bytes(SMALL.write()).unwrap();
    assert_eq!(*archive.facts(), facts());
    assert_eq!(archive.end(), Some(&end_at(START_NS + 6_000_000_000)));
}

#[test]
fn epochs_that_restate_rows_share_them() {
    let archive = Archive::from_bytes(SMALL.write()).unwrap();
    let tables = archive.tables();
    let paths: Vec<_> = tables.modules.iter().map(|module| module.path.file_name()).collect();
    assert_eq!(paths, ["server", "epoch0.so", "[kernel]", "[anon]", "epoch1.so"]);
    assert_eq!(tables.processes.len(), 3, "one executes the module that each epoch has anew");
    assert_eq!((tables.cgroups.len(), tables.label_sets.len(), tables.symbols.len()), (1, 1, 1));
    assert_eq!(tables.mappings.len(), 1);
    assert_eq!(tables.modules[3].process, ProcessId(1));
}

#[test]
fn a_flush_larger_than_a_block_is_split_and_all_of_it_is_read() {
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    let count = 40_000u32;
    for n in 0..count {
        let label = LabelSet { keys: vec!["n".into()], values: vec![n.to_string().into()] };
        let event = EventId(1 + n % 2);
        let sample =
            Sample { event, cpu: n % 7, label_set: writer.label_set(&label), ..Sample::default() };
        writer.sample(&sample);
        writer.exit(Exit { process: ProcessId::NONE, at_ns: 1 });
    }
    let file = writer.finish(&flush(0, 10, &[]), &end_at(10)).unwrap();
    let archive = Archive::from_bytes(file).unwrap();
    assert_eq!(archive.damage().statements, [""; 0]);
    assert_eq!(archive.tables().label_sets.len(), count as usize);
    let sums = visited(&archive);
    assert_eq!((sums[&1].0, sums[&2]), (20_000, (20_000, 2_000_000)));
    let spans: Vec<_> = archive.data_blocks().map(|block| block.unwrap().covered()).collect();
    assert!(spans.len() > 2 && spans.iter().all(|span| *span == (0..10)));
}

#[test]
fn an_epoch_ends_by_time_bytes_or_rows() {
    let limits = Limits { nodes: 3, epoch_bytes: 900, epoch_ns: 50, ..Limits::default() };
    let mut writer = Writer::new(Vec::new(), &facts(), limits).unwrap();
    assert!(!writer.wants_new_epoch(START_NS + 49));
    assert!(writer.wants_new_epoch(START_NS + 50));
    let node = |address| Node { parent: NodeId::NONE, module: ModuleId::NONE, address };
    assert_eq!([0, 1].map(|address| writer.node(node(address))), [NodeId(1), NodeId(2)]);
    assert!(!writer.wants_new_epoch(START_NS));
    writer.node(node(2));
    assert!(writer.wants_new_epoch(START_NS));
    writer.flush(&flush(0, 1, &[])).unwrap();
    writer.begin_epoch(&facts()).unwrap();
    assert_eq!(writer.node(node(2)), NodeId(1), "numbers start over");
    assert!(!writer.wants_new_epoch(START_NS));
    while writer.bytes_written() < 3000 {
        writer.flush(&flush(0, 1, &[])).unwrap();
    }
    assert!(writer.wants_new_epoch(START_NS));
}

#[test]
fn an_epoch_does_not_begin_with_samples_of_the_old_one() {
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    writer.sample(&Sample { event: EventId(1), time_ns: 8, ..Sample::default() });
    writer.sample(&Sample { event: EventId(1), time_ns: 6, ..Sample::default() });
    assert_eq!((writer.first_pending_ns(), writer.pending_samples()), (Some(6), 2));
    let error = writer.begin_epoch(&facts()).unwrap_err();
    assert!(matches!(error, Error::Unflushed { rows: 2 }));
    writer.flush(&flush(0, 9, &[])).unwrap();
    assert_eq!(writer.first_pending_ns(), None);
    writer.begin_epoch(&facts()).unwrap();
}

/// An output with room for some bytes.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room - self.bytes.len());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_full_disk_the_writer_is_closed_and_the_rest_readable() {
    let mut disk = Disk { bytes: Vec::new(), room: 1500 };
    let mut writer = Writer::new(&mut disk, &facts(), Limits::default()).unwrap();
    let sample = Sample { event: EventId(1), time_ns: 1, ..Sample::default() };
    let mut flushed = 0;
    let error = loop {
        writer.sample(&sample);
        match writer.flush(&flush(0, 2, &[])) {
            Ok(()) => flushed += 1,
            Err(error) => break error,
        }
    };
    let written_bytes = writer.bytes_written();
    assert!(matches!(error, Error::Write { written_bytes: at, .. } if at == written_bytes));
    writer.sample(&sample);
    let again = writer.flush(&flush(0, 2, &[])).unwrap_err();
    assert!(matches!(again, Error::Poisoned { written_bytes: at } if at == written_bytes));
    assert!(matches!(writer.begin_epoch(&facts()), Err(Error::Poisoned { .. })));
    drop(writer);
    assert!(flushed > 0 && disk.bytes.len() == 1500);
    let archive = Archive::from_bytes(disk.bytes).unwrap();
    assert_eq!(visited(&archive)[&1].0, flushed);
    assert!(!archive.damage().complete);
}

#[test]
fn texts_and_lists_of_hostile_length_are_cut_and_not_refused() {
    let mut writer = Writer::new(Vec::new(), &facts(), Limits::default()).unwrap();
    let mut module = Module::new(ModuleKind::File, vec![b'x'; 3 << 20]);
    let (file_offset, svma) = (FileOffset(1), Svma(2));
    let segment = Segment { file_offset, svma, file_bytes: 3, memory_bytes: 4, flags: 5 };
    module.segments = vec![segment; 65_535];
    writer.module(&module);
    let text = Text::from(vec![b'y'; 1 << 20]);
    writer.label_set(&LabelSet { keys: vec![text.clone(); 1000], values: vec![text; 1000] });
    let file = writer.finish(&flush(0, 1, &[]), &end_at(1)).unwrap();
    let archive = Archive::from_bytes(file).unwrap();
    assert!(archive.damage().complete);
    let module = &archive.tables().modules[0];
    assert_eq!((module.path.0.len(), module.segments.len()), (4096, 256));
    assert_eq!(archive.tables().label_sets[0].keys.len(), 32);
}

#[test]
fn a_file_reads_like_its_bytes() {
    let bytes = SMALL.write();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("a-file-reads.arc");
    std::fs::write(&path, &bytes).unwrap();
    let file = Archive::open(std::fs::File::open(&path).unwrap()).unwrap();
    let memory = Archive::from_bytes(bytes).unwrap();
    assert_eq!(samples(&file), samples(&memory));
    assert_eq!(file.damage(), memory.damage());
}
