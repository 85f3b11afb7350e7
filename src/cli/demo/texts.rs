//! The texts of the demo: a small observatory above a harbour town, in English and Chinese.

/// A file of the demo collection, with the payload it is stored with.
pub(super) struct Text {
    /// The path below `texts/`, which is also the document's id.
    pub(super) name: &'static str,
    /// The file.
    pub(super) bytes: &'static [u8],
    /// `en` or `zh`.
    pub(super) language: &'static str,
    /// What it is about: astronomy, harbour, kitchen, repair, science, town or travel.
    pub(super) topic: &'static str,
    /// When it was written down.
    pub(super) year: i64,
    /// How much the readers liked it, 1 to 5.
    pub(super) rating: i64,
}

/// Files of records: each line carries its own id and fields (`text`, `language`, `topic`, `year`,
/// `rating`).
pub(super) const RECORDS: [(&str, &[u8]); 2] = [
    ("notes.jsonl", include_bytes!("texts/notes.jsonl")),
    ("sentences.jsonl", include_bytes!("texts/sentences.jsonl")),
];

macro_rules! text {
    ($name:literal, $language:literal, $topic:literal, $year:literal, $rating:literal) => {
        Text {
            name: $name,
            bytes: include_bytes!(concat!("texts/", $name)),
            language: $language,
            topic: $topic,
            year: $year,
            rating: $rating,
        }
    };
}

/// Every other file, by name.
pub(super) const TEXTS: [Text; 32] = [
    text!("harbour/ferry-faq-zh.html", "zh", "travel", 2025, 3),
    text!("harbour/ferry-faq.html", "en", "travel", 2025, 3),
    text!("harbour/fog.html", "en", "science", 2021, 4),
    text!("harbour/hull-care.md", "en", "repair", 2024, 4),
    text!("harbour/knots.md", "en", "harbour", 2020, 5),
    text!("harbour/lighthouse.html", "en", "town", 2019, 4),
    text!("harbour/outboard-motor.pdf", "en", "repair", 2022, 4),
    text!("harbour/tides.md", "en", "science", 2020, 5),
    text!("kitchen/apple-cake.html", "en", "kitchen", 2021, 5),
    text!("kitchen/clam-tofu-soup-zh.md", "zh", "kitchen", 2024, 5),
    text!("kitchen/fish-soup.md", "en", "kitchen", 2023, 5),
    text!("kitchen/galley-suppers.docx", "en", "kitchen", 2025, 4),
    text!("kitchen/scallion-noodles-zh.md", "zh", "kitchen", 2022, 4),
    text!("kitchen/seaweed-bread.md", "en", "kitchen", 2024, 4),
    text!("observatory/dome-motor.md", "en", "repair", 2023, 4),
    text!("observatory/first-night.md", "en", "astronomy", 2024, 5),
    text!("observatory/mirror-washing.md", "en", "repair", 2021, 4),
    text!("observatory/stargazing-zh.md", "zh", "astronomy", 2024, 5),
    text!("observatory/telescope-care-zh.pdf", "zh", "repair", 2022, 4),
    text!("observatory/variable-stars.md", "en", "astronomy", 2022, 4),
    text!("observatory/winter-log.pdf", "en", "astronomy", 2023, 5),
    text!("science/glowing-water.md", "en", "science", 2024, 5),
    text!("science/moon-illusion.md", "en", "science", 2022, 4),
    text!("science/sea-salt-zh.md", "zh", "science", 2021, 5),
    text!("town/beehives.md", "en", "town", 2023, 4),
    text!("town/library.html", "en", "town", 2026, 3),
    text!("town/safety-meeting.docx", "en", "town", 2025, 3),
    text!("town/sea-glass.md", "en", "town", 2022, 4),
    text!("town/tea-house-zh.html", "zh", "town", 2023, 4),
    text!("travel/coast-path.md", "en", "travel", 2025, 5),
    text!("travel/otter-island.html", "en", "travel", 2023, 4),
    text!("travel/three-days-zh.docx", "zh", "travel", 2024, 5),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_listed_once() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/demo/texts");
        let found: BTreeSet<String> = walkdir::WalkDir::new(&folder)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let name = entry.path().strip_prefix(&folder).unwrap();
                name.to_str().unwrap().replace('\\', "/")
            })
            .collect();
        let names = TEXTS.iter().map(|text| text.name).chain(RECORDS.map(|(name, _)| name));
        assert_eq!(found, names.clone().map(str::to_owned).collect());
        assert_eq!(found.len(), names.count());
    }

    #[test]
    fn the_sentences_of_the_example_are_there_word_for_word() {
        let (_, bytes) = RECORDS[1];
        let texts: Vec<String> = std::str::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|record| record["text"].as_str().unwrap().to_owned())
            .collect();
        let expected = [
            "The cat chases the mouse",
            "The kitten hunts rodents",
            "I like ham sandwiches",
            "猫追逐老鼠",
            "小猫捕猎老鼠",
            "我喜欢火腿三明治",
        ];
        assert_eq!(texts, expected);
    }
}
