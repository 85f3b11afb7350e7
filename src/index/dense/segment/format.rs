//! What a segment file looks like. Persisted.
//!
//! ```text
//! magic | sections, each starting on a page | footer (JSON) | end: footer offset u64, footer length
//! u32, CRC-32 of the footer u32, magic
//! ```
//!
//! Numbers are little-endian. The footer gives the place and the CRC-32 of every section, but for
//! the vectors, which have one for each block so that they need not all be read on opening. A new
//! version number is a new layout; files of another version are rebuilt.

use std::ops::Range;

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

use super::super::Quantisation;
use super::super::plan::BREADTH_MAX;
use super::super::space::{BitSpace, CodeSpace};
use crate::vector::Metric;

#[cfg(target_endian = "big")]
compile_error!("segments are mapped as they lie, and they are little-endian");

/// Begins and ends a segment file.
pub(super) const MAGIC: [u8; 8] = *b"SIMILEVS";
/// The layout that is described here.
pub(super) const VERSION: u32 = 1;
/// Sections start at multiples of this.
pub(super) const PAGE_BYTES: usize = 4_096;
/// Bytes after the footer.
pub(super) const END_BYTES: usize = 24;
/// How many bytes of vectors are checked together, at least a row.
const BLOCK_BYTES: usize = 65_536;

/// A range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) offset: usize,
    pub(super) length: usize,
    /// The CRC-32 of the bytes.
    pub(super) checksum: u32,
}

/// In which form the rows are that the graph is walked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowForm {
    /// The vectors.
    Floats,
    /// A byte a component.
    Codes,
    /// A bit a component.
    Bits,
}

/// How many nodes a layer has, and how many links a node has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerShape {
    pub(super) nodes: usize,
    pub(super) width: usize,
}

/// What a segment holds and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Footer {
    pub(super) version: u32,
    pub(super) dimension: usize,
    pub(super) metric: Metric,
    pub(super) quantisation: Quantisation,
    /// How many slots the segment has.
    pub(super) slots: usize,
    /// How many distinct vectors they have, which is how many nodes there are.
    pub(super) nodes: usize,
    pub(super) form: RowForm,
    /// Components of a projected vector.
    pub(super) components: usize,
    /// Bytes of a row of codes or bits.
    pub(super) row_bytes: usize,
    /// The lowest layer first.
    pub(super) layers: Vec<LayerShape>,
    /// Nodes that a search does not find: they are always compared.
    pub(super) stragglers: Vec<u32>,
    /// The standard deviation of keys from exact ones, of a query of length one.
    pub(super) deviation: f32,
    /// How many times as many candidates as a search asks for a walk keeps; files of before it was
    /// measured do not say.
    #[serde(default = "usual_breadth")]
    pub(super) breadth: f32,
    pub(super) sections: Sections,
}

fn usual_breadth() -> f32 {
    1.0
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sections {
    /// What is taken away from a vector before it is projected: `dimension` floats.
    pub(super) mean: Section,
    /// The rows of the projection: `components` x `dimension` floats, or nothing.
    pub(super) basis: Section,
    /// The codes or bits: `nodes` x `row_bytes`, or nothing.
    pub(super) rows: Section,
    /// The links of each layer: nodes x width numbers of nodes.
    pub(super) links: Vec<Section>,
    /// The slots, ascending.
    pub(super) slots: Section,
    /// The node of each slot.
    pub(super) nodes: Section,
    /// The first slot of each node.
    pub(super) first_slots: Section,
    /// The other slots of nodes that have more than one: pairs of node and slot, ascending.
    pub(super) twins: Section,
    /// The vectors as they were inserted, in the order of nodes: `nodes` x `dimension` floats.
    pub(super) vectors: Section,
    /// The CRC-32 of each block of vectors.
    pub(super) vector_checksums: Section,
}

impl Section {
    /// Returns where the section ends.
    pub(super) fn end(&self) -> Option<usize> {
        self.offset.checked_add(self.length)
    }

    /// Returns where in the file the section is.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.length
    }
}

