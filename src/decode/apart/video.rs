use super::message::Reply;
use super::{Lease, picture};
use crate::cancel::Cancellation;
use crate::decode::video::{Frames, RawFrame, Source, VideoOptions};
use crate::decode::{DecodeError, Format};

/// The frames that a process reads, as they are asked for.
struct Apart {
    lease: Option<Lease>,
    format: Format,
    pixels_max: u64,
    warnings: Vec<String>,
}

/// Returns the frames of a video that a process has begun to read.
pub(super) fn frames(
    lease: Lease,
    format: Format,
    size: (u32, u32),
    options: &VideoOptions,
    cancel: &Cancellation,
) -> Result<Frames<'static>, DecodeError> {
    let Format::Video(container) = format else { return Err(lease.broken("a video")) };
    let pixels_max = options.pixels_max;
    let source = Apart { lease: Some(lease), format, pixels_max, warnings: Vec::new() };
    Frames::begin(Box::new(source), container, size, options, cancel)
}

impl Source for Apart {
    fn next(&mut self, cancel: &Cancellation) -> Result<Option<RawFrame>, DecodeError> {
        let Some(lease) = &mut self.lease else { return Ok(None) };
        let (reply, body) = lease.reply(cancel)?;
        let failure = match reply {
            Reply::Frame { size, start_ms, end_ms } => {
                let broken = || lease.broken("a frame of another size");
                let picture = picture(size, body, self.pixels_max).ok_or_else(broken)?;
                let duration_ms = Some(end_ms.saturating_sub(start_ms) as f64);
                return Ok(Some(RawFrame {
                    picture,
                    start_ms: Some(start_ms as f64),
                    duration_ms,
                }));
            }
            Reply::End { warnings } => {
                self.warnings.extend(warnings);
                None
            }
            Reply::Failed(failure) => Some(failure.into_error(self.format)),
            Reply::Text { .. }
            | Reply::Picture { .. }
            | Reply::Video { .. }
            | Reply::Sound { .. }
            | Reply::Samples => {
                return Err(lease.broken("no frame"));
            }
        };
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        failure.map_or(Ok(None), Err)
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
