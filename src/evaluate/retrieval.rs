use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};

use fs_err::File;
use serde::Deserialize;

use super::Grades;
use crate::error::{Classified, ErrorKind};

/// The longest line that is read, in bytes; longer ones are no records.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Questions with judged answers over a corpus, in the layout of BEIR: `corpus.jsonl`,
/// `queries.jsonl`, and `qrels.tsv` or `qrels/test.tsv` (Thakur et al. 2021).
#[derive(Debug)]
pub struct RetrievalSet {
    /// The judged questions, in the order of their file. Questions nobody judged are left out.
    pub questions: Vec<Question>,
    corpus: PathBuf,
}

/// A question and which documents answer it.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its id.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// The judged documents.
    pub grades: Grades,
}

/// A document of the corpus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CorpusDocument {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its title; empty if it has none.
    #[serde(default)]
    pub title: String,
    /// Its text.
    pub text: String,
}

impl CorpusDocument {
    /// Returns title and text joined by a space, as published figures are measured.
    pub fn whole(&self) -> String {
        format!("{} {}", self.title, self.text).trim().to_owned()
    }
}

/// Why a folder is no set of judged questions.
#[derive(Debug, thiserror::Error)]
pub enum RetrievalError {
    /// A file is missing.
    #[error("{} has no {name}, expected the layout of BEIR: corpus.jsonl, queries.jsonl and qrels.tsv \
             or qrels/test.tsv", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file.
        name: &'static str,
    },
    /// A file cannot be read; the error names it.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// A line of another shape.
    #[error("{}: line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A file without a record.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Classified for RetrievalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Read(_) | Self::Line { .. } | Self::Empty { .. } => ErrorKind::InvalidInput,
        }
    }
}

impl RetrievalSet {
    /// Reads questions and judgements of a folder; the corpus stays on disk.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a file is missing, [`ErrorKind::InvalidInput`] naming the line for
    /// one of another shape, an id given twice, or a judgement of a question that does not exist.
    pub fn open(folder: &Path) -> Result<Self, RetrievalError> {
        let corpus = existing(folder, &["corpus.jsonl"])?;
        let queries = existing(folder, &["queries.jsonl"])?;
        let judgements = existing(folder, &["qrels.tsv", "qrels/test.tsv"])?;
        let mut judged = read_judgements(&judgements)?;
        let mut questions = Vec::new();
        let mut seen = HashSet::new();
        for query in Documents::open(&queries)? {
            let query = query?;
            seen.insert(query.id.clone());
            if let Some((_, grades)) = judged.remove(&query.id) {
                questions.push(Question { id: query.id, text: query.text, grades });
            }
        }
        if let Some((id, (line, _))) = judged.into_iter().min_by_key(|(_, (line, _))| *line) {
            let reason = format!("query `{id}` is not in {}", queries.display());
            return Err(RetrievalError::Line { path: judgements, line, reason });
        }
        if questions.is_empty() {
            return Err(RetrievalError::Empty { path: judgements });
        }
        Ok(Self { questions, corpus })
    }

    /// Returns the documents of the corpus one by one, in the order of their file; each id once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the file cannot be read; the items say the same of their lines.
    pub fn documents(&self) -> Result<Documents, RetrievalError> {
        Documents::open(&self.corpus)
    }
}

fn existing(folder: &Path, names: &[&'static str]) -> Result<PathBuf, RetrievalError> {
    let paths = names.iter().map(|name| folder.join(name));
    paths
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| RetrievalError::Missing { folder: folder.to_owned(), name: names[0] })
}

/// Returns for each judged question the first line that names it, and its grades.
fn read_judgements(path: &Path) -> Result<BTreeMap<String, (u64, Grades)>, RetrievalError> {
    let mut judged = BTreeMap::new();
    for (number, line) in (1..).zip(BufReader::new(File::open(path)?).lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |reason| RetrievalError::Line { path: path.to_owned(), line: number, reason };
        let fields: Vec<&str> = line.trim_end().split('\t').collect();
        let [query, document, grade] = fields[..] else {
            let reason = "expected 3 fields between tabs (query, document, grade), got";
            return Err(wrong(format!("{reason} {}", fields.len())));
        };
        match grade.parse::<i32>() {
            Ok(grade) => {
                let (_, grades): &mut (u64, Grades) =
                    judged.entry(query.to_owned()).or_insert_with(|| (number, HashMap::new()));
                grades.insert(document.to_owned(), grade);
            }
            // The header.
            Err(_) if number == 1 => {}
            Err(_) => {
                return Err(wrong(format!("expected a whole number as grade, got `{grade}`")));
            }
        }
    }
    Ok(judged)
}

