//! simile.
fn main(){}
