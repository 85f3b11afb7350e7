use super::image::PictureContent;
use super::sound::Sounds;
use super::video::Frames;
use super::{Format, Records};
use crate::document::{Payload, Section};

/// What a file holds.
#[derive(Debug)]
pub enum Content<'a> {
    /// One document.
    Text(TextContent),
    /// A document in each record.
    Records(Records<'a>),
    /// A still picture.
    Picture(PictureContent),
    /// The frames of a video, decoded as they are asked for.
    Video(Frames<'a>),
    /// The samples of a sound, decoded as they are asked for.
    Sound(Sounds<'a>),
}

/// The text of one document, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TextContent {
    /// The extracted text; headings stand in it as lines of their own.
    pub text: String,
    /// Its sections in order; together they cover all of the text that is not blank.
    pub sections: Vec<Section>,
    /// The title that the document gives itself.
    pub title: Option<String>,
    /// What else the document says of itself (`author`, `created`, `language`, ...), ready to be
    /// payload; points in time are in the form of RFC 3339. Empty for a format without such fields.
    pub metadata: Payload,
    /// What the bytes were taken for.
    pub format: Format,
    /// What a person should know about the result, such as pages without text; lower case, one
    /// clause each.
    pub warnings: Vec<String>,
}
