//! The inner loops: distances over slices of equal length.

/// Returns the inner product of two slices of equal length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "dimensions are checked where vectors enter");
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Returns the squared Euclidean distance of two slices of equal length.
pub fn squared_euclidean(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "dimensions are checked where vectors enter");
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}
