//! Real photographs and broken files, where the folder with them is there: its path comes from the
//! environment variable `SIMILE_SHARED_DATA`.

use std::path::{Path, PathBuf};

use simile::decode::{Limits, decode_picture};
use simile::picture::{Likeness, Picture};

/// Returns a folder of the shared data; none, saying so, where there is no such data.
#[expect(clippy::print_stderr, reason = "who reads the output is told what was left out")]
fn folder(name: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("SIMILE_SHARED_DATA") else {
        eprintln!("SIMILE_SHARED_DATA is not set: {name} was not looked at");
        return None;
    };
    let folder = Path::new(&data).join("images").join(name);
    assert!(folder.is_dir(), "{} is no folder", folder.display());
    Some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

fn read(path: &Path) -> Result<Picture, String> {
    let bytes = fs_err::read(path).unwrap();
    decode_picture(&bytes, &Limits::default()).map_err(|error| error.to_string())
}

/// Returns how far two pictures of one size are apart: the mean over the samples.
fn difference(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let pairs = a.samples().iter().zip(b.samples());
    let sum: u64 = pairs.map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / a.samples().len() as f64
}

fn grey(picture: &Picture) -> Picture {
    let light = |pixel: &[u8]| {
        let sum: u32 = pixel.iter().zip([77, 150, 29]).map(|(&a, b)| u32::from(a) * b).sum();
        [u8::try_from(sum / 256).unwrap(); 3]
    };
    let samples = picture.samples().chunks_exact(3).flat_map(light).collect();
    Picture::new(picture.width(), picture.height(), samples).unwrap()
}

#[test]
fn a_scene_in_every_orientation_is_the_same_upright_picture() {
    let Some(folder) = folder("exif-orientation") else { return };
    for shape in ["Landscape", "Portrait"] {
        let all = files(&folder);
        let named = |path: &&PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(shape) && name.ends_with(".jpg")
        };
        let pictures: Vec<Picture> =
            all.iter().filter(named).map(|path| read(path).unwrap()).collect();
        assert_eq!(pictures.len(), 9, "{shape}");
        for (number, picture) in pictures.iter().enumerate() {
            let apart = difference(&pictures[0], picture);
            assert!(apart < 12.0, "{shape} {number}: {apart}");
        }
    }
}

#[test]
fn a_picture_in_every_colour_mode_is_the_same_picture() {
    let Some(folder) = folder("pdq-misc") else { return };
    let original = read(&folder.join("modes/original.jpg")).unwrap();
    for path in files(&folder.join("modes")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            continue;
        }
        let picture = read(&path).unwrap();
        let apart = difference(&grey(&original), &grey(&picture));
        // One bit a pixel is nothing like it, dot by dot.
        assert!(name.starts_with('1') || apart < 12.0, "{name}: {apart}");
        let is_same = Likeness::of(&original).is_same(&Likeness::of(&picture));
        assert!(is_same, "{name}");
    }
}

#[test]
fn the_pictures_of_a_decoder_are_read_as_its_authors_read_them() {
    let Some(folder) = folder("image-rs") else { return };
    let (mut same, mut apart) = (0, Vec::new());
    let kinds = ["png", "gif", "bmp", "webp", "jpg", "tif", "tiff"];
    for path in files(&folder.join("images")) {
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !kinds.contains(&extension.as_str()) {
            continue;
        }
        let below = path.strip_prefix(folder.join("images")).unwrap();
        let reference = folder.join("reference").join(format!("{}.png", below.display()));
        if !reference.is_file() {
            continue;
        }
        match (read(&path), read(&reference)) {
            (Ok(picture), Ok(expected)) if picture.width() == expected.width() => {
                let difference = difference(&picture, &expected);
                if difference <= 1.0 {
                    same += 1
                } else {
                    apart.push(format!("{}: {difference}", below.display()))
                }
            }
            (picture, expected) => {
                apart.push(format!("{}: {picture:?}, {expected:?}", below.display()))
            }
        }
    }
    eprintln!("{same} the same, {apart:#?}");
    assert!(same >= 60, "{same}");
}

#[test]
fn broken_files_of_a_decoder_are_errors_or_pictures() {
    let Some(folder) = folder("image-rs") else { return };
    for part in ["bad", "regression"] {
        for path in files(&folder.join(part)) {
            let told = read(&path).map_or_else(|error| error, |picture| format!("{picture:?}"));
            eprintln!("{}: {told}", path.display());
        }
    }
}
