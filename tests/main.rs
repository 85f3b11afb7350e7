//! The behaviour of the whole, in one binary, so that the engines are linked once.

mod layers;
