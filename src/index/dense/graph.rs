use std::io;

use super::pages::Pages;
use crate::vector::kernel::Rows;

/// Ends a row of links that has fewer than it could.
pub(super) const NO_LINK: u32 = u32::MAX;

/// The links of the nodes of one layer, in rows of equal width ended by [`NO_LINK`].
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) links: Pages<u32>,
    pub(super) width: usize,
}

/// A proximity graph in memory. Nodes are numbered so that those of the upper layers come first:
/// layer `l` has the nodes `0..layers[l].count()`, and node 0 is on every layer.
#[derive(Debug)]
pub(super) struct Graph {
    /// The lowest layer first; it has every node.
    pub(super) layers: Vec<Layer>,
}

/// The links of a graph wherever they are kept, the lowest layer first.
#[derive(Debug, Clone)]
pub(super) struct Links<'a> {
    pub(super) layers: Vec<Rows<'a, u32>>,
}

impl Layer {
    /// Returns a layer of that many nodes without links.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub(super) fn empty(count: usize, width: usize) -> io::Result<Self> {
        let mut links = Pages::zeroed(count * width)?;
        links.fill(NO_LINK);
        Ok(Self { links, width })
    }

    /// Returns how many nodes the layer has.
    pub(super) fn count(&self) -> usize {
        self.links.len() / self.width
    }

    /// Returns the links of a node.
    pub(super) fn of(&self, node: u32) -> &[u32] {
        linked(self.rows().row(node as usize))
    }

    /// Replaces the links of a node; those that do not fit are left out.
    pub(super) fn set(&mut self, node: u32, links: &[u32]) {
        let start = node as usize * self.width;
        set_row(&mut self.links[start..start + self.width], links);
    }

    /// Returns the rows of links.
    pub(super) fn rows(&self) -> Rows<'_, u32> {
        Rows::new(&self.links, self.width)
    }
}

impl Graph {
    /// Returns how many nodes there are.
    pub(super) fn count(&self) -> usize {
        self.layers.first().map_or(0, Layer::count)
    }

    /// Returns the links to search in.
    pub(super) fn links(&self) -> Links<'_> {
        Links { layers: self.layers.iter().map(Layer::rows).collect() }
    }
}

/// Returns the links of a row, without what ends it.
pub(super) fn linked(row: &[u32]) -> &[u32] {
    let length = row.iter().position(|&link| link == NO_LINK).unwrap_or(row.len());
    &row[..length]
}

/// Fills a row with links; those that do not fit are left out.
pub(super) fn set_row(row: &mut [u32], links: &[u32]) {
    let length = links.len().min(row.len());
    row[..length].copy_from_slice(&links[..length]);
    row[length..].fill(NO_LINK);
}
