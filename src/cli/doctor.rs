//! Stub.
use super::exit::{CliError, Outcome};
use super::output::Output;
use super::serve::Setting;
pub(super) fn doctor(
    _: &Setting,
    _: &super::arguments::DoctorArguments,
    _: &Output,
) -> Result<Outcome, CliError> {
    Ok(Outcome::Done)
}
