//! Stub.
use super::exit::{CliError, Outcome};
use super::output::Output;
use super::serve::Setting;
pub(super) fn run(
    _: &Setting,
    _: &super::arguments::ModelCommand,
    _: &Output,
) -> Result<Outcome, CliError> {
    Ok(Outcome::Done)
}
