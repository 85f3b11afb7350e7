use std::io::{self, BufReader, BufWriter, Read, Write};
use std::time::Duration;

use super::message::{Failure, Reply, Request, read, write};
use super::sound::bytes;
use crate::cancel::Cancellation;
use crate::decode::sound::Sounds;
use crate::decode::video::Frames;
use crate::decode::{Content, DecodeError, decode};

/// Reads the files that come in, and writes what is in them, until nobody sends any more: the work of a
/// process that [`super::Apart`] started. From now on the process has at most so much memory, and for
/// each file at most so much time of the processor.
///
/// # Errors
/// The other side is gone, or says what it should not.
pub fn answer(
    from: impl Read,
    to: impl Write,
    memory_bytes_max: u64,
    time_max: Duration,
) -> io::Result<()> {
    bound_memory(memory_bytes_max)?;
    let mut from = BufReader::with_capacity(1 << 20, from);
    let mut to = BufWriter::with_capacity(1 << 20, to);
    while let Some((request, bytes)) = read::<Request>(&mut from)? {
        bound_time(time_max)?;
        let cancel = Cancellation::new();
        match decode(&bytes, &request.hint(), &request.limits, &cancel) {
            Ok(content) => tell(&mut to, content, time_max)?,
            Err(error) => fail(&mut to, &error)?,
        }
    }
    Ok(())
}

fn tell(to: &mut impl Write, content: Content<'_>, time_max: Duration) -> io::Result<()> {
    match content {
        Content::Text(content) => {
            let header = Reply::Text {
                title: content.title,
                metadata: content.metadata,
                format: content.format,
                warnings: content.warnings,
                sections: content.sections,
            };
            write(to, &header, content.text.as_bytes())
        }
        Content::Picture(content) => {
            let picture = content.picture;
            let header = Reply::Picture {
                size: (picture.width(), picture.height()),
                title: content.title,
                metadata: content.metadata,
                format: content.format,
                warnings: content.warnings,
            };
            write(to, &header, picture.samples())
        }
        Content::Video(frames) => tell_frames(to, frames, time_max),
        Content::Sound(sounds) => tell_samples(to, sounds, time_max),
        Content::Records(_) => {
            let (what, advice) = ("a file of records", "it is read where it is wanted");
            fail(to, &DecodeError::UnsupportedFormat { what, advice })
        }
    }
}

fn tell_frames(to: &mut impl Write, mut frames: Frames<'_>, time_max: Duration) -> io::Result<()> {
    write(to, &Reply::Video { size: frames.size() }, &[])?;
    for frame in &mut frames {
        bound_time(time_max)?;
        match frame {
            Ok(frame) => {
                let (picture, start_ms, end_ms) = (frame.picture, frame.start_ms, frame.end_ms);
                let size = (picture.width(), picture.height());
                write(to, &Reply::Frame { size, start_ms, end_ms }, picture.samples())?;
            }
            Err(error) => return fail(to, &error),
        }
    }
    write(to, &Reply::End { warnings: frames.take_warnings() }, &[])
}

fn tell_samples(to: &mut impl Write, mut sounds: Sounds<'_>, time_max: Duration) -> io::Result<()> {
    write(to, &Reply::Sound { facts: sounds.facts().clone() }, &[])?;
    for block in &mut sounds {
        bound_time(time_max)?;
        match block {
            Ok(block) => write(to, &Reply::Samples, &bytes(&block))?,
            Err(error) => return fail(to, &error),
        }
    }
    write(to, &Reply::End { warnings: sounds.take_warnings() }, &[])
}

fn fail(to: &mut impl Write, error: &DecodeError) -> io::Result<()> {
    write(to, &Reply::Failed(Failure::of(error)), &[])
}

/// Bounds the address space of this process, for good.
#[cfg(unix)]
fn bound_memory(bytes: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let bytes = Some(bytes);
    Ok(setrlimit(Resource::As, Rlimit { current: bytes, maximum: bytes })?)
}

/// Lets this process compute so much longer.
#[cfg(unix)]
fn bound_time(time: Duration) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use rustix::time::{ClockId, clock_gettime};
    let spent = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or_default();
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some((spent + time.as_secs() + 1).min(maximum.unwrap_or(u64::MAX)));
    Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
}

#[cfg(not(unix))]
fn bound_memory(_: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn bound_time(_: Duration) -> io::Result<()> {
    Ok(())
}
