//! Files, or sections of them, that travel inside the archive: cut into pieces when written, put
//! together when asked for.

use profile::ModuleId;
use prost::Message;

use crate::header::MAX_INFLATED_BYTES;
use crate::inflate::{Inflater, LostReason};
use crate::{Archive, schema};

/// A piece and its fields fit into one block.
const PIECE_BYTES: usize = MAX_INFLATED_BYTES / 2;
/// Nothing that is embedded is larger; a hostile file may say anything.
const MAX_EMBEDDED_BYTES: usize = 256 << 20;

/// The blocks of one section.
pub(crate) fn pieces<'a>(
    module: ModuleId,
    section: &'a str,
    content: &'a [u8],
) -> impl Iterator<Item = schema::Embed> + 'a {
    content.chunks(PIECE_BYTES).enumerate().map(move |(index, piece)| schema::Embed {
        module: module.0,
        section: section.into(),
        total_bytes: content.len() as u64,
        at: (index * PIECE_BYTES) as u64,
        content: piece.to_vec(),
        ..schema::Embed::default()
    })
}

impl Archive {
    /// A section of a module that the archive itself holds, or with an empty name its whole file;
    /// `None` when there is none, or a piece of it is lost.
    #[must_use]
    pub fn embedded(&self, module: ModuleId, section: &str) -> Option<Vec<u8>> {
        let mut inflater = Inflater::new();
        let mut content = Vec::new();
        for frame in &self.index.embeds {
            let Ok(piece) = self.piece(&mut inflater, frame) else { continue };
            let ids = self.epochs.get(&frame.header.epoch).unwrap_or(&self.no_ids);
            if ids.modules.get(piece.module) != module.0
                || module == ModuleId::NONE
                || piece.section != section.as_bytes()
            {
                continue;
            }
            // In order, or a piece is lost; a second copy (of another epoch) begins again.
            if piece.at == 0 {
                content.clear();
            }
            if piece.at != content.len() as u64 || content.len() > MAX_EMBEDDED_BYTES {
                return None;
            }
            content.extend_from_slice(&piece.content);
            if content.len() as u64 == piece.total_bytes {
                return Some(content);
            }
        }
        None
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
