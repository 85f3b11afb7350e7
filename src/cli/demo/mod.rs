//! Stub.
mod questions;
mod texts;
use super::exit::{CliError, Outcome};
use super::output::Output;
use super::serve::Setting;
pub(super) fn demo(
    _: &Setting,
    _: &super::arguments::DemoArguments,
    _: &Output,
) -> Result<Outcome, CliError> {
    Ok(Outcome::Done)
}
