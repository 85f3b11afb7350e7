//! Does the program do what its help says, as a person or a script runs it?

mod browser;
mod cluster;
mod cluster_page;
mod demo;
mod doctor;
mod everyday;
mod features;
mod interrupted;
mod keys;
mod networks;
mod pages;
pub(crate) mod program;
mod reembed;
mod serving;
mod there;
mod wrong;
