//! What are rows compared as while their graph is built?

use std::io;

use bytemuck::Pod;

use super::super::form::{self, Form};
use super::super::pages::Pages;
use super::super::space::{CodeSpace, FloatSpace, Keys};
use crate::vector::Metric;
use crate::vector::kernel::{self, Rows};

/// Rows in the form of their graph, in some order. Bits say too little to build on: codes stand for them.
pub(super) struct Compared {
    pub(super) values: Values,
    /// The components that make all rows equally long, for the metric that needs them.
    lifts: Vec<f32>,
}

/// Rows one after another, and how many values each has.
pub(super) enum Values {
    Floats(Pages<f32>, usize),
    Codes(Pages<u8>, usize),
}

/// The space of one form or of the other.
pub(super) enum AnySpace<'a> {
    Floats(FloatSpace<'a>),
    Codes(CodeSpace<'a>),
}

impl Compared {
    /// Puts rows into a form, in their order.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub(super) fn of(rows: &[&[f32]], form: &Form, metric: Metric) -> io::Result<Self> {
        let values = match form {
            Form::Floats => {
                let dimension = rows.first().map_or(1, |row| row.len());
                Values::Floats(gather(rows, dimension)?, dimension)
            }
            Form::Codes(projection) | Form::Bits(projection) => {
                let (codes, width) = form::encode(rows, projection)?;
                Values::Codes(codes, width)
            }
        };
        Ok(Self { values, lifts: lifts(rows, metric) })
    }

    /// Puts the rows into another order, given by their places in this one.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub(super) fn in_order(self, order: &[u32]) -> io::Result<Self> {
        let values = match self.values {
            Values::Floats(floats, width) => Values::Floats(ordered(&floats, width, order)?, width),
            Values::Codes(codes, width) => Values::Codes(ordered(&codes, width, order)?, width),
        };
        let lifts = match self.lifts.as_slice() {
            [] => Vec::new(),
            lifts => order.iter().map(|&row| lifts[row as usize]).collect(),
        };
        Ok(Self { values, lifts })
    }

    /// Returns the rows as a space.
    pub(super) fn space(&self) -> AnySpace<'_> {
        let keys = match self.lifts.as_slice() {
            [] => Keys::Distances,
            lifts => Keys::Lifted(lifts),
        };
        match &self.values {
            Values::Floats(floats, width) => {
                AnySpace::Floats(FloatSpace::new(Rows::new(floats, *width), keys))
            }
            Values::Codes(codes, width) => {
                AnySpace::Codes(CodeSpace::new(Rows::new(codes, *width), keys))
            }
        }
    }
}

fn ordered<T: Pod>(values: &[T], width: usize, order: &[u32]) -> io::Result<Pages<T>> {
    let mut ordered = Pages::zeroed(values.len())?;
    for (&row, out) in order.iter().zip(ordered.chunks_exact_mut(width)) {
        out.copy_from_slice(&values[row as usize * width..][..width]);
    }
    Ok(ordered)
}

/// Returns rows of floats one after another.
///
/// # Errors
/// If the system gives no memory.
pub(super) fn gather(rows: &[&[f32]], dimension: usize) -> io::Result<Pages<f32>> {
    let mut floats = Pages::zeroed(rows.len() * dimension)?;
    for (row, out) in rows.iter().zip(floats.chunks_exact_mut(dimension)) {
        out.copy_from_slice(row);
    }
    Ok(floats)
}

fn lifts(rows: &[&[f32]], metric: Metric) -> Vec<f32> {
    match metric {
        Metric::Cosine | Metric::Euclidean => Vec::new(),
        Metric::Dot => {
            let norms: Vec<f32> = rows.iter().map(|row| kernel::dot(row, row)).collect();
            let largest = norms.iter().copied().fold(0.0, f32::max);
            norms.into_iter().map(|norm| (largest - norm).max(0.0).sqrt()).collect()
        }
    }
}
