//! What was acknowledged is there, whatever happened: beside a plain model, after kills, on damaged
//! files, on a full disk, and from the files of earlier formats.

mod damage;
mod full;
mod golden;
mod kill;
mod model;
mod plain;
mod server;
mod snapshot;
