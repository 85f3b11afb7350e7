//! simile.
fn main() {}
