//! What a file says of itself before its records: events and features.
//!
//! ```text
//! file:  magic, sections (attributes, data, …), feature bits │ attributes │ data │ feature sections
//! pipe:  magic, 16 │ records, of which the first ones are attributes and features
//! ```
//! A file that was cut off has lost its features, because they stand behind the data: what they say is
//! convenient and never needed. Nothing is allocated on the word of a field: a section is read as far as
//! the file goes.

use std::io::{self, Read, Seek, SeekFrom};

use profile::Text;
use rustc_hash::FxHashMap;

use super::PerfDataError;
use super::attribute::Attribute;
use super::bytes::Bytes;

/// "PERFILE2", and what it becomes on a machine of the other byte order.
pub(super) const MAGIC: [u8; 8] = *b"PERFILE2";
pub(super) const SWAPPED_MAGIC: [u8; 8] = *b"2ELIFREP";
/// Size of the header that begins a pipe.
const PIPE_HEADER_BYTES: u64 = 16;
/// Real recordings have a few events, of one descriptor for each CPU and thread.
const MAX_EVENTS: usize = 1024;
/// Longest feature that is read; the longest real one (the topology of a large machine) has some MB.
const MAX_FEATURE_BYTES: u64 = 16 << 20;
const MAX_ATTRIBUTE_BYTES: u64 = 16 << 20;

/// Numbers of features, in the order of their bits and sections.
mod feature {
    pub(super) const BUILD_ID: u32 = 2;
    pub(super) const HOST_NAME: u32 = 3;
    pub(super) const OS_RELEASE: u32 = 4;
    pub(super) const VERSION: u32 = 5;
    pub(super) const ARCH: u32 = 6;
    pub(super) const CPUS: u32 = 7;
    pub(super) const COMMAND_LINE: u32 = 11;
    pub(super) const EVENTS: u32 = 12;
    pub(super) const CLOCK_DATA: u32 = 29;
    pub(super) const BITS: u32 = 256;

    /// Those that are read.
    pub(super) const USED: [u32; 9] =
        [BUILD_ID, HOST_NAME, OS_RELEASE, VERSION, ARCH, CPUS, COMMAND_LINE, EVENTS, CLOCK_DATA];
}

/// Bits of a build-id's `misc`.
const MISC_CPU_MODE: u16 = 7;
const MISC_BUILD_ID_SIZE: u16 = 1 << 15;
const CPU_MODE_KERNEL: u16 = 1;

/// Where the records stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Data {
    /// From here, so many bytes.
    Section { offset: u64, bytes: u64 },
    /// From here to the end: a pipe, or a file that perf could not finish.
    Rest { offset: u64 },
}

/// Times of the recording's clock and of Unix time at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ClockPair {
    pub(super) realtime_ns: u64,
    pub(super) recorded_ns: u64,
}

/// What is known besides the records.
#[derive(Clone, Default, Debug)]
pub(super) struct About {
    pub(super) attributes: Vec<Attribute>,
    pub(super) host: Text,
    pub(super) kernel_release: Text,
    pub(super) perf_version: Text,
    pub(super) arch: Text,
    pub(super) cpus_online: u32,
    pub(super) command_line: Vec<Text>,
    pub(super) clock: Option<ClockPair>,
    /// By the path that mapping records state.
    pub(super) build_ids: FxHashMap<Vec<u8>, Vec<u8>>,
    /// Of the kernel's own image, under whatever path.
    pub(super) kernel_build_id: Vec<u8>,
    /// Whether all of the features are there.
    pub(super) has_features: bool,
}

impl About {
    /// Takes an event that a pipe states. False: it is none, or there are too many.
    pub(super) fn add_attribute(&mut self, body: &[u8]) -> bool {
        let attribute = Attribute::read(body).zip(Attribute::stated_bytes(body));
        let Some((mut attribute, bytes)) = attribute else { return false };
        attribute.ids = words(&body[bytes..]);
        let fits = self.attributes.len() < MAX_EVENTS;
        if fits {
            self.attributes.push(attribute);
        }
        fits
    }

