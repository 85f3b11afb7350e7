use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const MUTANTS: usize = 300;
const DIMENSION: usize = 12;
const COUNT: u32 = 260;

/// A folder of two segments whose bytes are put back before each mutant.
struct Sound {
    options: DenseOptions,
    vectors: Vec<Vec<f32>>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// Flips bits of segments and manifests, shortens, extends and swaps them. Whatever happens to the
/// files, opening ends, every vector that is there is the right one, and refilling what is missing
/// gives right answers. More with `SIMILE_MUTANTS=5000`.
#[test]
fn damaged_files_never_give_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let forms = [Quantisation::Int8, Quantisation::None, Quantisation::Binary];
    let mut noticed = 0;
    let mutants = cases("SIMILE_MUTANTS", MUTANTS);
    for (number, form) in (0..).zip(forms) {
        let sound = Sound::make(&folder.path().join(number.to_string()), form);
        let mut random = StdRng::seed_from_u64(number);
        for mutant in 0..mutants.div_ceil(forms.len()) {
            let folder = folder.path().join(format!("{number}-{mutant}"));
            let what = sound.damage(&folder, &mut random);
            // A failure prints this.
            println!("{form:?} {mutant}: {what}");
            noticed += usize::from(sound.survive(&folder));
            fs_err::remove_dir_all(folder).unwrap();
        }
    }
    // What pads the sections of a file means nothing, and not every vector is read.
    assert!(noticed * 2 > mutants, "only {noticed} of {mutants} were noticed");
}

impl Sound {
    fn make(folder: &Path, form: Quantisation) -> Self {
        let mut random = StdRng::seed_from_u64(1);
        let mut options = DenseOptions::new(DIMENSION, Metric::Euclidean);
        options.quantisation = form;
        let vectors: Vec<Vec<f32>> = (0..COUNT)
            .map(|_| (0..DIMENSION).map(|_| random.random_range(-1.0..1.0)).collect())
            .collect();
        let index = DenseIndex::open(folder, options.clone()).unwrap();
        let live = (0..COUNT).collect();
        for (slot, vector) in (0..).zip(&vectors) {
            index.insert(&[(Slot(slot), vector)]).unwrap();
            if slot == COUNT / 2 || slot == COUNT - 1 {
                with_job(&live, 1, |job| index.seal(job)).unwrap();
            }
        }
        let mut files: Vec<(PathBuf, Vec<u8>)> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().into(), fs_err::read(path).unwrap()))
            .collect();
        files.sort();
        assert_eq!(files.len(), 3);
        Self { options, vectors, files }
    }

    /// Writes the files anew, one of them damaged. Returns what was done.
    fn damage(&self, folder: &Path, random: &mut StdRng) -> String {
        fs_err::create_dir(folder).unwrap();
        let chosen = random.random_range(0..self.files.len());
        let other = &self.files[random.random_range(0..self.files.len())].1;
        let (name, sound) = &self.files[chosen];
        let mut bytes = sound.clone();
        let place = random.random_range(0..bytes.len());
        // Damage near the end meets the footer, which says where all else is.
        let late = bytes.len() - 1 - random.random_range(0..bytes.len().min(1_500));
        let what = match random.random_range(0..9) {
            0 | 1 => {
                bytes[place] ^= 1 << random.random_range(0..8);
                format!("a bit at {place}")
            }
            2 | 3 => {
                bytes[late] ^= 1 << random.random_range(0..8);
                format!("a bit at {late}")
            }
            4 => {
                let end = (place + random.random_range(1..5_000)).min(bytes.len());
                bytes[place..end].fill(0);
                format!("zeroes at {place}..{end}")
            }
            5 => {
                bytes.truncate(place);
                format!("cut at {place}")
            }
            6 => {
                bytes.truncate(late);
                format!("cut at {late}")
            }
            7 => {
                let more = random.random_range(1..9_000);
                bytes.extend((0..more).map(|_| random.random::<u8>()));
                format!("{more} bytes more")
            }
            _ => {
                bytes.clone_from(other);
                "another file".to_owned()
            }
        };
        for (place, (name, sound)) in self.files.iter().enumerate() {
            let written = if place == chosen { &bytes } else { sound };
            fs_err::write(folder.join(name), written).unwrap();
        }
        format!("{}: {what}", name.display())
    }

    /// Opens and uses the index as a collection does. Returns whether damage was noticed.
    fn survive(&self, folder: &Path) -> bool {
        let index = DenseIndex::open(folder, self.options.clone()).unwrap();
        let mut noticed = !index.discarded().is_empty();
        self.refill(&index);
        let all: SlotSet = (0..COUNT).collect();
        for query in self.vectors.iter().step_by(17) {
            for is_exact in [false, true] {
                match search(&index, query, &all, 5, is_exact) {
                    Ok(found) => self.assert_right(query, &found, is_exact),
                    Err(error) => {
                        assert!(matches!(error, DenseError::Corrupt { .. }), "{error}");
                        noticed = true;
                    }
                }
            }
        }
        for (slot, vector) in (0..).map(Slot).zip(&self.vectors) {
            match index.vector(slot) {
                Ok(found) => assert_eq!(found.as_ref(), Some(vector)),
                Err(error) => assert!(matches!(error, DenseError::Corrupt { .. }), "{error}"),
            }
        }
        noticed |= !index.verify(&Cancellation::new()).unwrap().is_empty();
        self.refill(&index);
        assert_eq!(index.slots(), all);
        for query in self.vectors.iter().step_by(17) {
            self.assert_right(query, &search(&index, query, &all, 5, true).unwrap(), true);
        }
        drop(index);
        let again = DenseIndex::open(folder, self.options.clone()).unwrap();
        assert!(again.discarded().is_empty(), "what was discarded stays away");
        noticed
    }

    fn refill(&self, index: &DenseIndex) {
        let present = index.slots();
        assert!(present.max().is_none_or(|last| last < COUNT), "a slot that nobody inserted");
        for (slot, vector) in (0..).zip(&self.vectors) {
            if !present.contains(slot) {
                index.insert(&[(Slot(slot), vector)]).unwrap();
            }
        }
    }

    fn assert_right(&self, query: &[f32], found: &[(Slot, Score)], is_exact: bool) {
        let score = |slot: usize| Metric::Euclidean.score(query, &self.vectors[slot]);
        assert_eq!(found.len(), 5);
        for &(slot, value) in found {
            assert_eq!(value, score(slot.0 as usize));
        }
        if is_exact {
            let mut scores: Vec<Score> = (0..self.vectors.len()).map(score).collect();
            scores.sort_by(|a, b| b.cmp(a));
            assert!(found.iter().map(|found| found.1).eq(scores.into_iter().take(5)));
        }
    }
}
