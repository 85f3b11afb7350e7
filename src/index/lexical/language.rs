//! In which language is this text, and what are the stems of its words?

use std::sync::LazyLock;

use frostem::{Algorithm, Stemmer};
use icu_properties::props::Script;
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed};
use whatlang::{Detector, Lang};

/// How sure the detection has to be; below it a word is stemmed by the default of its script.
/// Measured on 11,900 single questions (the collection `xquad`) in ten languages: at 0.2 some 3 % are named wrongly
/// and 8 % not at all, without it 5 %.
const CONFIDENCE_MIN: f64 = 0.2;
/// Of a long text, this much tells the language.
const SAMPLE_BYTES: usize = 320;

/// A script in which languages that have a stemmer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Alphabet {
    Latin,
    Cyrillic,
    Greek,
    Arabic,
    Devanagari,
    Tamil,
    Armenian,
    Hebrew,
}

/// A language with a stemmer; what the index remembers of the texts it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Language(Algorithm);

const LANGUAGES: [(Alphabet, Lang, Option<Algorithm>); 41] = {
    use Alphabet as A;
    use Lang as L;
    [
        (A::Latin, L::Eng, Some(Algorithm::English)),
        (A::Latin, L::Cat, Some(Algorithm::Catalan)),
        (A::Latin, L::Ces, Some(Algorithm::Czech)),
        (A::Latin, L::Dan, Some(Algorithm::Danish)),
        (A::Latin, L::Deu, Some(Algorithm::German)),
        (A::Latin, L::Est, Some(Algorithm::Estonian)),
        (A::Latin, L::Fin, Some(Algorithm::Finnish)),
        (A::Latin, L::Fra, Some(Algorithm::French)),
        (A::Latin, L::Hun, Some(Algorithm::Hungarian)),
        (A::Latin, L::Ind, Some(Algorithm::Indonesian)),
        (A::Latin, L::Ita, Some(Algorithm::Italian)),
        (A::Latin, L::Lit, Some(Algorithm::Lithuanian)),
        (A::Latin, L::Nld, Some(Algorithm::Dutch)),
        (A::Latin, L::Nob, Some(Algorithm::Norwegian)),
        (A::Latin, L::Pol, Some(Algorithm::Polish)),
        (A::Latin, L::Por, Some(Algorithm::Portuguese)),
        (A::Latin, L::Ron, Some(Algorithm::Romanian)),
        (A::Latin, L::Spa, Some(Algorithm::Spanish)),
        (A::Latin, L::Swe, Some(Algorithm::Swedish)),
        (A::Latin, L::Tur, Some(Algorithm::Turkish)),
        (A::Latin, L::Hrv, None),
        (A::Latin, L::Lav, None),
        (A::Latin, L::Slk, None),
        (A::Latin, L::Slv, None),
        (A::Latin, L::Tgl, None),
        (A::Latin, L::Vie, None),
        (A::Cyrillic, L::Rus, Some(Algorithm::Russian)),
        (A::Cyrillic, L::Srp, Some(Algorithm::Serbian)),
        (A::Cyrillic, L::Bel, None),
        (A::Cyrillic, L::Bul, None),
        (A::Cyrillic, L::Mkd, None),
        (A::Cyrillic, L::Ukr, None),
        (A::Greek, L::Ell, Some(Algorithm::Greek)),
        (A::Arabic, L::Ara, Some(Algorithm::Arabic)),
        (A::Arabic, L::Pes, Some(Algorithm::Persian)),
        (A::Arabic, L::Urd, None),
        (A::Devanagari, L::Hin, Some(Algorithm::Hindi)),
        (A::Devanagari, L::Nep, Some(Algorithm::Nepali)),
        (A::Tamil, L::Tam, Some(Algorithm::Tamil)),
        (A::Armenian, L::Hye, Some(Algorithm::Armenian)),
        (A::Hebrew, L::Yid, Some(Algorithm::Yiddish)),
    ]
};

/// Scripts without a stemmer whose texts would otherwise be taken for a language in the list.
const UNSTEMMED: [Lang; 6] = [Lang::Cmn, Lang::Jpn, Lang::Kor, Lang::Tha, Lang::Heb, Lang::Mar];

impl Language {
    /// Returns the name under which the index remembers the language.
    pub(super) fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns the language that the index remembers under the name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        LANGUAGES
            .iter()
            .filter_map(|&(_, _, algorithm)| algorithm)
            .find(|algorithm| algorithm.name() == name)
            .map(Self)
    }

    fn alphabet(self) -> Option<Alphabet> {
        LANGUAGES
            .iter()
            .find(|&&(_, _, algorithm)| algorithm == Some(self.0))
            .map(|&(alphabet, ..)| alphabet)
    }
}

/// How the words of one text are stemmed: by the language of the text, and words in another script
/// (a product name in a Russian text) by the default of that script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stemming {
    detected: Option<(Alphabet, Option<Algorithm>)>,
}

