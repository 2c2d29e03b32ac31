//! Files, or parts of them, that travel inside the archive: cut into pieces when written, put together
//! when asked for.

use std::collections::BTreeMap;

use profile::ModuleId;
use prost::Message;

use crate::header::MAX_INFLATED_BYTES;
use crate::inflate::{Inflater, LostReason};
use crate::{Archive, schema};

/// A piece and its fields fit into one block.
pub(crate) const PIECE_BYTES: usize = MAX_INFLATED_BYTES / 2;
/// Nothing that is embedded is larger; a hostile file may say anything. Pages of headers stand before up
/// to 64 MiB of tables.
const MAX_EMBEDDED_BYTES: u64 = (64 << 20) + (2 << 20);

/// The blocks of one section.
pub(crate) fn pieces<'a>(
    module: ModuleId,
    section: &'a str,
    content: &'a [u8],
) -> impl Iterator<Item = schema::Embed> + 'a {
    content.chunks(PIECE_BYTES).enumerate().map(move |(index, bytes)| {
        let at = (index * PIECE_BYTES) as u64;
        piece(module, section, content.len() as u64, at, bytes.to_vec())
    })
}

pub(crate) fn piece(
    module: ModuleId,
    section: &str,
    total_bytes: u64,
    at: u64,
    content: Vec<u8>,
) -> schema::Embed {
    schema::Embed {
        module: module.0,
        section: section.into(),
        total_bytes,
        at,
        content,
        ..schema::Embed::default()
    }
}

/// The frames of all pieces by what they are of: merged module and section.
pub(crate) type Places = BTreeMap<(u32, Vec<u8>), Vec<crate::scan::Frame>>;

impl Archive {
    /// A section of a module that the archive itself holds, or with an empty name its whole file;
    /// `None` when there is none, or a piece of it is lost.
    #[must_use]
    pub fn embedded(&self, module: ModuleId, section: &str) -> Option<Vec<u8>> {
        let frames = self.embedded_places().get(&(module.0, section.as_bytes().to_vec()))?;
        // Made for what is there only: most modules have nothing.
        let mut inflater = Inflater::new();
        let mut content = Vec::new();
        for frame in frames {
            let piece = self.piece(&mut inflater, frame).ok()?;
            // In order, or a piece is lost; a second copy (of another epoch) begins again.
            if piece.at == 0 {
                content.clear();
            }
            if piece.at != content.len() as u64 || piece.total_bytes > MAX_EMBEDDED_BYTES {
                return None;
            }
            content.extend_from_slice(&piece.content);
            if content.len() as u64 > piece.total_bytes {
                return None;
            }
            if content.len() as u64 == piece.total_bytes {
                return Some(content);
            }
        }
        None
    }

    /// Which sections of which modules the archive holds.
    pub fn embeds(&self) -> impl Iterator<Item = (ModuleId, &[u8])> {
        self.embedded_places().keys().map(|(module, section)| (ModuleId(*module), &section[..]))
    }

    fn embedded_places(&self) -> &Places {
        self.embedded_places.get_or_init(|| self.find_embedded(&mut Inflater::new()))
    }

    /// Reads every piece once: a lookup by each of a hundred modules would otherwise read all of them.
    fn find_embedded(&self, inflater: &mut Inflater) -> Places {
        let mut places = Places::new();
        for frame in &self.index.embeds {
            let Ok(piece) = self.piece(inflater, frame) else { continue };
            let ids = self.epochs.get(&frame.header.epoch).unwrap_or(&self.no_ids);
            let module = ids.modules.get(piece.module);
            if module != ModuleId::NONE.0 {
                places.entry((module, piece.section)).or_default().push(*frame);
            }
        }
        places
    }

    fn piece(
        &self,
        inflater: &mut Inflater,
        frame: &crate::scan::Frame,
    ) -> Result<schema::Embed, LostReason> {
        let nonsense = LostReason::Content("its content is not what the schema says");
        let content = inflater.inflate(&self.source, frame)?;
        let archive = schema::Archive::decode(&content[..]).map_err(|_| nonsense)?;
        archive.blocks.into_iter().next().and_then(|block| block.embed).ok_or(nonsense)
    }
}
