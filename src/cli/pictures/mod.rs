//! Pictures on the command line: as questions and examples, and as thumbnails on a page.

mod inline;
mod page;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use simile_proto::v1::example::Kind;
use simile_proto::v1::{self as wire};

use super::connection::Session;
use super::exit::CliError;
use crate::error::ErrorKind;
use crate::query::IMAGE_BYTES_MAX;

pub(super) use inline::Terminal;
pub(super) use page::contact_sheet;

/// How many thumbnails are asked for at once.
const THUMBNAILS_ASKED: usize = 64;

/// Thumbnails by document and part, each as something that stands in a page, or among lines.
pub(super) type Thumbnails = HashMap<(String, u32), String>;

#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub(super) struct PictureArguments {
    /// Ask with this picture (may be repeated; QUERY may be left out). Beside QUERY both are asked:
    /// where one model reads both, for what lies between them
    #[arg(long, value_name = "FILE")]
    pub(super) image: Vec<PathBuf>,
    /// Ask only about this part of the picture, in its pixels from the upper left corner: X,Y,WIDTH,HEIGHT.
    /// Where patches are kept (simile-patches-256), hits say when and where it is seen
    #[arg(long, value_name = "X,Y,W,H", requires = "image", value_parser = area)]
    pub(super) crop: Option<wire::Area>,
    /// Ask with this excerpt of a video or animated picture: which moments look like one of its stretches?
    /// (`simile locate` asks where all of it begins)
    #[arg(long, value_name = "FILE")]
    pub(super) clip: Option<PathBuf>,
    /// Less of what this picture shows (may be repeated)
    #[arg(long, value_name = "FILE")]
    without_image: Vec<PathBuf>,
    /// Less of what this text says, by a model that reads what is asked (may be repeated)
    #[arg(long, value_name = "TEXT")]
    without: Vec<String>,
    /// How much QUERY counts beside pictures
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    text_weight: f32,
    /// How much each picture counts
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    image_weight: f32,
    /// Write the hits with their pictures to a page to look at
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Show pictures among the hits, where the terminal can: kitty, Ghostty, Konsole, iTerm2, WezTerm,
    /// mintty
    #[arg(long)]
    pub(super) inline: bool,
}

impl PictureArguments {
    /// Returns the request with what the flags say; `vector` is the name that was asked for.
    ///
    /// # Errors
    /// For a file that cannot be read, or is larger than a question may be.
    pub(super) fn apply(
        &self,
        mut request: wire::SearchRequest,
        vector: Option<&str>,
    ) -> Result<wire::SearchRequest, CliError> {
        let is_weighted = self.text_weight != 1.0 || self.image_weight != 1.0;
        let is_mixed = is_weighted
            || self.image.len() > 1
            || !(self.without.is_empty() && self.without_image.is_empty())
            || request.recommend.is_some();
        let has_pictures = !(self.image.is_empty() && self.without_image.is_empty());
        if self.crop.is_some() && is_mixed {
            let message = "--crop asks about a part of one picture, and goes with no other example";
            return Err(CliError::usage(message.to_owned()));
        }
        request.image_area = self.crop;
        match &self.image[..] {
            [only] if !is_mixed => request.image = Some(read(only)?),
            _ if !has_pictures && self.without.is_empty() => {}
            images => {
                let example =
                    |kind, weight| wire::Example { kind: Some(kind), weight: Some(weight) };
                let of_images = |files: &[PathBuf]| -> Result<Vec<wire::Example>, CliError> {
                    let one =
                        |file: &PathBuf| Ok(example(Kind::Image(read(file)?), self.image_weight));
                    files.iter().map(one).collect()
                };
                let text = request
                    .text
                    .iter()
                    .map(|text| example(Kind::Text(text.clone()), self.text_weight));
                let without =
                    self.without.iter().map(|text| example(Kind::Text(text.clone()), 1.0));
                let (images, unlike) = (of_images(images)?, of_images(&self.without_image)?);
                let recommend = request.recommend.get_or_insert_with(|| wire::Recommend {
                    vector: vector.map(str::to_owned),
                    ..Default::default()
                });
                recommend.positive.extend(text.chain(images));
                recommend.negative.extend(without.chain(unlike));
            }
        }
        if let Some(file) = &self.clip {
            let kind = Some(Kind::Clip(read_file(file)?));
            let recommend = request.recommend.get_or_insert_with(|| wire::Recommend {
                vector: vector.map(str::to_owned),
                ..Default::default()
            });
            recommend.positive.push(wire::Example { kind, ..Default::default() });
            // Each of its stretches is looked for, and each moment is a hit.
            recommend.strategy = wire::RecommendStrategy::BestScore.into();
            request.grouping = wire::Grouping::Passage.into();
        }
        Ok(request)
    }
}

/// Returns the bytes of a picture's file.
///
/// # Errors
/// It is not there, or larger than a question may be.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let bytes = read_file(file)?;
    if bytes.len() > IMAGE_BYTES_MAX {
        let (name, bytes) = (file.display(), bytes.len());
        return Err(CliError::usage(format!(
            "{name}: a picture of a question has at most {IMAGE_BYTES_MAX} bytes, got {bytes}"
        )));
    }
    Ok(bytes)
}

