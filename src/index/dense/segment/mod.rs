//! What is in a sealed file, and is it whole?
//!
//! Everything that a walk reads is verified when the file is opened; the vectors, of which a search
//! reads a few rows, are verified block by block as they are first read.

mod format;
mod map;
mod search;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use format::{END_BYTES, Footer, MAGIC, RowForm, Section, block_rows, cast};
use map::Mapping;
pub(super) use search::{Request, Searcher};
pub(super) use write::{sync_folder, write};

use super::graph::Links;
use super::projection::Projection;
use super::{DenseError, DenseOptions, Quantisation};
use crate::document::{Slot, SlotSet};
use crate::vector::kernel::Rows;

/// A sealed segment: mapped, verified, never changed.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    map: Mapping,
    footer: Footer,
    projection: Projection,
    slots: SlotSet,
    /// A bit for each block of vectors that was verified.
    verified: Vec<AtomicU64>,
}

impl Segment {
    /// Maps a segment of an index with these options and verifies what walks read.
    ///
    /// # Errors
    /// [`DenseError`]: corrupt if anything in the file is not as it was sealed or it belongs to
    /// another index; unavailable if the file system refuses.
    pub(super) fn open(path: &Path, options: &DenseOptions) -> Result<Self, DenseError> {
        let corrupt = |reason| DenseError::Corrupt { file: path.to_owned(), reason };
        let map = Mapping::open(path)?;
        let footer = read_footer(map.bytes()).map_err(corrupt)?;
        if footer.dimension != options.dimension || footer.metric != options.metric {
            return Err(corrupt(format!(
                "expected dimension {} and metric {}, got {} and {}",
                options.dimension,
                options.metric.name(),
                footer.dimension,
                footer.metric.name()
            )));
        }
        let bytes = map.bytes();
        verify(bytes, &footer).map_err(corrupt)?;
        let floats = |section: Section| {
            cast::<f32>(&bytes[section.range()]).map(<[f32]>::to_vec).unwrap_or_default()
        };
        let sections = &footer.sections;
        let projection = Projection { mean: floats(sections.mean), basis: floats(sections.basis) };
        let numbers = cast::<u32>(&bytes[sections.slots.range()]).unwrap_or_default();
        let slots = SlotSet::from_sorted_iter(numbers.iter().copied())
            .map_err(|_| corrupt("the slots do not ascend".to_owned()))?;
        if footer.form != RowForm::Floats {
            map.expect_random_reads(sections.vectors.range());
        }
        let blocks = footer.nodes.div_ceil(block_rows(footer.dimension));
        let verified = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { path: path.to_owned(), map, footer, projection, slots, verified })
    }

    /// Returns the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what the graph is searched on, as it was asked for.
    pub(super) fn quantisation(&self) -> Quantisation {
        self.footer.quantisation
    }

    /// Returns the slots that the segment has, deleted ones included.
    pub(super) fn slots(&self) -> &SlotSet {
        &self.slots
    }

    /// Returns the bytes of links, of what is walked on, of slot maps, and of vectors.
    pub(super) fn bytes(&self) -> [usize; 4] {
        let sections = &self.footer.sections;
        let links = sections.links.iter().map(|section| section.length).sum();
        let rows = sections.rows.length + sections.mean.length + sections.basis.length;
        let maps = [sections.slots, sections.nodes, sections.first_slots, sections.twins];
        let maps = maps.iter().map(|section| section.length).sum();
        let vectors = sections.vectors.length;
        // Without codes the vectors are what is walked on.
        if self.footer.form == RowForm::Floats {
            [links, rows + vectors, maps, 0]
        } else {
            [links, rows, maps, vectors]
        }
    }

    /// Verifies every block of vectors, too.
    ///
    /// # Errors
    /// [`DenseError::Corrupt`] naming the file.
    pub(super) fn verify_all(&self) -> Result<(), DenseError> {
        verify(self.map.bytes(), &self.footer)
            .map_err(|reason| DenseError::Corrupt { file: self.path.clone(), reason })?;
        (0..self.footer.nodes.div_ceil(block_rows(self.footer.dimension)))
            .try_for_each(|block| self.verify_block(block))
    }

    /// Returns the vector of a slot as it was inserted.
    ///
    /// # Errors
    /// [`DenseError::Corrupt`] if its bytes are not those that were sealed.
    pub(super) fn vector_of(&self, slot: Slot) -> Result<Option<&[f32]>, DenseError> {
        match self.slot_numbers().binary_search(&slot.0) {
            Ok(place) => self.vector(self.nodes()[place]).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Returns each live slot with its vector, ascending.
    ///
    /// # Errors
    /// [`DenseError::Corrupt`] if the bytes of a vector are not those that were sealed.
    pub(super) fn live_rows<'a>(
        &'a self,
        live: &'a SlotSet,
    ) -> impl Iterator<Item = Result<(Slot, &'a [f32]), DenseError>> {
        self.slot_numbers()
            .iter()
            .zip(self.nodes())
            .filter(|&(&slot, _)| live.contains(slot))
            .map(|(&slot, &node)| Ok((Slot(slot), self.vector(node)?)))
    }

    /// Returns the vector of a node.
    fn vector(&self, node: u32) -> Result<&[f32], DenseError> {
        let (dimension, node) = (self.footer.dimension, node as usize);
        self.verify_block(node / block_rows(dimension))?;
        self.vectors().get(node * dimension..(node + 1) * dimension).ok_or_else(|| {
            let reason = format!("there is no node {node}");
            DenseError::Corrupt { file: self.path.clone(), reason }
        })
    }

    fn verify_block(&self, block: usize) -> Result<(), DenseError> {
        let Some(word) = self.verified.get(block / 64) else { return Ok(()) };
        let bit = 1 << (block % 64);
        // The mapping never changes, so that it is enough for some thread to have seen it whole.
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let values = block_rows(self.footer.dimension) * self.footer.dimension;
        let vectors = self.vectors();
        let start = (block * values).min(vectors.len());
        let end = (start + values).min(vectors.len());
        let actual = crc32fast::hash(bytemuck::cast_slice(&vectors[start..end]));
        if self.numbers(self.footer.sections.vector_checksums).get(block) != Some(&actual) {
            let reason = format!("block {block} of the vectors fails its checksum");
            return Err(DenseError::Corrupt { file: self.path.clone(), reason });
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }

    fn numbers(&self, section: Section) -> &[u32] {
        cast(&self.map.bytes()[section.range()]).unwrap_or_default()
    }

    fn slot_numbers(&self) -> &[u32] {
        self.numbers(self.footer.sections.slots)
    }

    fn nodes(&self) -> &[u32] {
        self.numbers(self.footer.sections.nodes)
    }

    fn vectors(&self) -> &[f32] {
        cast(&self.map.bytes()[self.footer.sections.vectors.range()]).unwrap_or_default()
    }

    fn rows(&self) -> Rows<'_, u8> {
        let bytes = &self.map.bytes()[self.footer.sections.rows.range()];
        Rows::new(bytes, self.footer.row_bytes.max(1))
    }

    fn links(&self) -> Links<'_> {
        let sections = self.footer.sections.links.iter().zip(&self.footer.layers);
        Links {
            layers: sections
                .map(|(&section, layer)| Rows::new(self.numbers(section), layer.width))
                .collect(),
        }
    }
}