/// The records of a JSONL file with `_id`, `text` and perhaps `title`, read as they are asked for.
#[derive(Debug)]
pub struct Documents {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    line: u64,
    seen: HashSet<String>,
}

impl Documents {
    fn open(path: &Path) -> Result<Self, RetrievalError> {
        let lines = BufReader::new(File::open(path)?).lines();
        Ok(Self { path: path.to_owned(), lines, line: 0, seen: HashSet::new() })
    }

    fn parse(&mut self, line: &str) -> Result<CorpusDocument, RetrievalError> {
        let wrong =
            |reason| RetrievalError::Line { path: self.path.clone(), line: self.line, reason };
        if line.len() > LINE_BYTES_MAX {
            return Err(wrong(format!(
                "expected at most {LINE_BYTES_MAX} bytes, got {}",
                line.len()
            )));
        }
        let document: CorpusDocument =
            serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if !self.seen.insert(document.id.clone()) {
            return Err(wrong(format!("the id `{}` was given before", document.id)));
        }
        Ok(document)
    }
}

impl Iterator for Documents {
    type Item = Result<CorpusDocument, RetrievalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error.into())),
            };
            self.line += 1;
            if !line.trim().is_empty() {
                return Some(self.parse(&line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORPUS: &str = "{\"_id\": \"d1\", \"title\": \"Tides\", \"text\": \"The Moon pulls.\"}\n\n\
                          {\"_id\": \"d2\", \"text\": \"猫\", \"metadata\": {}}\n";
    const QUERIES: &str = "{\"_id\": \"q2\", \"text\": \"who pulls\"}\n{\"_id\": \"q1\", \"text\": \"cat\"}\n\
                           {\"_id\": \"q3\", \"text\": \"nobody judged me\"}\n";

    /// Writes the files and reads them back; messages are without the folder's own path.
    fn open(files: &[(&str, &str)]) -> Result<(RetrievalSet, Vec<CorpusDocument>), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let read = || {
            let set = RetrievalSet::open(folder.path())?;
            let documents = set.documents()?.collect::<Result<_, _>>()?;
            Ok((set, documents))
        };
        read().map_err(|error: RetrievalError| {
            error.to_string().replace(&format!("{}/", folder.path().display()), "")
        })
    }

    #[test]
    fn a_folder_is_read_with_judgements_in_either_place() {
        for name in ["qrels.tsv", "qrels/test.tsv"] {
            let judged = "query-id\tcorpus-id\tscore\nq1\td2\t2\nq1\td1\t0\nq2\td1\t1\r\n";
            let (set, documents) =
                open(&[("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), (name, judged)])
                    .unwrap();
            let asked: Vec<_> =
                set.questions.iter().map(|question| question.text.as_str()).collect();
            assert_eq!(asked, ["who pulls", "cat"]);
            assert_eq!(set.questions[1].grades["d2"], 2);
            assert_eq!(set.questions[1].grades["d1"], 0);
            let texts: Vec<_> = documents.iter().map(CorpusDocument::whole).collect();
            assert_eq!(texts, ["Tides The Moon pulls.", "猫"]);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let check = |corpus: &str, queries: &str, judged: &str, expected: &str| {
            let files =
                [("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels.tsv", judged)];
            let found = open(&files).unwrap_err();
            assert!(found.contains(expected), "expected {expected}\nfound {found}");
        };
        let one = "q1\td1\t1\n";
        check("{\"_id\": 1}\n", QUERIES, one, "corpus.jsonl: line 1: invalid type: integer");
        check("\n{\"_id\": \"a\"}", QUERIES, one, "corpus.jsonl: line 2: missing field `text`");
        check(
            &CORPUS.repeat(2),
            QUERIES,
            one,
            "corpus.jsonl: line 4: the id `d1` was given before",
        );
        check(CORPUS, QUERIES, "q1\td1\n", "qrels.tsv: line 1: expected 3 fields between tabs");
        check(CORPUS, QUERIES, "h\th\th\nq1\td1\tx\n", "line 2: expected a whole number as grade");
        check(CORPUS, QUERIES, "q1\td1\t1\nq9\td1\t1\n", "line 2: query `q9` is not in");
        check(CORPUS, QUERIES, "query-id\tcorpus-id\tscore\n", "qrels.tsv is empty");
    }

    #[test]
    fn a_missing_file_is_named_with_the_layout() {
        let found = open(&[("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES)]).unwrap_err();
        assert!(found.contains("has no qrels.tsv, expected the layout of BEIR"), "{found}");
    }
}