impl Stemming {
    /// Returns how the words of this text are stemmed.
    pub(super) fn of(text: &str) -> Self {
        static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
            let listed = LANGUAGES.iter().map(|&(_, language, _)| language);
            Detector::with_allowlist(listed.chain(UNSTEMMED).collect())
        });
        let sample = &text[..text.floor_char_boundary(SAMPLE_BYTES)];
        let detected = DETECTOR
            .detect(sample)
            .filter(|found| found.confidence() >= CONFIDENCE_MIN)
            .and_then(|found| LANGUAGES.iter().find(|entry| entry.1 == found.lang()))
            .map(|&(alphabet, _, algorithm)| (alphabet, algorithm));
        Self { detected }
    }

    /// Returns the language of the text if it has a stemmer and is not the default of its script.
    pub(super) fn language(self) -> Option<Language> {
        let (alphabet, algorithm) = self.detected?;
        algorithm.filter(|&algorithm| Some(algorithm) != default_of(alphabet)).map(Language)
    }

    /// Returns the stem of a folded word.
    pub(super) fn stem(self, word: &str) -> String {
        let alphabet = alphabet_of(word);
        let algorithm = match self.detected {
            Some((detected, algorithm)) if Some(detected) == alphabet => algorithm,
            _ => alphabet.and_then(default_of),
        };
        stem_by(algorithm, word)
    }
}

/// Returns every form under which the index may hold a folded word: as it is, and as its stem in
/// the default language of its script and in each of the languages given. Distinct, the stem of the
/// default first.
pub(super) fn variants(word: &str, languages: &[Language]) -> Vec<String> {
    let Some(alphabet) = alphabet_of(word) else { return vec![word.to_owned()] };
    let others = languages.iter().filter(|language| language.alphabet() == Some(alphabet));
    let algorithms = std::iter::once(default_of(alphabet))
        .chain(others.map(|language| Some(language.0)))
        .chain([None]);
    let mut variants = Vec::new();
    for algorithm in algorithms {
        let stem = stem_by(algorithm, word);
        if !variants.contains(&stem) {
            variants.push(stem);
        }
    }
    variants
}

/// Returns the stem of a folded word in a language, or in the default language of its script if
/// there is none given or it is written in another script.
pub(super) fn stem_in(language: Option<Language>, word: &str) -> String {
    let alphabet = alphabet_of(word);
    match language {
        Some(language) if language.alphabet() == alphabet => stem_by(Some(language.0), word),
        _ => stem_by(alphabet.and_then(default_of), word),
    }
}

fn stem_by(algorithm: Option<Algorithm>, word: &str) -> String {
    match algorithm {
        Some(algorithm) => {
            let stem = Stemmer::new(algorithm).stem(word);
            // A stemmer may take everything away; such a word stands for itself.
            if stem.is_empty() { word.to_owned() } else { stem.into_owned() }
        }
        None => word.to_owned(),
    }
}

fn default_of(alphabet: Alphabet) -> Option<Algorithm> {
    match alphabet {
        Alphabet::Latin => Some(Algorithm::English),
        Alphabet::Cyrillic => Some(Algorithm::Russian),
        Alphabet::Greek => Some(Algorithm::Greek),
        Alphabet::Arabic => Some(Algorithm::Arabic),
        Alphabet::Devanagari => Some(Algorithm::Hindi),
        Alphabet::Tamil => Some(Algorithm::Tamil),
        Alphabet::Armenian => Some(Algorithm::Armenian),
        // Hebrew is written in it far more often than Yiddish, and has no stemmer.
        Alphabet::Hebrew => None,
    }
}

fn alphabet_of(word: &str) -> Option<Alphabet> {
    const SCRIPTS: CodePointMapDataBorrowed<'static, Script> = CodePointMapData::<Script>::new();
    let first = word.chars().next()?;
    if first.is_ascii() {
        return first.is_ascii_alphabetic().then_some(Alphabet::Latin);
    }
    Some(match SCRIPTS.get(first) {
        Script::Latin => Alphabet::Latin,
        Script::Cyrillic => Alphabet::Cyrillic,
        Script::Greek => Alphabet::Greek,
        Script::Arabic => Alphabet::Arabic,
        Script::Devanagari => Alphabet::Devanagari,
        Script::Tamil => Alphabet::Tamil,
        Script::Armenian => Alphabet::Armenian,
        Script::Hebrew => Alphabet::Hebrew,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stemmed_by_the_language_of_their_text() {
        let german =
            Stemming::of("Die Katzen jagen die Mäuse durch das ganze Haus und den Garten.");
        assert_eq!(german.language().map(Language::name), Some("german"));
        assert_eq!(german.stem("katzen"), "katz");
        let english = Stemming::of("The cats are chasing the mice through the house and garden.");
        assert_eq!(english.language().map(Language::name), None);
        assert_eq!(english.stem("chasing"), "chase");
    }

    #[test]
    fn a_word_in_another_script_than_its_text_is_stemmed_by_the_default_of_that_script() {
        let russian = Stemming::of("Кошки гоняются за мышами по всему дому, а собака спит.");
        assert_eq!(russian.stem("кошки"), "кошк");
        assert_eq!(russian.stem("running"), "run");
        let ukrainian =
            Stemming::of("Коти ганяються за мишами по всьому будинку, а собака спить їй.");
        assert_eq!(ukrainian.stem("мишами"), "мишами");
    }

    #[test]
    fn a_query_word_is_looked_up_under_every_stem_that_the_index_may_hold() {
        let german = Language::from_name("german").unwrap();
        let russian = Language::from_name("russian").unwrap();
        assert_eq!(variants("running", &[]), ["run", "running"]);
        assert_eq!(variants("katzen", &[german, russian]), ["katzen", "katz"]);
        assert_eq!(variants("2026", &[german]), ["2026"]);
    }
}
