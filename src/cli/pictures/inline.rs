//! Pictures among the lines of a terminal that can show them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::decode::{Limits, decode_picture};

/// How many lines a picture is high.
const LINES: u32 = 8;
/// The longest side of a picture that is sent as it is, without compression.
const SIDE_MAX: u32 = 160;
/// The most bytes of one piece of the Kitty protocol.
const PIECE_BYTES: usize = 4_096;

/// How a terminal takes pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Terminal {
    /// The protocol of Kitty, which Ghostty and Konsole speak too.
    Kitty,
    /// That of iTerm2, which WezTerm and mintty speak too.
    ITerm,
}

impl Terminal {
    /// Returns how the terminal takes pictures, by what the environment says of it; none if it is none
    /// of those that are known, or another program stands between.
    pub(in crate::cli) fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is = |name: &str, known: &[&str]| {
            set(name).is_some_and(|value| known.contains(&value.as_str()))
        };
        if set("TMUX").is_some() || set("STY").is_some() {
            return None;
        }
        let speaks_kitty = is("TERM", &["xterm-kitty", "xterm-ghostty"])
            || set("KITTY_WINDOW_ID").is_some()
            || set("KONSOLE_VERSION").is_some();
        let speaks_iterm = is("TERM_PROGRAM", &["iTerm.app", "WezTerm", "mintty"])
            || is("LC_TERMINAL", &["iTerm2"]);
        match (speaks_kitty, speaks_iterm) {
            (true, _) => Some(Self::Kitty),
            (false, true) => Some(Self::ITerm),
            (false, false) => None,
        }
    }

    /// Returns what shows a JPEG, and ends the line; nothing if it is none.
    pub(in crate::cli) fn shown(self, jpeg: &[u8]) -> Option<String> {
        match self {
            Self::ITerm => Some(format!(
                "\x1b]1337;File=inline=1;size={};height={LINES};preserveAspectRatio=1:{}\x07\n",
                jpeg.len(),
                STANDARD.encode(jpeg)
            )),
            Self::Kitty => {
                let picture = decode_picture(jpeg, &Limits::default()).ok()?.fitted(SIDE_MAX);
                let samples = STANDARD.encode(picture.samples());
                let (width, height) = (picture.width(), picture.height());
                let mut text = String::with_capacity(samples.len() + 256);
                let mut left = samples.as_str();
                let mut keys = format!("a=T,f=24,s={width},v={height},r={LINES},q=2,");
                loop {
                    // Base64 is ASCII, so that it may be cut anywhere.
                    let (piece, rest) = left.split_at(left.len().min(PIECE_BYTES));
                    let has_more = u8::from(!rest.is_empty());
                    // Writing to a String does not fail.
                    _ = write!(text, "\x1b_G{keys}m={has_more};{piece}\x1b\\");
                    if rest.is_empty() {
                        break;
                    }
                    keys.clear();
                    left = rest;
                }
                text.push('\n');
                Some(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::encode_jpeg;
    use crate::picture::Picture;

    #[test]
    fn the_terminal_is_told_by_its_environment() {
        let of = |pairs: &[(&str, &str)]| {
            Terminal::of(|name| {
                pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned())
            })
        };
        assert_eq!(of(&[("TERM", "xterm-kitty")]), Some(Terminal::Kitty));
        assert_eq!(of(&[("TERM_PROGRAM", "WezTerm")]), Some(Terminal::ITerm));
        assert_eq!(of(&[("TERM", "xterm-256color"), ("KITTY_WINDOW_ID", "")]), None);
        assert_eq!(of(&[("TERM", "xterm-kitty"), ("TMUX", "/tmp/tmux")]), None);
    }

    #[test]
    fn a_picture_is_sent_in_pieces_that_say_whether_more_follow() {
        let picture = Picture::new(100, 60, vec![90; 100 * 60 * 3]).unwrap();
        let jpeg = encode_jpeg(&picture, 80);
        let shown = Terminal::Kitty.shown(&jpeg).unwrap();
        let pieces: Vec<&str> = shown.trim_end().split_terminator("\x1b\\").collect();
        assert_eq!(pieces.len(), (100 * 60 * 4_usize).div_ceil(PIECE_BYTES));
        assert!(pieces[0].starts_with("\x1b_Ga=T,f=24,s=100,v=60,r=8,q=2,m=1;"));
        assert!(pieces[1..pieces.len() - 1].iter().all(|piece| piece.starts_with("\x1b_Gm=1;")));
        assert!(pieces[pieces.len() - 1].starts_with("\x1b_Gm=0;"));
        let sent: String = pieces.iter().map(|piece| piece.split_once(';').unwrap().1).collect();
        assert_eq!(STANDARD.decode(sent).unwrap().len(), 100 * 60 * 3);
        let shown = Terminal::ITerm.shown(&jpeg).unwrap();
        let start = format!("\x1b]1337;File=inline=1;size={};height=8;", jpeg.len());
        assert!(shown.starts_with(&start) && shown.ends_with("\x07\n"));
        assert_eq!(Terminal::Kitty.shown(b"no picture"), None);
    }
}
