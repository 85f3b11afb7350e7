use std::io::{self, Write};
use std::path::Path;

use bytemuck::Pod;

use super::super::build::Draft;
use super::super::form::Form;
use super::super::{DenseError, DenseOptions};
use super::format::{
    Footer, LayerShape, MAGIC, PAGE_BYTES, RowForm, Section, Sections, VERSION, block_rows,
};
use crate::document::Slot;

/// Writes a segment: under another name first, so that what bears the name is complete.
///
/// `slots` and `vectors` are what the draft was built over; slots ascend.
///
/// # Errors
/// [`DenseError`]: unavailable if the file system refuses.
pub(in super::super) fn write(
    path: &Path,
    draft: &Draft,
    slots: &[Slot],
    vectors: &[&[f32]],
    options: &DenseOptions,
) -> Result<(), DenseError> {
    let unfinished = path.with_extension("unfinished");
    let mut out = Out { file: io::BufWriter::new(fs_err::File::create(&unfinished)?), offset: 0 };
    out.put(&MAGIC)?;
    let (form, projection) = match &draft.form {
        Form::Floats => (RowForm::Floats, None),
        Form::Codes(projection) => (RowForm::Codes, Some(projection)),
        Form::Bits(projection) => (RowForm::Bits, Some(projection)),
    };
    let no_mean = vec![0.0; options.dimension];
    let mean = projection.map_or(&no_mean, |projection| &projection.mean);
    let basis = projection.map_or(&[][..], |projection| &projection.basis);
    let (rows, row_bytes) =
        draft.codes.as_ref().map_or((&[][..], 0), |(codes, width)| (&**codes, *width));
    let numbers: Vec<u32> = slots.iter().map(|slot| slot.0).collect();
    let first_slots: Vec<u32> = draft.firsts.iter().map(|&first| numbers[first as usize]).collect();
    let mut links = Vec::with_capacity(draft.graph.layers.len());
    for layer in &draft.graph.layers {
        links.push(out.section(&layer.links)?);
    }
    let sections = Sections {
        mean: out.section(mean)?,
        basis: out.section(basis)?,
        rows: out.section(rows)?,
        links,
        slots: out.section(&numbers)?,
        nodes: out.section(&draft.nodes)?,
        first_slots: out.section(&first_slots)?,
        twins: out.section(&twins(draft, &numbers, &first_slots))?,
        vector_checksums: out.section(&block_checksums(draft, vectors, options.dimension))?,
        vectors: out.rows(draft.firsts.iter().map(|&first| vectors[first as usize]))?,
    };
    let footer = Footer {
        version: VERSION,
        dimension: options.dimension,
        metric: options.metric,
        quantisation: options.quantisation,
        slots: numbers.len(),
        nodes: draft.firsts.len(),
        form,
        components: projection.map_or(options.dimension, |projection| projection.components()),
        row_bytes,
        layers: draft
            .graph
            .layers
            .iter()
            .map(|layer| LayerShape { nodes: layer.count(), width: layer.width })
            .collect(),
        stragglers: draft.stragglers.clone(),
        deviation: draft.deviation,
        breadth: draft.breadth,
        sections,
    };
    out.finish(&footer)?;
    fs_err::rename(&unfinished, path)?;
    sync_folder(path)
}

/// Makes what was created, renamed or removed in the folder of a file durable.
pub(in super::super) fn sync_folder(path: &Path) -> Result<(), DenseError> {
    if let Some(folder) = path.parent() {
        fs_err::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Returns the slots beyond the first of each node as pairs of node and slot, ascending.
fn twins(draft: &Draft, slots: &[u32], first_slots: &[u32]) -> Vec<[u32; 2]> {
    let mut twins: Vec<[u32; 2]> = draft
        .nodes
        .iter()
        .zip(slots)
        .filter(|&(&node, &slot)| first_slots[node as usize] != slot)
        .map(|(&node, &slot)| [node, slot])
        .collect();
    twins.sort_unstable();
    twins
}

fn block_checksums(draft: &Draft, vectors: &[&[f32]], dimension: usize) -> Vec<u32> {
    draft
        .firsts
        .chunks(block_rows(dimension))
        .map(|firsts| {
            let mut hasher = crc32fast::Hasher::new();
            for &first in firsts {
                hasher.update(bytemuck::cast_slice(vectors[first as usize]));
            }
            hasher.finalize()
        })
        .collect()
}

struct Out {
    file: io::BufWriter<fs_err::File>,
    offset: usize,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.offset += bytes.len();
        Ok(())
    }

    fn align(&mut self) -> io::Result<()> {
        let padding = self.offset.next_multiple_of(PAGE_BYTES) - self.offset;
        self.put(&[0; PAGE_BYTES][..padding])
    }

    fn section<T: Pod>(&mut self, values: &[T]) -> io::Result<Section> {
        self.rows(std::iter::once(values))
    }

    fn rows<'a, T: Pod>(&mut self, rows: impl Iterator<Item = &'a [T]>) -> io::Result<Section> {
        self.align()?;
        let offset = self.offset;
        let mut hasher = crc32fast::Hasher::new();
        for row in rows {
            let bytes = bytemuck::cast_slice(row);
            hasher.update(bytes);
            self.put(bytes)?;
        }
        Ok(Section { offset, length: self.offset - offset, checksum: hasher.finalize() })
    }

    fn finish(mut self, footer: &Footer) -> Result<(), DenseError> {
        self.align()?;
        let offset = self.offset as u64;
        let text = serde_json::to_vec(footer).map_err(io::Error::other)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.put(&text)?;
        self.put(&offset.to_le_bytes())?;
        self.put(&length.to_le_bytes())?;
        self.put(&crc32fast::hash(&text).to_le_bytes())?;
        self.put(&MAGIC)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(())
    }
}