/// Returns how many rows of vectors a block has.
pub(super) fn block_rows(dimension: usize) -> usize {
    (BLOCK_BYTES / (4 * dimension).max(1)).max(1)
}

/// Returns bytes as the numbers they are, or none if they are no whole number of them.
pub(super) fn cast<T: Pod>(bytes: &[u8]) -> Option<&[T]> {
    bytemuck::try_cast_slice(bytes).ok()
}

impl Footer {
    /// Checks what the footer says against itself, so that every section has the length that what
    /// it holds needs.
    pub(super) fn check(&self, file_bytes: usize) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("expected version {VERSION}, got {}", self.version));
        }
        let layered = self.layers.windows(2).all(|pair| pair[1].nodes <= pair[0].nodes);
        let starts = self.layers.first().is_some_and(|lowest| lowest.nodes == self.nodes);
        if !layered
            || !starts
            || self.layers.iter().any(|layer| layer.nodes == 0 || layer.width == 0)
        {
            return Err("the layers do not fit each other".to_owned());
        }
        if !(1.0..=BREADTH_MAX).contains(&self.breadth) {
            return Err(format!("expected a breadth of 1 to {BREADTH_MAX}, got {}", self.breadth));
        }
        if self.stragglers.iter().any(|&node| node as usize >= self.nodes) {
            return Err("a straggler is no node".to_owned());
        }
        if self.nodes > self.slots || self.sections.links.len() != self.layers.len() {
            return Err("the counts do not fit each other".to_owned());
        }
        self.check_form()?;
        self.check_lengths(file_bytes)
    }

    /// Checks that the rows are as wide as their components need.
    fn check_form(&self) -> Result<(), String> {
        let is_projected = self.sections.basis.length > 0;
        let fits = if is_projected {
            (1..=self.dimension).contains(&self.components)
        } else {
            self.components == self.dimension
        };
        if !fits {
            return Err(format!("{} components of {} remain", self.components, self.dimension));
        }
        let expected = match self.form {
            RowForm::Floats => 0,
            RowForm::Codes => CodeSpace::width(self.components),
            RowForm::Bits => BitSpace::width(self.components),
        };
        if self.row_bytes == expected {
            Ok(())
        } else {
            Err(format!("a row takes {} bytes, expected {expected}", self.row_bytes))
        }
    }

    fn check_lengths(&self, file_bytes: usize) -> Result<(), String> {
        let sections = &self.sections;
        let basis_rows = if sections.basis.length == 0 { 0 } else { self.components };
        let blocks = self.nodes.div_ceil(block_rows(self.dimension));
        let mut expected = vec![
            ("mean", sections.mean, [self.dimension, 4]),
            ("basis", sections.basis, [basis_rows.saturating_mul(self.dimension), 4]),
            ("rows", sections.rows, [self.nodes, self.row_bytes]),
            ("slots", sections.slots, [self.slots, 4]),
            ("nodes", sections.nodes, [self.slots, 4]),
            ("first slots", sections.first_slots, [self.nodes, 4]),
            ("twins", sections.twins, [self.slots - self.nodes, 8]),
            ("vectors", sections.vectors, [self.nodes.saturating_mul(self.dimension), 4]),
            ("vector checksums", sections.vector_checksums, [blocks, 4]),
        ];
        for (layer, &links) in self.layers.iter().zip(&sections.links) {
            expected.push(("links", links, [layer.nodes.saturating_mul(layer.width), 4]));
        }
        for (name, section, [count, size]) in expected {
            let needed = count.saturating_mul(size);
            if section.length != needed {
                return Err(format!("{name} take {} bytes, expected {needed}", section.length));
            }
            if section.offset % PAGE_BYTES != 0 || section.end().is_none_or(|end| end > file_bytes)
            {
                return Err(format!("{name} lie outside of the file"));
            }
        }
        Ok(())
    }
}
