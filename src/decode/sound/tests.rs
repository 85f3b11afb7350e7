use super::*;
use crate::cancel::{Cancellation, Interrupted};
use crate::decode::{DecodeError, Hint, detect};
use crate::error::{Classified, ErrorKind};

/// A WAV file with these fields in its header, whatever follows.
fn wav(code: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels.wrapping_mul(bits / 8);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(code.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(block.into()).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn shorts(samples: impl IntoIterator<Item = i16>) -> Vec<u8> {
    samples.into_iter().flat_map(i16::to_le_bytes).collect()
}

fn open<'a>(bytes: &'a [u8], options: &SoundOptions) -> Result<Sounds<'a>, DecodeError> {
    let format = sound_format(bytes).expect("it begins as a sound");
    sounds(bytes, format, options, &Cancellation::new())
}

fn read(bytes: &[u8]) -> Result<Vec<f32>, DecodeError> {
    let blocks: Result<Vec<Vec<f32>>, DecodeError> =
        open(bytes, &SoundOptions::default())?.collect();
    Ok(blocks?.concat())
}

#[test]
fn channels_are_mixed_and_samples_of_every_width_are_the_same() {
    let stereo = shorts([16_384, -16_384, 16_384, 0, 0, 0]);
    assert_eq!(read(&wav(1, 2, 16_000, 16, &stereo)).unwrap(), [0.0, 0.25, 0.0]);
    assert_eq!(read(&wav(1, 1, 16_000, 8, &[128, 192, 64])).unwrap(), [0.0, 0.5, -0.5]);
    let wide: Vec<u8> = [0.5_f32, -20.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(read(&wav(3, 1, 16_000, 32, &wide)).unwrap(), [0.5, -8.0]);
    let bytes = wav(1, 2, 44_100, 16, &shorts([1; 200]));
    let opened = open(&bytes, &SoundOptions::default()).unwrap();
    let facts = opened.facts();
    assert_eq!((facts.format, facts.rate, facts.channels), (SoundFormat::Wav, 44_100, 2));
}

#[test]
fn a_long_sound_comes_in_blocks() {
    let bytes = wav(1, 1, 8_000, 16, &shorts((0..80_000).map(|at| (at % 100) as i16)));
    let blocks: Vec<Vec<f32>> =
        open(&bytes, &SoundOptions::default()).unwrap().map(Result::unwrap).collect();
    assert!(blocks.len() >= 8, "{}", blocks.len());
    assert!(blocks.iter().all(|block| (1..40_000).contains(&block.len())));
    assert_eq!(blocks.iter().map(Vec::len).sum::<usize>(), 160_000);
}

#[test]
fn broken_and_hostile_files_end_in_an_error_that_says_why() {
    let good = wav(1, 1, 16_000, 16, &shorts([1_000; 64]));
    let float = |value: f32| wav(3, 1, 16_000, 32, &value.to_le_bytes().repeat(8));
    let mut headless = good.clone();
    headless.truncate(30);
    let mut dataless = good.clone();
    dataless.truncate(36);
    for (bytes, says) in [
        (&headless, "damaged"),
        (&dataless, "damaged"),
        (&wav(1, 1, 16_000, 16, &[]), "the WAV sound is damaged: there is no sample in it"),
        (&float(f32::NAN), "a sample in it is not a number"),
        (&wav(1, 0, 16_000, 16, &[0; 64]), "damaged"),
        (&wav(1, 0xFFFF, 16_000, 16, &[0; 64]), "the WAV sound"),
        (&wav(1, 1, 0, 16, &[0; 64]), "it has 0 samples a second, expected at least 1000"),
        (&wav(1, 1, u32::MAX, 16, &[0; 64]), "too many samples a second: at most 768000"),
        (&wav(0x55, 1, 16_000, 16, &[0; 64]), "damaged"),
        (&wav(1, 1, 16_000, 999, &[0; 64]), "damaged"),
        (&b"fLaC\0\0\0\x22".to_vec(), "the FLAC sound is damaged"),
        (&b"fLaC\0\xFF\xFF\xFF\0\0\0\0\0\0".to_vec(), "the FLAC sound is damaged"),
        (&b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0".to_vec(), "the Ogg sound is damaged"),
        (&b"ID3\x04\0\0\x7F\x7F\x7F\x7F".to_vec(), "the MP3 sound is damaged"),
        (&b"\xFF\xFB\x90\x64\0\0\0\0".to_vec(), "the MP3 sound is damaged"),
        (&b"\xFF\xF1\x50\x80\0\x1F\xFC\0".to_vec(), "the AAC sound is damaged"),
        (
            &b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42\xFF\xFF\xFF\xFFmoov".to_vec(),
            "the M4A sound is damaged",
        ),
        (&b"FORM\xFF\xFF\xFF\xFFAIFFCOMM\xFF\xFF\xFF\xFF".to_vec(), "the AIFF sound is damaged"),
    ] {
        let error = read(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(says), "expected {says:?}, got {error}");
    }
    assert_eq!(detect(b"", &Hint::default()), Err(DecodeError::Empty));
}

#[test]
fn more_than_the_options_allow_is_refused_before_it_is_decoded() {
    let bytes = wav(1, 2, 48_000, 16, &shorts(std::iter::repeat_n(5, 48_000 * 2 * 3)));
    let refused = |options: SoundOptions| {
        let all: Result<Vec<Vec<f32>>, _> = match open(&bytes, &options) {
            Ok(sounds) => sounds.collect(),
            Err(error) => Err(error),
        };
        all.unwrap_err().to_string()
    };
    let usual = SoundOptions::default();
    assert_eq!(
        refused(SoundOptions { channels_max: 1, ..usual.clone() }),
        "too many channels: at most 1, got 2"
    );
    assert_eq!(
        refused(SoundOptions { rate_max: 44_100, ..usual.clone() }),
        "too many samples a second: at most 44100, got 48000"
    );
    assert_eq!(
        refused(SoundOptions { seconds_max: 2, ..usual }),
        "too many seconds: at most 2, got 3"
    );
}

#[test]
fn a_file_that_lies_about_its_length_gives_what_is_there() {
    let mut long = wav(1, 1, 16_000, 16, &shorts([1_000; 40_000]));
    long[4..8].copy_from_slice(&0x7FFF_FFFE_u32.to_le_bytes());
    long[40..44].copy_from_slice(&0x7FFF_FF00_u32.to_le_bytes());
    let mut opened = open(&long, &SoundOptions::default()).unwrap();
    let mut samples = 0;
    let error = loop {
        match opened.next() {
            Some(Ok(block)) => samples += block.len(),
            Some(Err(error)) => break error,
            None => panic!("it announces more"),
        }
    };
    assert!(samples > 38_000, "{samples}");
    assert!(error.to_string().contains("it ends before the samples that it announces"), "{error}");
    assert!(opened.next().is_none());
    drop(opened);
    // As programs write it that do not know yet how much will come.
    long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    long[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(read(&long).unwrap().len() > 38_000);
}

#[test]
fn cancelled_work_ends_as_cancelled() {
    let bytes = wav(1, 1, 16_000, 16, &shorts([1_000; 64]));
    let cancel = Cancellation::new();
    cancel.cancel();
    let error = sounds(&bytes, SoundFormat::Wav, &SoundOptions::default(), &cancel).unwrap_err();
    assert_eq!(error, DecodeError::Interrupted(Interrupted::Cancelled));
}
