use std::borrow::Cow;

/// Returns the bytes as text.
pub(super) fn to_text(bytes: &[u8]) -> Cow<'_, str> {
    encoding_rs::UTF_8.decode(bytes).0
}