    /// Takes one feature's section, as far as it is of use. What does not read is left out.
    pub(super) fn add_feature(&mut self, number: u32, section: &[u8]) {
        let mut fields = Bytes(section);
        let text = |mut fields: Bytes<'_>| fields.counted_text().unwrap_or_default().into();
        match number {
            feature::BUILD_ID => self.add_build_ids(fields),
            feature::HOST_NAME => self.host = text(fields),
            feature::OS_RELEASE => self.kernel_release = text(fields),
            feature::VERSION => self.perf_version = text(fields),
            feature::ARCH => self.arch = text(fields),
            feature::CPUS => {
                let _configured = fields.u32();
                self.cpus_online = fields.u32().unwrap_or(0);
            }
            feature::COMMAND_LINE => {
                let _count = fields.u32();
                let words = std::iter::from_fn(|| fields.counted_text());
                self.command_line = words.map(Text::from).collect();
            }
            feature::EVENTS => self.add_event_names(fields),
            feature::CLOCK_DATA => self.clock = clock_pair(fields),
            _ => {}
        }
    }

    /// Build-ids stand as records, one behind the other.
    fn add_build_ids(&mut self, mut fields: Bytes<'_>) {
        while let (Some(_kind), Some(misc), Some(size)) = (fields.u32(), fields.u16(), fields.u16())
        {
            let Some(body) = fields.take(usize::from(size).saturating_sub(8)) else { return };
            self.add_build_id(misc, body);
        }
    }

    /// One of them; pipes have it as a record of its own.
    pub(super) fn add_build_id(&mut self, misc: u16, body: &[u8]) {
        let mut fields = Bytes(body);
        let (Some(_pid), Some(id)) = (fields.u32(), fields.take(24)) else { return };
        let length = match misc & MISC_BUILD_ID_SIZE {
            0 => 20,
            _ => usize::from(id[20]).min(20),
        };
        let (path, id) = (fields.text(), id[..length].to_vec());
        let is_image = !path.ends_with(b".ko") && !path.windows(4).any(|part| part == b".ko.");
        let is_module = path.starts_with(b"[") && !path.starts_with(b"[kernel");
        if misc & MISC_CPU_MODE == CPU_MODE_KERNEL && is_image && !is_module {
            self.kernel_build_id.clone_from(&id);
        }
        self.build_ids.insert(path.to_vec(), id);
    }