fn read_footer(bytes: &[u8]) -> Result<Footer, String> {
    let body = bytes.len().checked_sub(END_BYTES).ok_or("the file is too short")?;
    let (front, end) = bytes.split_at(body);
    if !front.starts_with(&MAGIC) || !end.ends_with(&MAGIC) {
        return Err("the file does not begin and end as a segment does".to_owned());
    }
    let number = |range: std::ops::Range<usize>| {
        end[range].iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let offset = usize::try_from(number(0..8)).map_err(|error| error.to_string())?;
    let text = front.get(offset..).ok_or("the footer lies outside of the file")?;
    if number(8..12) != text.len() as u64 {
        return Err(format!("the footer has {} bytes, expected {}", text.len(), number(8..12)));
    }
    if number(12..16) != u64::from(crc32fast::hash(text)) {
        return Err("the footer fails its checksum".to_owned());
    }
    let footer: Footer = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    footer.check(offset)?;
    Ok(footer)
}

/// Verifies all that walks read.
fn verify(bytes: &[u8], footer: &Footer) -> Result<(), String> {
    let sections = &footer.sections;
    let mut eager = vec![
        ("mean", sections.mean),
        ("basis", sections.basis),
        ("rows", sections.rows),
        ("slots", sections.slots),
        ("nodes", sections.nodes),
        ("first slots", sections.first_slots),
        ("twins", sections.twins),
        ("vector checksums", sections.vector_checksums),
    ];
    eager.extend(sections.links.iter().map(|&links| ("links", links)));
    if footer.form == RowForm::Floats {
        eager.push(("vectors", sections.vectors));
    }
    for (name, section) in eager {
        if crc32fast::hash(&bytes[section.range()]) != section.checksum {
            return Err(format!("{name} fail their checksum"));
        }
    }
    let nodes: &[u32] = cast(&bytes[sections.nodes.range()]).unwrap_or_default();
    if nodes.iter().any(|&node| node as usize >= footer.nodes) {
        return Err("a slot has a node that is not there".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