fn read_file(file: &Path) -> Result<Vec<u8>, CliError> {
    fs_err::read(file).map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))
}

/// Reads `X,Y,WIDTH,HEIGHT`.
fn area(text: &str) -> Result<wire::Area, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(|one| one.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[left, top, width, height]) if width > 0 && height > 0 => {
            Ok(wire::Area { left, top, width, height })
        }
        _ => Err("expected X,Y,WIDTH,HEIGHT in pixels, as 310,120,80,60".to_owned()),
    }
}

/// Asks for the thumbnails of parts; those that are no pictures have none.
async fn thumbnail_files(
    session: &Session,
    collection: &str,
    parts: impl IntoIterator<Item = (String, u32)>,
) -> Result<HashMap<(String, u32), Vec<u8>>, CliError> {
    let names = parts.into_iter().map(|(id, part)| wire::PartName { id, part });
    let names: Vec<wire::PartName> = names.collect();
    let mut found = HashMap::new();
    for parts in names.chunks(THUMBNAILS_ASKED) {
        let (collection, parts) = (collection.to_owned(), parts.to_vec());
        let request = session.request(wire::ThumbnailsRequest { collection, parts });
        let answer = session.documents().thumbnails(request).await?.into_inner();
        let shown = answer.thumbnails.into_iter();
        found.extend(shown.map(|one| ((one.id, one.part), one.jpeg)));
    }
    Ok(found)
}

/// Asks for the thumbnails of parts, each as something that stands in a page.
pub(super) async fn thumbnails(
    session: &Session,
    collection: &str,
    parts: impl IntoIterator<Item = (String, u32)>,
) -> Result<Thumbnails, CliError> {
    let found = thumbnail_files(session, collection, parts).await?;
    Ok(found.into_iter().map(|(part, jpeg)| (part, in_page(&jpeg))).collect())
}

/// Asks for the thumbnails of parts, each as what shows it in a terminal.
pub(super) async fn inline_thumbnails(
    session: &Session,
    collection: &str,
    parts: impl IntoIterator<Item = (String, u32)>,
    terminal: Terminal,
) -> Result<Thumbnails, CliError> {
    let found = thumbnail_files(session, collection, parts).await?;
    let shown = |(part, jpeg): (_, Vec<u8>)| Some((part, terminal.shown(&jpeg)?));
    Ok(found.into_iter().filter_map(shown).collect())
}

/// Returns a JPEG as the source of an image in a page (RFC 2397).
fn in_page(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(image: &[&Path]) -> PictureArguments {
        PictureArguments {
            image: image.iter().map(|path| path.to_path_buf()).collect(),
            crop: None,
            clip: None,
            without_image: Vec::new(),
            without: Vec::new(),
            text_weight: 1.0,
            image_weight: 1.0,
            html: None,
            inline: false,
        }
    }

    #[test]
    fn one_picture_is_a_question_and_more_are_examples_beside_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        fs_err::write(&file, b"jpeg").unwrap();
        let text = || wire::SearchRequest { text: Some("red".into()), ..Default::default() };
        let asked = arguments(&[&file]).apply(text(), None).unwrap();
        assert_eq!((asked.image.as_deref(), asked.recommend), (Some(&b"jpeg"[..]), None));
        let mixed = PictureArguments {
            without: vec!["night".into()],
            text_weight: 0.5,
            ..arguments(&[&file, &file])
        };
        let mixed = mixed.apply(text(), Some("joint")).unwrap();
        let recommend = mixed.recommend.unwrap();
        assert_eq!((recommend.positive.len(), recommend.negative.len()), (3, 1));
        assert_eq!(recommend.positive[0].kind, Some(Kind::Text("red".into())));
        assert_eq!(recommend.positive[0].weight, Some(0.5));
        assert_eq!(recommend.vector.as_deref(), Some("joint"));
        assert_eq!((mixed.image, mixed.text.as_deref()), (None, Some("red")));
        let crop = Some(area("1, 2,3,4").unwrap());
        let part = PictureArguments { crop, ..arguments(&[&file]) }.apply(text(), None).unwrap();
        assert_eq!(part.image_area, Some(wire::Area { left: 1, top: 2, width: 3, height: 4 }));
        let mixed = PictureArguments { crop, ..arguments(&[&file, &file]) };
        assert!(mixed.apply(text(), None).is_err());
        assert!(["", "1,2,3", "1,2,0,4", "1,2,3,-4", "a,2,3,4"].iter().all(|no| area(no).is_err()));
        let clip = PictureArguments { clip: Some(file.clone()), ..arguments(&[]) };
        let asked = clip.apply(text(), Some("clip")).unwrap();
        assert_eq!(
            (asked.text.as_deref(), asked.grouping()),
            (Some("red"), wire::Grouping::Passage)
        );
        let recommend = asked.recommend.unwrap();
        assert_eq!(recommend.positive[0].kind, Some(Kind::Clip(b"jpeg".to_vec())));
        assert_eq!(recommend.strategy(), wire::RecommendStrategy::BestScore);
        assert!(arguments(&[Path::new("no/such.jpg")]).apply(text(), None).is_err());
        assert_eq!(arguments(&[]).apply(text(), None).unwrap(), text());
    }
}
