use std::path::{Path, PathBuf};

use crate::error::{Classified, ErrorKind};

/// Two sentences, and how similar people found them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The mean of the people's judgements; higher is more similar.
    pub score: f64,
    /// One sentence.
    pub first: String,
    /// The other one.
    pub second: String,
}

/// Why a file is no list of judged pairs.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// It cannot be read; the error names it.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// A line that is not `score <tab> sentence <tab> sentence`.
    #[error("{}: line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Too little to correlate.
    #[error("{}: expected at least 2 pairs, got {found}", path.display())]
    TooFew {
        /// The file.
        path: PathBuf,
        /// How many pairs it has.
        found: usize,
    },
}

impl Classified for PairError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(error) if error.kind() == std::io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            Self::Read(_) | Self::Line { .. } | Self::TooFew { .. } => ErrorKind::InvalidInput,
        }
    }
}

/// Returns the pairs of a file of tab-separated lines `score`, `sentence`, `sentence`; a first line
/// whose score is no number is a header.
///
/// # Errors
/// [`ErrorKind::NotFound`] without the file, [`ErrorKind::InvalidInput`] for a line of another shape or
/// fewer than two pairs.
pub fn read_pairs(path: &Path) -> Result<Vec<Pair>, PairError> {
    let text = fs_err::read_to_string(path)?;
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |reason| PairError::Line { path: path.to_owned(), line: number, reason };
        let fields: Vec<&str> = line.split('\t').collect();
        let [score, first, second] = fields[..] else {
            return Err(wrong(format!("expected 3 fields between tabs, got {}", fields.len())));
        };
        match score.trim().parse::<f64>() {
            Ok(score) if score.is_finite() => {
                pairs.push(Pair { score, first: first.to_owned(), second: second.to_owned() });
            }
            Err(_) if number == 1 => {}
            Ok(_) | Err(_) => return Err(wrong(format!("expected a finite score, got `{score}`"))),
        }
    }
    if pairs.len() < 2 {
        return Err(PairError::TooFew { path: path.to_owned(), found: pairs.len() });
    }
    Ok(pairs)
}

/// Returns Spearman's rank correlation of two lists of the same length, -1 to 1: the correlation of
/// the ranks, equal values sharing the mean of theirs. None for fewer than two values, or if one list
/// holds a single value only.
///
/// # Panics
/// If the lists differ in length.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&ranks(x), &ranks(y))
}

/// Returns Pearson's correlation of two lists of the same length, -1 to 1. None for fewer than two values,
/// or if one list holds a single value only.
///
/// # Panics
/// If the lists differ in length.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "a correlation is of pairs");
    let count = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let (mut product, mut square_x, mut square_y) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        product += x * y;
        square_x += x * x;
        square_y += y * y;
    }
    let spread = (square_x * square_y).sqrt();
    (spread > 0.0).then(|| product / spread)
}

/// Returns the rank of each value, from 1; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let mean = before as f64 + f64::midpoint(equal.len() as f64, 1.0);
        for place in equal {
            ranks[*place] = mean;
        }
        before += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        spearman: Vec<Lists>,
    }

    #[derive(Deserialize)]
    struct Lists {
        x: Vec<f64>,
        y: Vec<f64>,
        spearman: f64,
        pearson: f64,
    }

    #[test]
    fn equal_values_share_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
    }

    #[test]
    fn the_correlations_are_those_of_scipy() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../tests/reference/evaluate.json")).unwrap();
        assert!(reference.spearman.len() > 3);
        for case in reference.spearman {
            let actual = spearman(&case.x, &case.y).unwrap();
            assert!((actual - case.spearman).abs() < 1e-9, "{} {actual}", case.spearman);
            let actual = pearson(&case.x, &case.y).unwrap();
            assert!((actual - case.pearson).abs() < 1e-9, "{} {actual}", case.pearson);
        }
        for correlation in [spearman, pearson] {
            assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
            assert_eq!(correlation(&[], &[]), None);
        }
    }

    fn read(text: &str) -> Result<Vec<Pair>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.tsv");
        fs_err::write(&path, text).unwrap();
        read_pairs(&path)
            .map_err(|error| error.to_string().replace(&format!("{}", folder.path().display()), ""))
    }

    #[test]
    fn pairs_are_read_with_and_without_a_header() {
        let pairs = read("score\ts1\ts2\n2.5\ta b\tc\n\n5\td\te\n").unwrap();
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs[0], Pair { score: 2.5, first: "a b".to_owned(), second: "c".to_owned() });
        assert_eq!(read("1\ta\tb\n2\tc\td\n").unwrap().len(), 2);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).unwrap_err(), expected);
        check("1\ta\tb\n2\tc\n", "/pairs.tsv: line 2: expected 3 fields between tabs, got 2");
        check("1\ta\tb\nx\tc\td\n", "/pairs.tsv: line 2: expected a finite score, got `x`");
        check("NaN\ta\tb\n", "/pairs.tsv: line 1: expected a finite score, got `NaN`");
        check("score\ta\tb\n", "/pairs.tsv: expected at least 2 pairs, got 0");
    }
}