    /// Names stand beside a copy of each attribute, in the same order.
    fn add_event_names(&mut self, mut fields: Bytes<'_>) {
        let (Some(count), Some(attribute_bytes)) = (fields.u32(), fields.u32()) else { return };
        for index in 0..count as usize {
            let attribute = fields.take(attribute_bytes as usize);
            let (Some(_), Some(ids), Some(name)) = (attribute, fields.u32(), fields.counted_text())
            else {
                return;
            };
            let Some(ids) = fields.take_items(ids.into(), 8) else { return };
            let ids = words(ids);
            let same = |known: &Attribute| !ids.is_empty() && known.ids.first() == ids.first();
            let by_id = self.attributes.iter().position(same);
            let Some(known) = self.attributes.get_mut(by_id.unwrap_or(index)) else { continue };
            known.name = name.into();
            if known.ids.is_empty() {
                known.ids = ids;
            }
        }
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

fn clock_pair(mut fields: Bytes<'_>) -> Option<ClockPair> {
    let version = fields.u32()?;
    let _clock = fields.u32()?;
    let (realtime_ns, recorded_ns) = (fields.u64()?, fields.u64()?);
    (version == 1).then_some(ClockPair { realtime_ns, recorded_ns })
}

#[derive(Clone, Copy)]
struct Section {
    offset: u64,
    bytes: u64,
}

fn section(fields: &mut Bytes<'_>) -> Option<Section> {
    Some(Section { offset: fields.u64()?, bytes: fields.u64()? })
}

/// Whether a file's first bytes are those of a pipe, which need not be sought in.
pub(super) fn is_pipe(head: &[u8]) -> bool {
    let mut fields = Bytes(head);
    fields.take(8).is_some_and(|magic| magic == MAGIC) && fields.u64() == Some(PIPE_HEADER_BYTES)
}

/// Reads the header of a pipe.
pub(super) fn open_pipe(input: &mut impl Read) -> Result<(About, Data), PerfDataError> {
    let head = read_up_to(input, PIPE_HEADER_BYTES).map_err(PerfDataError::Read)?;
    if head.get(..8) == Some(&SWAPPED_MAGIC) {
        return Err(PerfDataError::BigEndian);
    }
    match is_pipe(&head) {
        true => Ok((About { has_features: true, ..About::default() }, Data::Rest { offset: 16 })),
        false => Err(PerfDataError::Header("it begins like none")),
    }
}

/// Reads what a file says of itself; `input` then stands where its records begin.
pub(super) fn open_file<R: Read + Seek>(input: &mut R) -> Result<(About, Data), PerfDataError> {
    let read = PerfDataError::Read;
    let file_bytes = input.seek(SeekFrom::End(0)).map_err(read)?;
    input.seek(SeekFrom::Start(0)).map_err(read)?;
    let head = read_up_to(input, 104).map_err(read)?;
    if head.get(..8) == Some(&SWAPPED_MAGIC) {
        return Err(PerfDataError::BigEndian);
    }
    let header = header(&head).ok_or(PerfDataError::Header("it has less than a header"))?;
    let mut about = About::default();
    read_attributes(input, &header, &mut about)?;
    let Section { offset, bytes } = header.data;
    // Perf fills in the size when it ends.
    let whole = offset.checked_add(bytes).filter(|end| bytes > 0 && *end <= file_bytes);
    if let Some(end) = whole {
        read_features(input, end, &header.features, &mut about).map_err(read)?;
    }
    let data = if bytes > 0 { Data::Section { offset, bytes } } else { Data::Rest { offset } };
    if offset > file_bytes {
        return Err(PerfDataError::Header("its records would begin behind its end"));
    }
    input.seek(SeekFrom::Start(offset)).map_err(read)?;
    if about.attributes.is_empty() {
        return Err(PerfDataError::Header("it describes no event"));
    }
    Ok((about, data))
}

struct Header {
    attribute_bytes: u64,
    attributes: Section,
    data: Section,
    /// 256 bits.
    features: [u64; 4],
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut fields = Bytes(bytes);
    let _magic = fields.u64()?;
    let _size = fields.u64()?;
    let attribute_bytes = fields.u64()?;
    let (attributes, data) = (section(&mut fields)?, section(&mut fields)?);
    let _event_types = section(&mut fields)?;
    let features = [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
    Some(Header { attribute_bytes, attributes, data, features })
}

/// Each attribute is followed by the place of its ids.
fn read_attributes<R: Read + Seek>(
    input: &mut R,
    header: &Header,
    about: &mut About,
) -> Result<(), PerfDataError> {
    let section = read_section(input, header.attributes, MAX_ATTRIBUTE_BYTES);
    let section = section.map_err(PerfDataError::Read)?;
    let each = usize::try_from(header.attribute_bytes).unwrap_or(usize::MAX);
    let Some(length) = each.checked_sub(16).filter(|length| *length >= 64) else {
        return Err(PerfDataError::Header("its events have no size"));
    };
    let mut ids_left = MAX_ATTRIBUTE_BYTES;
    for entry in section.chunks_exact(each).take(MAX_EVENTS) {
        let mut attribute = Attribute::read(&entry[..length])
            .ok_or(PerfDataError::Header("an event cannot be read"))?;
        let ids = self::section(&mut Bytes(&entry[length..]));
        if let Some(ids) = ids {
            let ids = read_section(input, ids, ids_left).map_err(PerfDataError::Read)?;
            ids_left -= ids.len() as u64;
            attribute.ids = words(&ids);
        }
        about.attributes.push(attribute);
    }
    Ok(())
}

/// For each bit that is set, in their order, there is a section.
fn read_features<R: Read + Seek>(
    input: &mut R,
    at: u64,
    bits: &[u64; 4],
    about: &mut About,
) -> io::Result<()> {
    let is_set = |number: &u32| bits[*number as usize / 64] >> (number % 64) & 1 != 0;
    let numbers: Vec<u32> = (0..feature::BITS).filter(is_set).collect();
    let file_bytes = input.seek(SeekFrom::End(0))?;
    input.seek(SeekFrom::Start(at))?;
    let table = read_up_to(input, numbers.len() as u64 * 16)?;
    about.has_features = table.len() == numbers.len() * 16;
    let mut fields = Bytes(&table);
    for number in numbers {
        let Some(place) = section(&mut fields) else { break };
        let end = place.offset.checked_add(place.bytes);
        about.has_features &= end.is_some_and(|end| end <= file_bytes);
        if feature::USED.contains(&number) {
            let content = read_section(input, place, MAX_FEATURE_BYTES)?;
            about.add_feature(number, &content);
        }
    }
    Ok(())
}

/// As much of a section as there is, and not more than `most`.
fn read_section<R: Read + Seek>(input: &mut R, place: Section, most: u64) -> io::Result<Vec<u8>> {
    input.seek(SeekFrom::Start(place.offset.min(i64::MAX as u64)))?;
    read_up_to(input, place.bytes.min(most))
}

fn read_up_to(input: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    input.take(bytes).read_to_end(&mut content)?;
    Ok(content)
}
